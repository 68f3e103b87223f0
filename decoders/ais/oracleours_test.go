package ais_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
)

// corpusDir is where the recorded sentences and their expected decodes lie.
func corpusDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "ais")
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no corpus: %v", err)
		}
		t.Skipf("no corpus of recorded AIS data (set LANDFALL_CORPUS): %v", err)
	}
	return dir
}

// content returns a file's bytes, unpacked when its name ends in .gz.
func content(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fields is a decoded message as names and values in text: what two decoders
// are compared by.
type fields map[string]string

// String is the same text for the same fields.
func (f fields) String() string {
	var all []string
	for k, v := range f {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// heard is one AIS sentence of a file.
type heard struct {
	bare string // from '!' to the checksum
	vdm  nmea.VDM
	bad  bool // its checksum is missing or wrong
	line int  // in the file, from 1
}

// message is one message that the assembler made, or one sentence it could not
// use.
type message struct {
	parts   []*heard
	payload []byte
	fill    int
	err     error // of Decode
	header  ais.Header
	view    gpsdView
	scaled  fields // for AIS-catcher
}

// key names the sentences a message was made of.
func (m *message) key() string {
	var all []string
	for _, p := range m.parts {
		all = append(all, p.bare)
	}
	return sentencesKey(all)
}

func sentencesKey(bare []string) string {
	bare = slices.Clone(bare)
	slices.Sort(bare)
	return strings.Join(bare, "\n")
}

func (m *message) bits() int { return 6*len(m.payload) - m.fill }

// recording is a file as we read it.
type recording struct {
	sentences []*heard // every AIS sentence, in the file's order
	messages  []*message
	rejected  []*message // whole, but Decode refuses them
	orphans   []*heard   // fragments of no message
}

// record reads a file as a gateway and the engine do.
func readRecording(t testing.TB, data []byte) *recording {
	t.Helper()
	r := &recording{}
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	var rows ais.Rows
	byPlace := map[int64]*heard{} // the assembler hands back times: ours number the sentences
	take := func(groups []nmea.Group) {
		for i := range groups {
			g := &groups[i]
			var parts []*heard
			for j := range g.Parts {
				parts = append(parts, byPlace[g.Parts[j].At])
			}
			if !g.Complete {
				r.orphans = append(r.orphans, parts...)
				continue
			}
			m := decodeMessage(&rows, parts, g.Payload, g.Fill)
			if m.err != nil {
				r.rejected = append(r.rejected, m)
				continue
			}
			r.messages = append(r.messages, m)
		}
	}
	var pieces []nmea.Sentence
	for n, line := range bytes.Split(data, []byte("\n")) {
		pieces = nmea.Split(bytes.TrimSuffix(line, []byte("\r")), pieces[:0])
		for i := range pieces {
			s := &pieces[i]
			if s.Kind != nmea.KindVDM {
				continue
			}
			v, err := nmea.ParseVDM(s.Body)
			at := bytes.Index(s.Raw, s.Body)
			h := &heard{
				bare: string(s.Raw[at:min(at+len(s.Body)+3, len(s.Raw))]), vdm: v, line: n + 1,
				bad: s.Flags&(nmea.FlagBadChecksum|nmea.FlagNoChecksum) != 0,
			}
			h.vdm.Payload = bytes.Clone(v.Payload)
			r.sentences = append(r.sentences, h)
			if h.bad || err != nil {
				continue
			}
			place := int64(len(r.sentences)) // a microsecond a sentence: nothing times out
			byPlace[place] = h
			take(a.Add(0, s, v, place))
		}
	}
	take(a.Flush())
	return r
}

// decodeMessage decodes one payload and keeps what is compared of it.
func decodeMessage(rows *ais.Rows, parts []*heard, payload []byte, fill int) *message {
	m := &message{parts: parts, payload: bytes.Clone(payload), fill: fill}
	m.err = ais.Decode(payload, fill, rows)
	m.header = rows.Header
	if m.err == nil {
		m.view = viewAsGpsd(rows, m.bits())
		m.scaled = viewAsCatcher(rows)
	}
	return m
}

// joined is what a decoder that joins two fragments gets.
func joined(a, b *heard) *message {
	var rows ais.Rows
	payload := append(bytes.Clone(a.vdm.Payload), b.vdm.Payload...)
	return decodeMessage(&rows, []*heard{a, b}, payload, b.vdm.Fill)
}

func orElse[T any](o ais.Opt[T], sentinel T) T {
	if o.Valid {
		return o.Value
	}
	return sentinel
}

// raw is a column as the integer it was sent as.
func raw(o ais.Opt[float64], sentinel, unit float64) string {
	if !o.Valid {
		return fmt.Sprintf("%.0f", sentinel)
	}
	return fmt.Sprintf("%.0f", o.Value*unit)
}

// number writes an integer column or its sentinel.
func number[T uint8 | int8 | uint16 | uint32](o ais.Opt[T], sentinel T) string {
	return fmt.Sprint(orElse(o, sentinel))
}

func truth(o ais.Opt[bool]) string { return fmt.Sprint(o.Value) }

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
