package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// Format is the version of the manifest and of HEAD that this package writes;
// it reads all up to it. 2 added parts to staged outputs, 3 the ledger, 4 what a
// position stands on, where an epoch began after its landing log was cut, what
// the landing log holds back, and where a lake was moved to.
const Format = 4

// Errors of what was read from a Store, to be tested with errors.Is.
var (
	// ErrVersion says that a newer program wrote what was read.
	ErrVersion = errors.New("written by a newer version")
	// ErrCorrupt says that what was read is not what was written.
	ErrCorrupt = errors.New("corrupt checkpoint")
)

// Manifest is one checkpoint of one task: the record that makes an epoch
// committed. It is stored as JSON, format 4, with exactly these fields:
//
//	{"format": 4,
//	 "landing": "5f…", "partition": 0, "partitions": 4,
//	 "epoch": 7, "claim": "32 hex digits", "previous": "sha256 of the manifest it follows",
//	 "position": {"log": "…", "offset": 4711, "hash": "32 hex digits", "leader": 3},
//	 "from": {"log": "…", "offset": 17}, "given_up": true, "hold": {"log": "…", "offset": 4700},
//	 "state": [{"name": "5f…-0000/state/…", "sha256": "…", "bytes": 5}],
//	 "staged": [{"sink", "table", "name", "target", "rows", "bytes", "sha256", "parts"}],
//	 "unpublished": [{"epoch": 6, "staged": […]}],
//	 "schema": 1, "decoder": "…", "writer": "…",
//	 "watermarks": [{"gateway": "…", "at": 1700000000000000}],
//	 "final": false,
//	 "params": {"gateway": "…"},
//	 "ledger": {"name": "5f…-0000/ledger/…", "number": 7, "sha256": "…"},
//	 "generation": 1, "moved": {"landing": "6a…", "partitions": 16}}
type Manifest struct {
	Format     int    `json:"format"`
	Landing    string `json:"landing"`    // identity of the landing log
	Partition  int    `json:"partition"`  // 0 … Partitions-1
	Partitions int    `json:"partitions"` // P of the landing log
	// Epoch counts the checkpoints of the task; 0 is the first claim's, before
	// anything was read. A new claim repeats the epoch it found.
	Epoch stream.Epoch   `json:"epoch"`
	Claim stream.ClaimID `json:"claim"`
	// Previous is the SHA-256 of the manifest that HEAD named before; empty in
	// the first.
	Previous string `json:"previous"`
	// Position is the next landed record to read.
	Position stream.Position `json:"position"`
	// From is where the epoch began to read, when that is not the position of the
	// epoch before: the landing log was cut, and the task went back to the beginning
	// of what it holds. Nil in any other, and in a claim's own manifest.
	From *stream.Position `json:"from,omitempty"`
	// GivenUp says that From is another place: what was held back, which the epoch reads
	// again to put it to conflict, for what is missing before it has not come in time.
	GivenUp bool `json:"given_up,omitempty"`
	// Hold is where the landing log is to be kept from, when that is not Position:
	// the first block that was passed over because blocks before it are missing. Nil:
	// all below Position may go once it is published.
	Hold *stream.Position `json:"hold,omitempty"`
	// State is the chain of objects that restores keyed state, oldest first.
	State []StateObject `json:"state"`
	// Staged are the outputs of this epoch; none in a claim's own manifest.
	Staged []stream.Staged `json:"staged"`
	// Unpublished are the outputs of earlier commits that were not known to be
	// published when this manifest was written, oldest epoch first.
	Unpublished []Unpublished `json:"unpublished"`
	Schema      int           `json:"schema"`  // version of the tables
	Decoder     string        `json:"decoder"` // version of what made rows of records
	Writer      string        `json:"writer"`  // who wrote it, for people
	// Watermarks are per gateway, sorted by gateway.
	Watermarks []Watermark `json:"watermarks"`
	// Final says that a bounded landing log ended with this epoch.
	Final bool `json:"final"`
	// Params are the settings that the rows depend on; a task started with
	// others is refused.
	Params map[string]string `json:"params"`
	// Ledger names the newest entry of the task's ledger, which is that of Epoch
	// or of what a claim added since; nil before the first epoch, and in what was
	// written before format 3.
	Ledger *ledger.Tip `json:"ledger,omitempty"`
	// Generation counts the landing logs that the lake had before this task's.
	Generation int `json:"generation,omitempty"`
	// Moved says that the lake has another landing log since: nobody claims the
	// task any more, and the tasks of that one have its state.
	Moved *Moved `json:"moved,omitempty"`
}

