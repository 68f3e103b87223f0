package replay

import (
	"fmt"
	"slices"
	"time"

	"landfall/edge/capture"
	"landfall/edge/record"
)

// The bounds of a block. They are part of what Version stands for.
const (
	blockRecords = 4096
	blockBytes   = 512 << 10
)

// digestVersion is the first Version whose blocks carry the digest of the log.
const digestVersion = 2

// sourceName stands in the column source. A file's own name would make rows
// depend on it.
const sourceName = "replay"

// packer packs captured records into chained blocks.
type packer struct {
	log      *Log
	hand     func(block []byte, end record.Offset) error
	capturer *capture.Capturer
	stream   *capture.Stream
	builder  record.Builder
	next     record.Offset
	prev     record.Hash
	digester record.Digester
	digest   record.Digest // of the log at next
	times    recentTimes
	err      error // the first error; nothing is packed after it
}

func newPacker(l *Log, hand func([]byte, record.Offset) error) *packer {
	p := &packer{log: l, hand: hand, digester: record.NewDigester(l.id), times: recentTimes{watermark: record.NoTime}}
	p.capturer = capture.New(capture.Config{Replay: true, BaseTime: l.opt.BaseTime, Emit: p.add})
	p.stream = p.capturer.Stream(0, sourceName)
	p.builder.Reset()
	opening := record.Opening{PrevLastAt: record.NoTime, OpenedAt: l.opt.BaseTime}
	p.add(&record.Record{Kind: record.KindLogOpen, ReceivedAt: l.opt.BaseTime, EventTime: record.NoTime, Raw: opening.Encode()})
	return p
}

// line captures one line of the file.
func (p *packer) line(line []byte, truncated bool) {
	if p.err == nil {
		p.capturer.Feed(p.stream, line, truncated, capture.Receipt{})
	}
}

// add packs one record.
func (p *packer) add(r *record.Record) {
	if p.err != nil {
		return
	}
	if p.builder.Count() >= blockRecords || p.builder.Size()+len(r.Raw) > blockBytes {
		p.seal()
	}
	if r.TimeSource != record.TimeNone && r.TimeSource != record.TimeBase {
		p.times.observe(r.EventTime)
	}
	if err := p.builder.Add(r); err != nil && p.err == nil {
		p.err = fmt.Errorf("replay %s: record %d: %w", p.log.path, p.next+record.Offset(p.builder.Count()), err)
	}
}

// finish packs what waits for partners that never came.
func (p *packer) finish() error {
	p.capturer.Flush()
	if p.builder.Count() > 0 {
		p.seal()
	}
	return p.err
}

// seal ends the block and hands it over.
func (p *packer) seal() {
	annotations := []record.Annotation{record.SourceName{Source: 0, Name: sourceName}.Annotation()}
	if p.times.watermark != record.NoTime {
		annotations = append(annotations, record.Watermark{At: p.times.watermark}.Annotation())
	}
	for _, a := range annotations {
		if err := p.builder.Annotate(a); err != nil && p.err == nil {
			p.err = fmt.Errorf("replay %s: %w", p.log.path, err)
		}
	}
	if p.err != nil {
		return
	}
	if p.log.opt.Version >= digestVersion {
		p.digest += p.builder.DigestAt(&p.digester, p.next)
		p.builder.SetDigest(p.digest)
	}
	block := p.builder.Seal(p.log.id, p.next, p.prev)
	p.next += record.Offset(p.builder.Count())
	p.prev = record.HashBlock(block)
	p.err = p.hand(block, p.next)
	p.builder.Reset()
}

// disorder is how much older than those around it an event may be without being
// late.
const disorder = record.Micros(time.Minute / time.Microsecond)

// recentTimes makes a watermark of the event times in a file, where there is no
// receipt clock to hold them against: the least of the last ones, less the
// disorder. A single time from the far future is never the least, and a gap in
// the recording is passed after as many records as are looked at.
type recentTimes struct {
	last      [16]record.Micros
	count     int
	watermark record.Micros
}

func (t *recentTimes) observe(at record.Micros) {
	t.last[t.count%len(t.last)] = at
	t.count++
	if t.count < len(t.last) {
		return
	}
	if w := slices.Min(t.last[:]) - disorder; w > t.watermark {
		t.watermark = w
	}
}
