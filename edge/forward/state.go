package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"sort"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// The state file, version 1: one line of text, then JSON to the end.
//
//	landfall-forward 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"gateway":"…","logs":[{"log":"<LogID>","next":<AckedOffset>,"hash":"<hash or empty>"}, …]}\n
const (
	stateMagic    = "landfall-forward"
	stateVersion  = 1
	maxStateBytes = 16 << 20
)

// state is what forwarding keeps over a restart.
type state struct {
	Gateway string     `json:"gateway"`
	Logs    []logState `json:"logs"`
}

type logState struct {
	Log  string        `json:"log"`
	Next record.Offset `json:"next"`
	Hash string        `json:"hash"`
}

func encodeState(gateway string, marks map[record.LogID]Mark) ([]byte, error) {
	s := state{Gateway: gateway, Logs: []logState{}}
	for id, m := range marks {
		l := logState{Log: id.String(), Next: m.Next}
		if m.Hash != (record.Hash{}) {
			l.Hash = m.Hash.String()
		}
		s.Logs = append(s.Logs, l)
	}
	sort.Slice(s.Logs, func(i, j int) bool { return s.Logs[i].Log < s.Logs[j].Log })
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode forwarding state: %w", err)
	}
	body = append(body, '\n')
	head := fmt.Appendf(nil, "%s %d %08x\n", stateMagic, stateVersion, stateSum(body))
	return append(head, body...), nil
}

func stateSum(body []byte) uint32 {
	return crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
}

// decodeState reads what encodeState wrote. Errors: ErrState,
// record.ErrVersion.
func decodeState(p []byte) (gateway string, marks map[record.LogID]Mark, err error) {
	var magic string
	var version int
	var sum uint32
	head, body, ok := bytes.Cut(p, []byte("\n"))
	if n, err := fmt.Sscanf(string(head), "%s %d %x", &magic, &version, &sum); !ok || err != nil || n != 3 || magic != stateMagic {
		return "", nil, fmt.Errorf("read its first line: %w", ErrState)
	}
	if version > stateVersion {
		return "", nil, fmt.Errorf("forwarding state version %d: %w", version, record.ErrVersion)
	}
	var s state
	if stateSum(body) != sum || json.Unmarshal(body, &s) != nil {
		return "", nil, fmt.Errorf("check its sum: %w", ErrState)
	}
	marks = make(map[record.LogID]Mark, len(s.Logs))
	for _, l := range s.Logs {
		id, err := record.ParseLogID(l.Log)
		if err != nil {
			return "", nil, fmt.Errorf("%w: %w", ErrState, err)
		}
		m := Mark{Next: l.Next}
		if l.Hash != "" {
			h, err := record.ParseLogID(l.Hash)
			if err != nil {
				return "", nil, fmt.Errorf("%w: %w", ErrState, err)
			}
			m.Hash = record.Hash(h)
		}
		marks[id] = m
	}
	return s.Gateway, marks, nil
}

// loadState reads the state file; absent is an empty state.
func loadState(fsys durable.FS, path string) (gateway string, marks map[record.LogID]Mark, err error) {
	info, err := fsys.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("read forwarding state %s: %w", path, err)
	}
	if info.Size() > maxStateBytes {
		return "", nil, fmt.Errorf("read forwarding state %s of %d bytes: %w", path, info.Size(), ErrState)
	}
	p, err := durable.ReadFile(fsys, path)
	if err != nil {
		return "", nil, fmt.Errorf("read forwarding state: %w", err)
	}
	if gateway, marks, err = decodeState(p); err != nil {
		return "", nil, fmt.Errorf("read forwarding state %s: %w", path, err)
	}
	return gateway, marks, nil
}

// ReadAcked reads a state file without changing it: the gateway's name in it, and
// the first offset of each log that is not acknowledged; empty where there is no
// file. Errors: ErrState, record.ErrVersion, and the file system's.
func ReadAcked(fsys durable.FS, path string) (gateway string, acked map[record.LogID]record.Offset, err error) {
	gateway, marks, err := loadState(fsys, path)
	return gateway, offsets(marks), err
}

func offsets(marks map[record.LogID]Mark) map[record.LogID]record.Offset {
	acked := make(map[record.LogID]record.Offset, len(marks))
	for log, m := range marks {
		acked[log] = m.Next
	}
	return acked
}
