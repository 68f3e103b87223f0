package agent

import (
	"fmt"
	"sync"

	"landfall/decoders/nmea"
	"landfall/decoders/sensor"
	"landfall/edge/source"
)

// probeSink looks at what comes and keeps the first of each kind.
type probeSink struct {
	done chan struct{} // closed when want readings have come
	want int           // 0: never

	mu       sync.Mutex
	seen     *Seen           // guarded by mu
	shown    map[string]bool // kinds of what is kept; guarded by mu
	readings int             // guarded by mu
	full     bool            // done is closed; guarded by mu
	unusable int             // readings that are bad, of a source that asks; guarded by mu
}

// The most that is shown, of all kinds and of lines that are no sentences.
const (
	probeSamples = 12
	probeNoise   = 3
)

// Deliver implements source.Sink.
func (p *probeSink) Deliver(b *source.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.Lines {
		l := &b.Lines[i]
		p.seen.Lines++
		if !l.Reading {
			p.line(l.Data)
			continue
		}
		var r sensor.Report
		if err := r.Decode(l.Data, nil); err != nil {
			p.show(err.Error(), err.Error())
			continue
		}
		p.report(&r)
	}
	if b.Durable != nil {
		b.Durable() // only the trial's own session waits for it: its broker holds back what follows
	}
	if p.want > 0 && p.readings >= p.want && !p.full {
		p.full = true
		close(p.done)
	}
	return nil
}

// show keeps the first of a kind.
func (p *probeSink) show(kind, text string) {
	if p.shown == nil {
		p.shown = map[string]bool{}
	}
	if !p.shown[kind] && len(p.seen.Sample) < probeSamples {
		p.shown[kind] = true
		p.seen.Sample = append(p.seen.Sample, text)
	}
}

// maxSentences bounds the kinds of sentence that are counted: noise may look like
// any number of them.
const maxSentences = 256

// line counts and shows a line by the sentences in it.
func (p *probeSink) line(data []byte) {
	for _, s := range nmea.Split(data, nil) {
		name := ""
		if s.Kind != nmea.KindText && s.Flags&(nmea.FlagBadChecksum|nmea.FlagMalformed) == 0 {
			name = string(s.Talker) + string(s.Formatter)
		}
		if _, known := p.seen.Sentences[name]; !known && len(p.seen.Sentences) >= maxSentences {
			name = ""
		}
		p.seen.Sentences[name]++
		kind := name
		if name == "" {
			kind = fmt.Sprint("noise ", min(p.seen.Sentences[""], probeNoise))
		}
		p.show(kind, fmt.Sprintf("%.120q", data))
	}
}

func (p *probeSink) report(r *sensor.Report) {
	if r.Reason != "" {
		p.show(r.Address+" "+r.Reason, fmt.Sprintf("%s: %s: %.120q", r.Address, r.Reason, r.Payload))
	}
	for _, g := range r.Readings {
		p.readings++
		if p.want > 0 && !g.Quality.Usable() {
			p.unusable++
		}
		value := "no value"
		switch g.Kind {
		case sensor.Number:
			value = fmt.Sprint(g.Number)
		case sensor.Text:
			value = fmt.Sprintf("%.60q", g.Text)
		}
		if g.Unit != "" && g.Kind == sensor.Number {
			value += " " + g.Unit
		}
		if g.Quality != sensor.QualityUnknown {
			value += " (" + g.Quality.String() + ")"
		}
		p.show(g.Sensor+" "+g.Metric, fmt.Sprintf("%s: %s %s: %s", r.Address, g.Sensor, g.Metric, value))
	}
}

// Position implements source.Sink: a trial begins at nothing.
func (p *probeSink) Position(string) []byte { return nil }

// Marks implements source.Sink.
func (p *probeSink) Marks(string) []string { return nil }
