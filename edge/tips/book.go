package tips

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"landfall/edge/record"
	"landfall/edge/textfile"
)

// Book is what a gateway remembers. The zero value is empty. It is not safe for
// concurrent use.
//
// Its file, version 2, is one line of text, then JSON to the end:
//
//	landfall-tip-book 2 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"names":[{"gateway":"…","merged":{…},"logs":[{…}, …]}, …],"anchors":[{…}, …]}\n
//
// A gateway that was renamed has an entry for each name it had, the newest last:
// its logs landed under the name of their time. Version 1 had no anchors: its JSON
// is the list of the names alone.
type Book struct {
	names   []remembered
	anchors []Anchor // the task that was heard of last is last
}

// bookJSON is the file's JSON.
type bookJSON struct {
	Names   []remembered `json:"names"`
	Anchors []Anchor     `json:"anchors"`
}

// remembered is the logs that a gateway wrote under one name.
type remembered struct {
	Gateway string `json:"gateway"`
	Merged  Merged `json:"merged"`
	Logs    []Tip  `json:"logs"` // in opening order
}

const (
	bookMagic   = "landfall-tip-book"
	bookVersion = 2
	// MaxBookBytes bounds the file.
	MaxBookBytes = 16 << 20
	// maxUnacked is how many tips are kept one by one when the oldest of them
	// stays unacknowledged: a log that was deleted by hand must not fill the disk.
	maxUnacked = 8 * MaxLogs
)

// Learn takes what is known now of logs, in opening order, and reports whether any
// of it is news. New logs belong to the given name, and are the newest. A known
// one is never lowered: an end before the one that is known is kept out, because
// the known one is evidence that there was more.
func (b *Book) Learn(gateway string, found []Tip) (news bool) {
	merged := 0 // index in found: unknown logs before it were merged earlier; skip them
	for i := range found {
		if b.find(found[i].Log) != nil || b.IsLastMerged(found[i].Log) {
			merged = i + 1
		}
	}
	for i, t := range found {
		switch known := b.find(t.Log); {
		case known != nil:
			news = known.raise(t) || news
		case i >= merged:
			r := b.of(gateway)
			r.Logs = append(r.Logs, t)
			news = true
		}
	}
	b.merge()
	return news
}

// IsLastMerged tells whether a log is the newest one of those that are merged.
func (b *Book) IsLastMerged(log string) bool {
	for i := range b.names {
		if b.names[i].Merged.Last == log {
			return true
		}
	}
	return false
}

// raise takes what another tip of the same log knows more.
func (t *Tip) raise(other Tip) bool {
	was := *t
	if other.End > t.End {
		t.End, t.Digest, t.Chain = other.End, other.Digest, other.Chain
	}
	if other.End == t.End {
		t.Digest, t.Chain = cmp.Or(t.Digest, other.Digest), cmp.Or(t.Chain, other.Chain)
	}
	t.Closed = t.Closed || other.Closed
	t.Acked = max(t.Acked, other.Acked)
	return *t != was
}

// Acked notes that the cloud has everything of a log below an offset, and reports
// whether that is news. A log that is not known is passed over.
func (b *Book) Acked(log string, below record.Offset) bool {
	t := b.find(log)
	if t == nil || below <= t.Acked {
		return false
	}
	t.Acked = below
	b.merge()
	return true
}

// merge bounds how many tips are kept one by one.
func (b *Book) merge() {
	for i := range b.names {
		for r := &b.names[i]; len(r.Logs) > maxUnacked || len(r.Logs) > MaxLogs && r.Logs[0].whole(); r.Logs = r.Logs[1:] {
			r.Merged = r.Merged.Merge(r.Logs[0])
		}
	}
}

// whole tells whether nothing more can become of a log: it is closed, and the
// cloud has all of it.
func (t *Tip) whole() bool { return t.Closed && t.Acked >= t.End }

// Find returns the tip of a log that is kept by itself.
func (b *Book) Find(log record.LogID) (Tip, bool) {
	if t := b.find(log.String()); t != nil {
		return *t, true
	}
	return Tip{}, false
}

func (b *Book) find(log string) *Tip {
	for i := range b.names {
		for k := range b.names[i].Logs {
			if t := &b.names[i].Logs[k]; t.Log == log {
				return t
			}
		}
	}
	return nil
}

func (b *Book) of(gateway string) *remembered {
	for i := range b.names {
		if b.names[i].Gateway == gateway {
			return &b.names[i]
		}
	}
	b.names = append(b.names, remembered{Gateway: gateway})
	return &b.names[len(b.names)-1]
}

// Names lists the names the gateway had, in the order in which it got them.
func (b *Book) Names() []string {
	var names []string
	for i := range b.names {
		names = append(names, b.names[i].Gateway)
	}
	return names
}

// Kept is a tip that is kept by itself, with the name that the gateway had then.
type Kept struct {
	Gateway string
	Tip
}

// InOrder returns all tips that are kept by themselves, in the order in which the logs
// were opened, also where the gateway was renamed and got an earlier name again.
func (b *Book) InOrder() []Kept {
	byLog := make(map[string]Kept)
	var listed, ordered []Kept
	for i := range b.names {
		for _, t := range b.names[i].Logs {
			byLog[t.Log] = Kept{b.names[i].Gateway, t}
			listed = append(listed, byLog[t.Log])
		}
	}
	for _, k := range listed {
		from := len(ordered)
		for ok := true; ok; k, ok = byLog[k.Previous] {
			if _, waits := byLog[k.Log]; !waits {
				break // it stands there, and what is before it
			}
			delete(byLog, k.Log)
			ordered = append(ordered, k)
		}
		slices.Reverse(ordered[from:])
	}
	return ordered
}

// Body returns what a document says of the logs under one name. Anchors have no
// name: they are in the document of each.
func (b *Book) Body(gateway string, at record.Micros) Body {
	body := Body{Gateway: gateway, MadeAt: at, Logs: []Tip{}, Anchors: b.Anchors()}
	for i := range b.names {
		if r := &b.names[i]; r.Gateway == gateway {
			body.Merged, body.Logs = r.Merged, append(body.Logs, r.Logs...)
		}
	}
	return body
}

// Encode returns the bytes of the file.
func (b *Book) Encode() ([]byte, error) {
	return textfile.Encode(bookMagic, bookVersion,
		bookJSON{Names: append([]remembered{}, b.names...), Anchors: append([]Anchor{}, b.anchors...)})
}

// DecodeBook reads what Encode wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func DecodeBook(p []byte) (*Book, error) {
	version, text, err := textfile.Decode(bookMagic, bookVersion, p)
	if err != nil {
		return nil, err
	}
	b, err := decodeText(text, version)
	if err != nil {
		return nil, err
	}
	for i := range b.names {
		if err := (&Body{Gateway: b.names[i].Gateway, Merged: b.names[i].Merged, Logs: b.names[i].Logs}).check(); err != nil {
			return nil, fmt.Errorf("read book of tips: %w", err)
		}
	}
	if err := checkAnchors(b.anchors); err != nil {
		return nil, fmt.Errorf("read book of tips: %w", err)
	}
	return b, nil
}

// decodeText reads the JSON of one version's file. Error: record.ErrCorrupt.
func decodeText(text []byte, version int) (*Book, error) {
	var j bookJSON
	to := any(&j)
	if version == 1 {
		to = &j.Names
	}
	if err := json.Unmarshal(text, to); err != nil {
		return nil, fmt.Errorf("read book of tips: %w: %w", record.ErrCorrupt, err)
	}
	return &Book{names: j.Names, anchors: j.Anchors}, nil
}