// StateObject names one object of the chain that restores keyed state.
type StateObject struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // hexadecimal
	Bytes  int64  `json:"bytes"`
}

// Unpublished are the outputs of one earlier epoch.
type Unpublished struct {
	Epoch  stream.Epoch    `json:"epoch"`
	Staged []stream.Staged `json:"staged"`
}

// Watermark is stream.Watermark as it stands in a manifest.
type Watermark struct {
	Gateway string        `json:"gateway"`
	At      record.Micros `json:"at"`
}

// TaskID gives the task whose checkpoint this is.
func (m *Manifest) TaskID() stream.TaskID {
	return stream.TaskID{Landing: m.Landing, Partition: m.Partition}
}

// Pending gives all outputs that the manifest names, by epoch, oldest first.
func (m *Manifest) Pending() []Unpublished {
	all := append([]Unpublished(nil), m.Unpublished...)
	if len(m.Staged) > 0 {
		all = append(all, Unpublished{Epoch: m.Epoch, Staged: m.Staged})
	}
	return all
}

// Encode gives the manifest's JSON. Equal manifests give equal bytes.
func (m *Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode manifest of epoch %s: %w", m.Epoch, err)
	}
	full := *m // lists that are empty are written as [], never as null
	full.State = append([]StateObject{}, m.State...)
	full.Staged = append([]stream.Staged{}, m.Staged...)
	full.Unpublished = append([]Unpublished{}, m.Unpublished...)
	full.Watermarks = append([]Watermark{}, m.Watermarks...)
	if full.Params == nil {
		full.Params = map[string]string{}
	}
	data, err := json.Marshal(&full)
	if err != nil {
		return nil, fmt.Errorf("encode manifest of epoch %s: %w", m.Epoch, err)
	}
	return append(data, '\n'), nil
}

// DecodeManifest reads a manifest's JSON: ErrVersion when a newer program wrote
// it, ErrCorrupt when it is anything but a whole manifest.
func DecodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := decodeStrict(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("decode manifest: %w: %w", ErrCorrupt, err)
	}
	return m, nil
}

// decodeStrict reads one JSON object of a known format and nothing besides it.
func decodeStrict(data []byte, into any) error {
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if version.Format > Format {
		return fmt.Errorf("%w: format %d, known up to %d", ErrVersion, version.Format, Format)
	}
	if version.Format < 1 {
		return fmt.Errorf("%w: format %d", ErrCorrupt, version.Format)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: bytes after the end", ErrCorrupt)
	}
	return nil
}

// check finds what no program of this format writes.
func (m *Manifest) check() error {
	if m.Format < 1 || m.Format > Format {
		return fmt.Errorf("format %d", m.Format)
	}
	if err := checkTask(m.TaskID(), m.Partitions); err != nil {
		return err
	}
	if !isHex(string(m.Claim), 32) {
		return fmt.Errorf("claim %q is not 32 hexadecimal digits", m.Claim)
	}
	if m.Previous != "" && !isHex(m.Previous, 64) {
		return fmt.Errorf("previous %q is not a hash", m.Previous)
	}
	if err := m.checkPositions(); err != nil {
		return err
	}
	if err := m.checkMoved(); err != nil {
		return err
	}
	for _, s := range m.State {
		if s.Name == "" || s.Bytes < 0 || !isHex(s.SHA256, 64) {
			return fmt.Errorf("state object %q", s.Name)
		}
	}
	if err := m.checkLedger(); err != nil {
		return err
	}
	return m.checkPending()
}

