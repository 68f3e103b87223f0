package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/textfile"
)

// The state file, version 2: one line of text, then JSON to the end.
//
//	landfall-forward 2 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"gateway":"…","lake":"…","release":"published","told":true,"quiet_since":0,"gave_up":true,"logs":[
//	{"log":"<LogID>","next":<AckedOffset>,"hash":"<hash or empty>","published":<offset>,"published_hash":"<hash or empty>","kept":0}, …]}\n
//
// told, quiet_since (microseconds since 1970 UTC, the cloud's clock) and gave_up are
// Telling, kept is Mark.Kept. gave_up is absent where it is false, and lake where it
// is not known (lake.go); gateways that do not know them find out again when the cloud
// answers. Version 1 had gateway, and of each log its log, next
// and hash: nothing is known to be published, and records were released when they
// had landed.
const (
	stateMagic    = "landfall-forward"
	stateVersion  = 2
	maxStateBytes = 16 << 20
)

// state is what forwarding keeps over a restart.
type state struct {
	gateway string
	lake    string  // whose engine the marks are from; "": not known
	release Release // how records were released when it was written
	telling Telling
	marks   map[record.LogID]Mark
}

type stateJSON struct {
	Gateway    string         `json:"gateway"`
	Lake       string         `json:"lake,omitempty"`
	Release    string         `json:"release"`
	Told       bool           `json:"told"`
	QuietSince record.Micros  `json:"quiet_since"`
	GaveUp     bool           `json:"gave_up,omitempty"`
	Logs       []logStateJSON `json:"logs"`
}

type logStateJSON struct {
	Log           string        `json:"log"`
	Next          record.Offset `json:"next"`
	Hash          string        `json:"hash"`
	Published     record.Offset `json:"published"`
	PublishedHash string        `json:"published_hash"`
	Kept          record.Offset `json:"kept"`
}

// hashText returns a hash as it stands in the file.
func hashText(h record.Hash) string {
	if h == (record.Hash{}) {
		return ""
	}
	return h.String()
}

// parseHash reads what hashText wrote. Error: ErrState.
func parseHash(text string) (record.Hash, error) {
	if text == "" {
		return record.Hash{}, nil
	}
	h, err := record.ParseLogID(text)
	if err != nil {
		return record.Hash{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	return record.Hash(h), nil
}

func (s *state) encode() ([]byte, error) {
	j := stateJSON{
		Gateway: s.gateway, Lake: s.lake, Release: s.release.String(),
		Told: s.telling.Told, QuietSince: s.telling.QuietSince, GaveUp: s.telling.GaveUp, Logs: []logStateJSON{},
	}
	for id, m := range s.marks {
		j.Logs = append(j.Logs, logStateJSON{
			Log: id.String(), Next: m.Next, Hash: hashText(m.Hash),
			Published: m.Published, PublishedHash: hashText(m.PublishedHash), Kept: m.Kept,
		})
	}
	sort.Slice(j.Logs, func(i, k int) bool { return j.Logs[i].Log < j.Logs[k].Log })
	return textfile.Encode(stateMagic, stateVersion, j)
}

// decodeState reads what encode wrote, of this version or an older one. Errors:
// ErrState, record.ErrVersion.
func decodeState(p []byte) (state, error) {
	var j stateJSON
	version, err := textfile.DecodeInto(stateMagic, stateVersion, p, &j)
	if errors.Is(err, record.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrState, err)
	}
	if err != nil {
		return state{}, err
	}
	s := state{
		gateway: j.Gateway, lake: j.Lake, release: ReleaseLanded,
		telling: Telling{j.Told, j.QuietSince, j.GaveUp}, marks: make(map[record.LogID]Mark, len(j.Logs)),
	}
	if version > 1 {
		var err error
		if s.release, err = ParseRelease(j.Release); err != nil {
			return state{}, fmt.Errorf("%w: %w", ErrState, err)
		}
	}
	for i := range j.Logs {
		l := &j.Logs[i]
		id, err := record.ParseLogID(l.Log)
		if err != nil {
			return state{}, fmt.Errorf("%w: %w", ErrState, err)
		}
		if s.marks[id], err = l.mark(); err != nil {
			return state{}, err
		}
	}
	return s, nil
}

// mark returns the mark of a log. Error: ErrState.
func (l *logStateJSON) mark() (m Mark, err error) {
	if l.Published > l.Next {
		return Mark{}, fmt.Errorf("log %s published below %d, landed below %d: %w", l.Log, l.Published, l.Next, ErrState)
	}
	m = Mark{Next: l.Next, Published: l.Published, Kept: l.Kept}
	if m.Hash, err = parseHash(l.Hash); err != nil {
		return Mark{}, err
	}
	if m.PublishedHash, err = parseHash(l.PublishedHash); err != nil {
		return Mark{}, err
	}
	return m, nil
}

// loadState reads the state file; absent is an empty state, of a gateway that has
// promised nothing.
func loadState(fsys durable.FS, path string) (state, error) {
	info, err := fsys.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{release: ReleaseLanded}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("read forwarding state %s: %w", path, err)
	}
	if info.Size() > maxStateBytes {
		return state{}, fmt.Errorf("read forwarding state %s of %d bytes: %w", path, info.Size(), ErrState)
	}
	p, err := durable.ReadFile(fsys, path)
	if err != nil {
		return state{}, fmt.Errorf("read forwarding state: %w", err)
	}
	s, err := decodeState(p)
	if err != nil {
		return state{}, fmt.Errorf("read forwarding state %s: %w", path, err)
	}
	return s, nil
}

// ReadSettled reads a state file without changing it: the gateway's name in it,
// and of each log what Core.Settled was; empty where there is no file. Errors:
// ErrState, record.ErrVersion, and the file system's.
func ReadSettled(fsys durable.FS, path string) (gateway string, settled map[record.LogID]record.Offset, err error) {
	s, err := loadState(fsys, path)
	if err != nil {
		return "", nil, err
	}
	return s.gateway, s.core().settledAll(), nil
}

// ReadLanded reads a state file without changing it, and returns of each log below which
// offset it had landed; empty where there is no file. Errors: ErrState,
// record.ErrVersion, and the file system's.
func ReadLanded(fsys durable.FS, path string) (map[record.LogID]record.Offset, error) {
	s, err := loadState(fsys, path)
	if err != nil {
		return nil, err
	}
	landed := make(map[record.LogID]record.Offset, len(s.marks))
	for log, m := range s.marks {
		landed[log] = m.Next
	}
	return landed, nil
}

// core returns a core that knows what settled means in the state.
func (s *state) core() *Core { return &Core{release: s.release, telling: s.telling, marks: s.marks} }

// settledAll returns Settled of every log that is known.
func (c *Core) settledAll() map[record.LogID]record.Offset {
	all := make(map[record.LogID]record.Offset, len(c.marks))
	for log := range c.marks {
		all[log] = c.Settled(log)
	}
	return all
}
