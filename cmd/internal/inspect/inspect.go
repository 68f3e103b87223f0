// Package inspect prints blocks as text: those of an edge's segment, or of any
// other file that holds them.
//
// In:  a file, read from the front with bounded memory.
// Out: a line a block, and a line a record when asked.
//
// Invariants
//
//  1. Nothing is trusted: blocks are found by their magic and shown only when
//     their CRC and structure hold. What lies between them is counted.
//  2. The file is only read.
package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/cmd/internal/cli"
	"landfall/decoders/sensor"
	"landfall/edge/durable"
	"landfall/edge/record"
)

// Options say what is printed.
type Options struct {
	Records bool // each record too
	JSON    bool // a JSON object a line
	// Payload, when set, is told of each payload of a block in place of
	// decoding it as a captured record.
	Payload func(off record.Offset, payload []byte) (string, error)
}

// blockLine is one block as JSON.
type blockLine struct {
	At      int64    `json:"at"`
	Kind    string   `json:"kind"`
	Log     string   `json:"log"`
	First   uint64   `json:"first"`
	End     uint64   `json:"end"`
	Bytes   int      `json:"bytes"`
	Prev    string   `json:"prev"`
	Hash    string   `json:"hash"`
	Notes   []string `json:"annotations"`
	Records []string `json:"records,omitempty"`
}

// window is how much of the file is held: two of the largest blocks.
const window = 2 * record.MaxBlockBytes

// ErrNoLog says that a file holds no block, and does not begin as a segment of a log.
var ErrNoLog = errors.New("it is no log: there is no block in it")

// segmentMagic is how a segment begins, also one that has no block yet.
const segmentMagic = "LFS"

// File prints the blocks of a file. Error: ErrNoLog, with exit code 65.
func File(fsys durable.FS, name string, w io.Writer, o Options) (err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("inspect %s: %w", name, err)
	}
	blocks, bad, segment := 0, 0, false
	buf := make([]byte, min(size, window))
	for at := int64(0); at < size; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("inspect %s at %d: %w", name, at, err)
		}
		last := at+int64(n) >= size
		segment = segment || at == 0 && bytes.HasPrefix(buf[:n], []byte(segmentMagic))
		used, found, damaged, err := scan(buf[:n], at, last, w, o)
		if err != nil {
			return err
		}
		blocks, bad, at = blocks+found, bad+damaged, at+int64(used)
		if n == 0 {
			break
		}
	}
	if blocks+bad == 0 && !segment {
		return cli.Fail(cli.ExitData, fmt.Errorf("inspect %s: %w", name, ErrNoLog))
	}
	if !o.JSON {
		_, err = fmt.Fprintf(w, "%s: %d bytes, %d blocks, %d places that begin like a block and are none\n", name, size, blocks, bad)
	}
	return err
}

// scan prints the blocks in p, which lies at base of the file, and gives how
// many bytes need not be looked at again.
func scan(p []byte, base int64, last bool, w io.Writer, o Options) (used, found, damaged int, err error) {
	magic := []byte("LFB\x01")
	for {
		i := bytes.Index(p[used:], magic)
		if i < 0 {
			if last {
				return len(p), found, damaged, nil
			}
			return max(used, len(p)-len(magic)+1), found, damaged, nil
		}
		used += i
		if !last && len(p)-used < record.MaxBlockBytes {
			if used == 0 {
				return 1, found, damaged, nil
			}
			return used, found, damaged, nil
		}
		block, ok := parse(p[used:])
		if !ok {
			used, damaged = used+len(magic), damaged+1
			continue
		}
		if err := print(&block, base+int64(used), w, o); err != nil {
			return used, found, damaged, err
		}
		used, found = used+block.Length, found+1
	}
}

func parse(p []byte) (record.Block, bool) {
	h, err := record.ParseHeader(p)
	if err != nil || h.Length > len(p) {
		return record.Block{}, false
	}
	b, err := record.Parse(p[:h.Length])
	return b, err == nil
}

