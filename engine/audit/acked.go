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
	"landfall/edge/tips"
)

// ackedLog is how far the cloud has acknowledged a log to its gateway.
type ackedLog struct {
	file, gateway, log string
	landed             uint64
	// settled is below what the gateway may have let go: it waited until that was
	// published, or did not wait for more than that it landed.
	settled   uint64
	published bool // it waited
}

// maxAckedBytes bounds a file forward.state.
const maxAckedBytes = 16 << 20

// errState says that a file is no whole forward.state.
var errState = errors.New("not a whole forward.state")

// decodeAcked reads forward.state, version 1 or 2: one line of text, then JSON to
// the end.
//
//	landfall-forward 2 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"gateway":"…","release":"published","told":true,"quiet_since":0,"logs":[
//	{"log":"<LogID>","next":<offset>,"hash":"…","published":<offset>,"published_hash":"…","kept":0}, …]}\n
//
// Version 1 lacks what is said of publishing. A gateway that is told what is
// published lets go of nothing else, but with release "landed", and then not of
// what lies below kept either, while the cloud goes on telling.
func decodeAcked(file string, data []byte) ([]ackedLog, error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	var version int
	var sum uint32
	if n, err := fmt.Sscanf(string(head), "landfall-forward %d %x", &version, &sum); n != 2 || err != nil {
		return nil, errState
	}
	if version < 1 || version > 2 {
		return nil, fmt.Errorf("forward.state of version %d: %w", version, record.ErrVersion)
	}
	var state struct {
		Gateway    string `json:"gateway"`
		Release    string `json:"release"`
		Told       bool   `json:"told"`
		QuietSince int64  `json:"quiet_since"`
		Logs       []struct {
			Log       string `json:"log"`
			Next      uint64 `json:"next"`
			Published uint64 `json:"published"`
			Kept      uint64 `json:"kept"`
		} `json:"logs"`
	}
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != sum || json.Unmarshal(body, &state) != nil {
		return nil, errState
	}
	var all []ackedLog
	for _, l := range state.Logs {
		k := ackedLog{file: file, gateway: state.Gateway, log: l.Log, landed: l.Next, settled: l.Next}
		k.published = state.Told && (state.Release == "published" || l.Published < l.Kept && state.QuietSince == 0)
		if k.published {
			k.settled = l.Published
		}
		all = append(all, k)
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

// bookLog is what a gateway's own book of tips says of a log.
type bookLog struct {
	gateway string
	tips.Tip
}

// readBook reads the book of tips of a gateway, which lies beside its log.
func (e *edgeLogs) readBook(name string) error {
	data, err := durable.ReadFileUpTo(e.fs, name, tips.MaxBookBytes)
	var book *tips.Book
	if err == nil {
		book, err = tips.DecodeBook(data)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // gateways of earlier versions have none
	case errors.Is(err, durable.ErrTooLarge), errors.Is(err, record.ErrCorrupt), errors.Is(err, record.ErrVersion):
		e.notes = append(e.notes, fmt.Sprintf("where the gateway's logs ended is not known: %s: %v", name, err))
		return nil
	case err != nil:
		return err
	}
	for _, gateway := range book.Names() {
		for _, t := range book.Body(gateway, 0).Logs {
			e.books = append(e.books, bookLog{gateway, t})
		}
	}
	return nil
}

// compareBook finds logs that end elsewhere than the gateway noted, at the edge and
// in the lake.
func (a *audit) compareBook() {
	for i := range a.edge.books {
		t := &a.edge.books[i]
		k := a.keyOf(t.gateway, t.Log)
		if s := a.edge.logs[t.Log]; s != nil && s.end < t.End && (s.segments || s.newest) {
			a.edgeShort(k, uint64(s.end), uint64(t.End), fmt.Sprintf("the gateway noted its end at offset %s", t.End))
		}
		have := uint64(0)
		if l := a.logs[k]; l != nil {
			have = l.found()
		}
		var f Finding
		switch end, acked := uint64(t.End), uint64(t.Acked); {
		case t.Closed && have > end:
			f = k.of(KindEdge, "log %s of %s ended at offset %d, as the gateway noted, and the lake has it up to %d", k.log, k.gateway, end, have)
			f.Offsets = offsets(end, have)
		case acked > have:
			f = k.of(KindEdge, "the cloud acknowledged log %s of %s up to offset %d, as the gateway noted, and the lake has it up to %d: not published yet, or lost; audit again after the engine's next epoch",
				k.log, k.gateway, acked, have)
			f.Offsets = offsets(have, acked)
		default:
			continue
		}
		a.find(f)
	}
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
// What has landed and the gateway keeps until it is published is said only.
func (a *audit) compareAcked() {
	for _, n := range a.edge.notes {
		a.note("%s", n)
	}
	for _, k := range a.edge.acked {
		l, have := a.logs[a.keyOf(k.gateway, k.log)], uint64(0)
		if l != nil {
			have = l.found()
		}
		if k.settled <= have {
			if k.landed > have {
				a.note("log %.8s of %s has landed up to offset %d and is in the lake up to %d: the gateway keeps the rest until it is published", k.log, k.gateway, k.landed, have)
			}
			continue
		}
		f := logKey{k.gateway, k.log}.of(KindEdge, "the cloud acknowledged log %s of %s up to offset %d, and the lake has it up to %d: not published yet, or lost; audit again after the engine's next epoch",
			k.log, k.gateway, k.settled, have)
		if k.published {
			f = logKey{k.gateway, k.log}.of(KindEdge, "the cloud told the gateway that log %s of %s is published up to offset %d, and the lake has it up to %d: it is lost, or an older lake was put back", k.log, k.gateway, k.settled, have)
		}
		f.Offsets = offsets(have, k.settled)
		a.find(f)
	}
}
