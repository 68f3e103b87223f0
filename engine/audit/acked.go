package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// ackedLog is how far the cloud has acknowledged a log to its gateway.
type ackedLog struct {
	file, gateway, log string
	next               uint64
}

// maxAckedBytes bounds a file forward.state.
const maxAckedBytes = 16 << 20

// errState says that a file is no whole forward.state.
var errState = errors.New("not a whole forward.state")

// decodeAcked reads forward.state, version 1: one line of text, then JSON to the
// end.
//
//	landfall-forward 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"gateway":"…","logs":[{"log":"<LogID>","next":<offset>,"hash":"…"}, …]}\n
func decodeAcked(file string, data []byte) ([]ackedLog, error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	var version int
	var sum uint32
	if n, err := fmt.Sscanf(string(head), "landfall-forward %d %x", &version, &sum); n != 2 || err != nil {
		return nil, errState
	}
	if version != 1 {
		return nil, fmt.Errorf("forward.state of version %d: %w", version, record.ErrVersion)
	}
	var state struct {
		Gateway string `json:"gateway"`
		Logs    []struct {
			Log  string `json:"log"`
			Next uint64 `json:"next"`
		} `json:"logs"`
	}
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum || json.Unmarshal(body, &state) != nil {
		return nil, errState
	}
	var all []ackedLog
	for _, l := range state.Logs {
		all = append(all, ackedLog{file, state.Gateway, l.Log, l.Next})
	}
	return all, nil
}

// readAcked reads the forward.state of a gateway.
func (e *edgeLogs) readAcked(fsys durable.FS, name string) error {
	info, err := fsys.Stat(name)
	var data []byte
	if err == nil && info.Size() > maxAckedBytes {
		err = errState
	} else if err == nil {
		data, err = durable.ReadFile(fsys, name)
	}
	var acked []ackedLog
	if err == nil {
		acked, err = decodeAcked(name, data)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errState), errors.Is(err, record.ErrVersion):
		e.notes = append(e.notes, fmt.Sprintf("what the cloud acknowledged to the gateway is not known: %v", err))
		return nil
	case err != nil:
		return err
	}
	e.acked = append(e.acked, acked...)
	return nil
}

// holdsLog tells whether a directory has segments of a gateway's log.
func holdsLog(fsys durable.FS, dir string) bool {
	entries, err := fsys.ReadDir(dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".seg") {
			return true
		}
	}
	_ = err // what cannot be read has none
	return false
}

// compareAcked finds what the cloud acknowledged to a gateway and the lake lacks.
func (a *audit) compareAcked() {
	for _, n := range a.edge.notes {
		a.note("%s", n)
	}
	for _, k := range a.edge.acked {
		l, have := a.logs[a.keyOf(k.gateway, k.log)], uint64(0)
		if l != nil {
			have = l.found()
		}
		if k.next <= have {
			continue
		}
		f := logKey{k.gateway, k.log}.of(KindEdge, "the cloud acknowledged log %s of %s up to offset %d, and the lake has it up to %d: not published yet, or lost; audit again after the engine's next epoch",
			k.log, k.gateway, k.next, have)
		f.Offsets = offsets(have, k.next)
		a.find(f)
	}
}