func print(b *record.Block, at int64, w io.Writer, o Options) error {
	line := blockLine{
		At: at, Kind: "data", Log: b.Log.String(), First: uint64(b.First), End: uint64(b.End()), Bytes: b.Length,
		Prev: b.Prev.String(), Hash: record.HashBlock(b.Bytes).String(), Notes: []string{},
	}
	if b.Kind == record.BlockLoss {
		line.Kind = "loss"
	}
	for a := range b.Annotations {
		line.Notes = append(line.Notes, annotation(a))
	}
	if o.Records {
		for off, payload := range b.Payloads {
			text, err := describe(b, off, payload, o)
			if err != nil {
				text = err.Error()
			}
			line.Records = append(line.Records, text)
		}
	}
	if o.JSON {
		data, err := json.Marshal(line)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", data)
		return err
	}
	if _, err := fmt.Fprintf(w, "@%d %s log %s [%d, %d) %d bytes, prev %s, hash %s\n", at, line.Kind, line.Log, line.First, line.End, line.Bytes, line.Prev[:8], line.Hash[:8]); err != nil {
		return err
	}
	for _, s := range append(line.Notes, line.Records...) {
		if _, err := fmt.Fprintf(w, "    %s\n", s); err != nil {
			return err
		}
	}
	return nil
}

func describe(b *record.Block, off record.Offset, payload []byte, o Options) (string, error) {
	if o.Payload != nil {
		return o.Payload(off, payload)
	}
	var r record.Record
	if err := b.DecodeRecord(payload, &r); err != nil {
		return "", err
	}
	if r.Kind == record.KindLogOpen {
		if op, err := record.DecodeOpening(r.Raw); err == nil {
			later := ""
			if op.PrevEndUnproven {
				later = " or later"
			}
			return fmt.Sprintf("%d opening: previous log %s ended at %d%s, opened %s, cut %d bytes", off, op.Prev, op.PrevEnd, later, cli.Time(op.OpenedAt), op.CutTailBytes), nil
		}
	}
	content := fmt.Sprintf("%q", r.Raw)
	if r.Kind == record.KindReading {
		content = describeReport(r.Raw)
	}
	return fmt.Sprintf("%d %s source %d received %s event %s (%s, %s) [%s] %s", off, r.Kind, r.Source, cli.Time(r.ReceivedAt),
		cli.Time(r.EventTime), r.TimeSource, r.TimeQuality, r.Flags, content), nil
}

// describeReport shows a report of sensor readings.
func describeReport(raw []byte) string {
	var r sensor.Report
	if err := r.Decode(raw, nil); err != nil {
		return fmt.Sprintf("%v: %q", err, raw)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q payload %q", r.Origin, r.Address, r.Payload)
	if r.Cut {
		b.WriteString(" (cut)")
	}
	if r.Reason != "" {
		fmt.Fprintf(&b, " rejected: %s", r.Reason)
	}
	for _, g := range r.Readings {
		fmt.Fprintf(&b, "\n        %s %s", g.Sensor, g.Metric)
		switch g.Kind {
		case sensor.Number:
			fmt.Fprintf(&b, " %v %s", g.Number, g.Unit)
		case sensor.Text:
			fmt.Fprintf(&b, " %q", g.Text)
		}
		fmt.Fprintf(&b, " (%s)", g.Quality)
		if g.HasTime {
			fmt.Fprintf(&b, " at %s", cli.Time(record.Micros(g.Time)))
		}
		if g.Historical {
			b.WriteString(" historical")
		}
	}
	return b.String()
}

func annotation(a record.Annotation) string {
	switch a.Type {
	case record.AnnSource:
		if s, err := a.SourceName(); err == nil {
			return fmt.Sprintf("source %d is %s", s.Source, s.Name)
		}
	case record.AnnBoot:
		return fmt.Sprintf("boot %x", a.Body)
	case record.AnnMark:
		if m, err := a.Mark(); err == nil {
			return fmt.Sprintf("mark %s: %x", m.Name, m.Value)
		}
	case record.AnnWatermark:
		if m, err := a.Watermark(); err == nil {
			name := m.Source
			if name == "" {
				name = "the gateway"
			}
			return fmt.Sprintf("watermark of %s: %s, idle %v", name, cli.Time(m.At), m.Idle)
		}
	case record.AnnDigest:
		if d, err := a.Digest(); err == nil {
			return fmt.Sprintf("digest of the log up to here: %s", d)
		}
	case record.AnnLoss:
		return fmt.Sprintf("given up: %s", a.Body)
	}
	return fmt.Sprintf("annotation %d: %x", a.Type, a.Body)
}
