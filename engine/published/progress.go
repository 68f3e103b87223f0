package published

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// Format is the version of Progress that this package writes; it reads all up to
// it.
const Format = 1

// maxProgressBytes bounds what is read as a Progress.
const maxProgressBytes = 16 << 20

// maxWanted bounds the holes that a Progress tells of: those that were found last. The
// others are told when some of these are filled.
const maxWanted = 10_000

// Progress is what a task tells the ingests of other engines, as one JSON object
// beside its HEAD (checkpoint.ProgressName):
//
//	{"format": 1, "task": "5f…-0000", "claim": "32 hex digits",
//	 "ledger": {"name": "5f…-0000/ledger/…", "number": 7, "sha256": "…"},
//	 "wanted": [{"gateway": "…", "log": "32 hex digits", "from": 120}]}
//
// It decides nothing by itself: HEAD does. It may be older than HEAD, or of a claim
// that has lost the task.
type Progress struct {
	Format int            `json:"format"`
	Task   string         `json:"task"`
	Claim  stream.ClaimID `json:"claim"` // which wrote it
	// Ledger names the newest entry up to which every output is visible and was
	// read back; nil: none.
	Ledger *ledger.Tip `json:"ledger,omitempty"`
	// Wanted are the logs that gateways have to send again, sorted.
	Wanted []Wanted `json:"wanted"`
}

// Wanted is a Hole as it stands in a Progress.
type Wanted struct {
	Gateway string        `json:"gateway"`
	Log     string        `json:"log"`
	From    record.Offset `json:"from"`
}

// Encode returns the object. Equal ones have equal bytes.
func (p *Progress) Encode() ([]byte, error) {
	full := *p
	full.Wanted = append([]Wanted{}, p.Wanted...)
	if err := full.check(); err != nil {
		return nil, fmt.Errorf("encode progress: %w", err)
	}
	data, err := json.Marshal(&full)
	if err != nil {
		return nil, fmt.Errorf("encode progress: %w", err)
	}
	return append(data, '\n'), nil
}

// DecodeProgress reads what Encode wrote. Errors: checkpoint.ErrVersion when a
// newer program wrote it, checkpoint.ErrCorrupt.
func DecodeProgress(data []byte) (Progress, error) {
	var version struct {
		Format int `json:"format"`
	}
	if len(data) > maxProgressBytes {
		return Progress{}, fmt.Errorf("decode progress of %d bytes: %w", len(data), checkpoint.ErrCorrupt)
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return Progress{}, fmt.Errorf("decode progress: %w: %w", checkpoint.ErrCorrupt, err)
	}
	if version.Format > Format {
		return Progress{}, fmt.Errorf("decode progress of format %d, known up to %d: %w", version.Format, Format,
			checkpoint.ErrVersion)
	}
	var p Progress
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Progress{}, fmt.Errorf("decode progress: %w: %w", checkpoint.ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Progress{}, fmt.Errorf("decode progress: %w: bytes after the end", checkpoint.ErrCorrupt)
	}
	if err := p.check(); err != nil {
		return Progress{}, fmt.Errorf("decode progress: %w: %w", checkpoint.ErrCorrupt, err)
	}
	return p, nil
}

func (p *Progress) check() error {
	switch {
	case p.Format < 1 || p.Format > Format:
		return fmt.Errorf("format %d", p.Format)
	case p.Task == "" || strings.ContainsAny(p.Task, "/\n"):
		return fmt.Errorf("task %q", p.Task)
	case !isHex(string(p.Claim), 32):
		return fmt.Errorf("claim %q", p.Claim)
	case p.Ledger != nil && (p.Ledger.Name == "" || p.Ledger.Number == 0 || !isHex(p.Ledger.SHA256, 64)):
		return fmt.Errorf("ledger entry %d, %q", p.Ledger.Number, p.Ledger.Name)
	case len(p.Wanted) > maxWanted:
		return fmt.Errorf("%d logs are wanted", len(p.Wanted))
	}
	for _, w := range p.Wanted {
		if _, err := record.ParseLogID(w.Log); err != nil || w.Gateway == "" {
			return fmt.Errorf("log %q of gateway %q is wanted", w.Log, w.Gateway)
		}
	}
	return nil
}

// isHex tells whether s is n lower-case hexadecimal digits.
func isHex(s string, n int) bool { return len(s) == n && strings.Trim(s, "0123456789abcdef") == "" }
