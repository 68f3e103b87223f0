package tampertest

import (
	"fmt"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/decoders/sensor"
	"landfall/edge/capture"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/source"
)

// recorder packs captured records into blocks of a log.
type recorder struct {
	t         testing.TB
	store     *seglog.Store
	builder   record.Builder
	watermark record.Micros // of the blocks to come; record.NoTime: none yet
	newest    record.Micros
}

// captureLog captures about n records of harbour traffic and of sensors into a
// new log.
func captureLog(t testing.TB, store *seglog.Store, gateway, log, n int) {
	t.Helper()
	const lasts = 20 * time.Minute
	h, err := aissim.New(aissim.Config{
		Seed: uint64(100*gateway + log + 1), Start: int64(logBegin(log)), Ships: 120, BaseStations: 3, AtoNs: 5, Tag: aissim.TagMillis,
		Receivers: []aissim.Receiver{{Name: sourceName(0)}, {Name: sourceName(1), Talker: "BS", Hears: 0.6}},
		Rate:      float64(n) / lasts.Seconds(), Noise: 0.01, LostFragments: 0.02, Disorder: 0.02,
	})
	must(t, err)
	r := &recorder{t: t, store: store, watermark: record.NoTime, newest: record.NoTime}
	r.builder.Reset()
	c := capture.New(capture.Config{Emit: r.add})
	records := func() int { return int(c.Counts().Records) }
	for i := 0; records() < n; i++ {
		l := h.Next()
		if l.Kind == aissim.KindLost {
			continue
		}
		at := capture.Receipt{At: record.Micros(l.At), Monotonic: l.At - int64(logBegin(log))}
		c.Feed(c.Stream(uint32(l.Receiver), sourceName(l.Receiver)), l.Text, false, at)
		if i%40 == 7 {
			c.Feed(c.Stream(2, sourceName(2)), sounding(i, l.At), false, at)
		}
		if i%60 == 11 {
			report := meter(i, l.At)
			c.Reading(c.Stream(3, sourceName(3)), &report, at)
		}
	}
	c.Flush()
	r.seal()
}

// sounding is a line of an echo sounder; some tell of a time long past.
func sounding(i int, at int64) []byte {
	if i%400 == 7 && i > 800 {
		at -= 5 * time.Minute.Microseconds()
	}
	tag := sentence(`\`, fmt.Sprintf("c:%d", at/1000))
	return []byte(tag + `\` + sentence("$", fmt.Sprintf("SDDPT,%d.5,0.5,", i%50)))
}

// meter is a report of a meter with a number and a text.
func meter(i int, at int64) source.Line {
	report := sensor.Report{Address: "40001", Payload: []byte{1, 2, byte(i)}, Readings: []sensor.Reading{
		{Sensor: "pump", Metric: "pressure", Unit: "bar", Kind: sensor.Number, Number: float64(i%17) / 4, HasTime: true, Time: at},
		{Sensor: "pump", Metric: "state", Kind: sensor.Text, Text: fmt.Sprint("step ", i%5), HasTime: true, Time: at},
	}}
	return source.Line{Data: report.Append(nil), Time: record.Micros(at)}
}

// add packs one record.
func (r *recorder) add(rec *record.Record) {
	if rec.TimeSource == record.TimeTag {
		r.newest = max(r.newest, rec.EventTime)
	}
	must(r.t, r.builder.Add(rec))
	if r.builder.Count() >= blockRecords {
		r.seal()
	}
}

// seal ends a block: what the gateway knows of its sources, its boot and its
// watermark goes with it.
func (r *recorder) seal() {
	if r.builder.Count() == 0 {
		return
	}
	for i, name := range sourceNames() {
		must(r.t, r.builder.Annotate(record.SourceName{Source: uint32(i), Name: name}.Annotation()))
	}
	must(r.t, r.builder.Annotate(record.Annotation{Type: record.AnnBoot, Body: []byte("boot-of-the-test")}))
	if r.newest != record.NoTime {
		r.watermark = max(r.watermark, r.newest-30*1_000_000)
		must(r.t, r.builder.Annotate(record.Watermark{At: r.watermark}.Annotation()))
	}
	_, err := r.store.Append(&r.builder)
	must(r.t, err)
	r.builder.Reset()
}