// checkPositions holds that positions are well formed, and say no more than their
// format can.
func (m *Manifest) checkPositions() error {
	if m.GivenUp && m.From == nil {
		return errors.New("what is given up was not read again")
	}
	if m.Format < 4 && (m.From != nil || m.Hold != nil || m.Position.Hash != "" || m.Position.Leader != 0) {
		return fmt.Errorf("position %s with what format %d does not have", m.Position, m.Format)
	}
	for _, p := range []*stream.Position{&m.Position, m.From, m.Hold} {
		if p == nil {
			continue
		}
		if err := p.Check(); err != nil {
			return err
		}
	}
	return nil
}

// checkMoved holds that what is said of a move is well formed.
func (m *Manifest) checkMoved() error {
	if m.Generation < 0 || m.Format < 4 && (m.Generation > 0 || m.Moved != nil) {
		return fmt.Errorf("generation %d in format %d", m.Generation, m.Format)
	}
	if t := m.Moved; t != nil {
		if err := checkTask(stream.TaskID{Landing: t.Landing}, t.Partitions); err != nil || t.Landing == m.Landing {
			return fmt.Errorf("moved to landing log %q with %d partitions", t.Landing, t.Partitions)
		}
	}
	return nil
}

// Released is below which the landing log may let go of what it holds, once
// everything that the manifest names is published.
func (m *Manifest) Released() stream.Position {
	if m.Hold != nil {
		return *m.Hold
	}
	return m.Position
}

// checkLedger holds that every epoch since format 3 stands in the ledger.
func (m *Manifest) checkLedger() error {
	switch {
	case m.Ledger == nil && m.Format >= 3 && m.Epoch > 0:
		return fmt.Errorf("epoch %s without a ledger", m.Epoch)
	case m.Ledger == nil:
		return nil
	case m.Format < 3:
		return fmt.Errorf("a ledger in format %d", m.Format)
	}
	number, fold, ok := ledger.ParseName(m.Ledger.Name)
	if !ok || fold || number != m.Ledger.Number || !strings.HasPrefix(m.Ledger.Name, ledger.Folder(m.TaskID().String())) || !isHex(m.Ledger.SHA256, 64) {
		return fmt.Errorf("ledger entry %q with number %d", m.Ledger.Name, m.Ledger.Number)
	}
	return nil
}

// checkPending holds invariant 4 within one manifest.
func (m *Manifest) checkPending() error {
	seen := make(map[[2]string]bool)
	last := stream.Epoch(0)
	for _, p := range m.Pending() {
		if p.Epoch > m.Epoch || p.Epoch < last {
			return fmt.Errorf("outputs of epoch %s out of order", p.Epoch)
		}
		last = p.Epoch
		for _, s := range p.Staged {
			if s.Sink == "" || s.Name == "" || s.Rows < 0 || s.Bytes < 0 || !isHex(s.SHA256, 64) {
				return fmt.Errorf("staged output %q of sink %q", s.Name, s.Sink)
			}
			if s.Parts != "" && m.Format < 2 {
				return fmt.Errorf("staged output %q has parts in format %d", s.Name, m.Format)
			}
			key := [2]string{s.Sink, s.Name}
			if seen[key] {
				return fmt.Errorf("staged output %q twice", s.Name)
			}
			seen[key] = true
		}
	}
	return nil
}

// checkTask holds names that serve as folders.
func checkTask(t stream.TaskID, partitions int) error {
	if t.Landing == "" {
		return errors.New("landing log without identity")
	}
	for _, r := range t.Landing {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("landing log %q: want lower-case letters, digits and '-'", t.Landing)
		}
	}
	if partitions < 1 || partitions > 9999 || t.Partition < 0 || t.Partition >= partitions {
		return fmt.Errorf("partition %d of %d", t.Partition, partitions)
	}
	return nil
}

// isHex tells whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

// hash gives the SHA-256 of data in hexadecimal.
func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
