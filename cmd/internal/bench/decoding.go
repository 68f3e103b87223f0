package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
)

// decoding measures a recording's sentence bytes to typed rows of all types, on
// one core, in turn with gpsdecode on the same sentences where it is installed.
func decoding(ctx context.Context, cfg Config) ([]row, error) {
	lines, name, err := recording(cfg)
	if err != nil {
		return nil, err
	}
	peer, feed := newGpsdecode(), bareSentences(lines)
	var ours, theirs, ratio, allocs []float64
	sentences := 0
	for range max(3, cfg.Rounds/2) {
		var a, mallocs float64
		if sentences, a, mallocs = sentencesToRows(lines, min(2_000_000, 30*len(lines))); sentences == 0 {
			return nil, fmt.Errorf("measure decoding: no AIS message in %s", name)
		}
		ours, allocs = append(ours, a), append(allocs, mallocs)
		if peer == nil {
			continue
		}
		b, err := peer.rate(ctx, feed, len(lines))
		if err != nil {
			return nil, err
		}
		theirs, ratio = append(theirs, b), append(ratio, a/b)
	}
	r := row{
		what: fmt.Sprintf("decoding %s (%d lines) to typed rows, one core", name, len(lines)),
		ours: rate(median(ours), "sentences"), limit: noGpsdecode, aim: "4 M/s",
	}
	if peer != nil {
		r.limit, r.ratio = rate(median(theirs), "sentences")+" gpsdecode, to JSON", fmt.Sprintf("%.1f x", median(ratio))
	}
	return []row{r, {what: "the same, allocations a sentence, rare types included", ours: fmt.Sprintf("%.4f", median(allocs))}}, nil
}

// recording gives the lines of the configured recording, else of simulated
// traffic.
func recording(cfg Config) (lines [][]byte, name string, err error) {
	path := cfg.Recording
	if path == "" {
		path = filepath.Join(cfg.Dir, "simulated.nmea")
		if _, err := simulate(path, min(100_000, cfg.Sentences)); err != nil {
			return nil, "", err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("read the recording: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, "", fmt.Errorf("read the recording: %w", err)
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, "", fmt.Errorf("read the recording: %w", err)
	}
	for line := range bytes.Lines(text) {
		lines = append(lines, bytes.TrimRight(line, "\r\n"))
	}
	return lines, filepath.Base(path), nil
}

// typedRows is decoded rows as a batch keeps them.
type typedRows struct {
	positions []ais.Position
	statics   []ais.Static
	stations  []ais.BaseStation
	aids      []ais.AtoN
	binaries  []ais.Binary
	safeties  []ais.Safety
	others    []ais.Other
	data      []byte
}

func (k *typedRows) keep(r *ais.Rows) {
	if r.HasPosition {
		k.positions = append(k.positions, r.Position)
	}
	if r.HasStatic {
		k.statics = append(k.statics, r.Static)
	}
	switch {
	case r.HasBaseStation:
		k.stations = append(k.stations, r.BaseStation)
	case r.HasAtoN:
		k.aids = append(k.aids, r.AtoN)
	case r.HasBinary:
		k.data = append(k.data, r.Binary.Data...)
		k.binaries = append(k.binaries, r.Binary)
	case r.HasSafety:
		k.safeties = append(k.safeties, r.Safety)
	case r.HasOther:
		k.others = append(k.others, r.Other)
	}
}

func (k *typedRows) reset() {
	*k = typedRows{
		k.positions[:0], k.statics[:0], k.stations[:0], k.aids[:0], k.binaries[:0], k.safeties[:0], k.others[:0], k.data[:0],
	}
}

// sentencesToRows splits, parses, assembles and decodes at least n lines, the
// recording over and over, and keeps the rows in batches. It gives the AIS
// sentences among them, how many a second, and the allocations a sentence.
func sentencesToRows(lines [][]byte, n int) (sentences int, perSecond, allocs float64) {
	var rows ais.Rows
	var kept typedRows
	var pieces []nmea.Sentence
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for i := 0; i < n; {
		for _, line := range lines {
			if i++; i%4096 == 0 {
				kept.reset()
			}
			pieces = nmea.Split(line, pieces[:0])
			for j := range pieces {
				v, err := nmea.ParseVDM(pieces[j].Body)
				if err != nil {
					continue
				}
				sentences++
				for _, g := range a.Add(0, &pieces[j], v, int64(i)) {
					if g.Complete && ais.Decode(g.Payload, g.Fill, &rows) == nil {
						kept.keep(&rows)
					}
				}
			}
		}
		if sentences == 0 {
			return 0, 0, 0
		}
	}
	elapsed := time.Since(begin)
	runtime.ReadMemStats(&after)
	return sentences, float64(sentences) / elapsed.Seconds(), float64(after.Mallocs-before.Mallocs) / float64(sentences)
}

const noGpsdecode = "gpsdecode is not installed (Debian gpsd-clients)"

// gpsdecoder is gpsd's decoder, as a peer.
type gpsdecoder string

// newGpsdecode gives nil where it is not installed.
func newGpsdecode() *gpsdecoder {
	tool, err := exec.LookPath("gpsdecode")
	if err != nil {
		return nil
	}
	g := gpsdecoder(tool)
	return &g
}

// bareSentences is lines from their '!' on: gpsdecode does not read TAG blocks.
func bareSentences(lines [][]byte) []byte {
	var feed []byte
	for _, line := range lines {
		if i := bytes.IndexByte(line, '!'); i >= 0 {
			feed = append(append(feed, line[i:]...), '\n')
		}
	}
	return feed
}

// rate gives the sentences a second of a feed of n.
func (g *gpsdecoder) rate(ctx context.Context, feed []byte, n int) (float64, error) {
	cmd := exec.CommandContext(ctx, string(*g), "-u", "-j")
	cmd.Stdin = bytes.NewReader(feed)
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("run %s: %w", string(*g), err)
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}
