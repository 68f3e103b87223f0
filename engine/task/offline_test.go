package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/capture"
	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/stream"
)

// afloatClock is a gateway's clock in a bubble; its wall clock is off.
type afloatClock struct {
	booted int64 // of the bubble, microseconds
	off    time.Duration
}

func (c afloatClock) Now() (record.Micros, int64) {
	now := time.Now().UnixMicro()
	return record.Micros(now + c.off.Microseconds()), now - c.booted
}

func (c afloatClock) Boot() clock.BootID { return clock.BootID{byte(c.off)} }

// afloatBus is a bus with a GNSS receiver and an echo sounder.
type afloatBus struct {
	clock clock.Clock
	lasts time.Duration
	wrong int // the sounding, by number, that is said to be of 2038; -1: none
}

func (b *afloatBus) Name() string          { return "bus" }
func (b *afloatBus) Resend() bool          { return false }
func (b *afloatBus) Status() source.Status { return source.Status{} }

func (b *afloatBus) Run(_ context.Context, sink source.Sink) error {
	end := time.Now().Add(b.lasts)
	for n := 0; time.Now().Before(end); n++ {
		now := time.Now().UTC()
		rmc := "GPRMC," + now.Format("150405.00") + ",A,5736.00,N,01124.00,E,0.1,0.0," + now.Format("020106") + ",,,A"
		depth := sentenceOf("$", fmt.Sprintf("SDDPT,%d.5,", n%50))
		if n == b.wrong {
			depth = sentenceOf(`\`, "c:2147483647") + `\` + depth
		}
		wall, mono := b.clock.Now()
		err := sink.Deliver(&source.Batch{Stream: "s", ReceivedAt: wall, Monotonic: mono, Lines: []source.Line{
			{Data: []byte(sentenceOf("$", rmc))}, {Data: []byte(depth)},
		}})
		if err != nil {
			return err
		}
		<-time.After(20 * time.Second)
	}
	return nil
}

func sentenceOf(begin, body string) string {
	sum := byte(0)
	for _, c := range []byte(body) {
		sum ^= c
	}
	return fmt.Sprintf("%s%s*%02X", begin, body, sum)
}

// keptLog is an edge log in memory, of which the times are kept at which blocks
// became durable.
type keptLog struct {
	testLog
	next record.Offset
	prev record.Hash
	at   []record.Micros
}

func (l *keptLog) Marks() map[string][]byte { return nil }

func (l *keptLog) Append(b *record.Builder) (record.Offset, error) {
	n := record.Offset(b.Count())
	if n == 0 {
		return 0, errors.New("empty group")
	}
	block := slices.Clone(b.Seal(l.id, l.next, l.prev))
	l.blocks, l.at = append(l.blocks, block), append(l.at, record.Micros(time.Now().UnixMicro()))
	l.next, l.prev = l.next+n, record.HashBlock(block)
	return l.next, nil
}

// afloat captures with the gateway's own code for as long. After linked it has an
// answer of the ingest.
func afloat(t *testing.T, id byte, lasts, linked, off time.Duration, wrong int) *keptLog {
	l := &keptLog{testLog: testLog{id: record.LogID{id}}}
	synctest.Test(t, func(t *testing.T) {
		c := afloatClock{booted: time.Now().UnixMicro() - 7_000_000, off: off}
		live, err := capture.NewLive(capture.LiveConfig{Log: l, Clock: c, GroupInterval: 30 * time.Second, Sources: []capture.Source{&afloatBus{c, lasts, wrong}}})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-time.After(linked)
			_, mono := c.Now()
			live.Tell(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, UTC: record.Micros(time.Now().UnixMicro()), Mono: mono, Before: mono - 300_000, Trusted: true})
		}()
		if err := live.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return l
}

// drain runs the task until it has committed the blocks that landed, and gives
// the watermarks in its manifest.
func (r *rig) drain(t *testing.T, landed int64) map[string]record.Micros {
	t.Helper()
	var c Counters
	cfg := r.config(&c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg.EpochInterval = time.Millisecond
	cfg.Progress = func(s Status) {
		if s.Position.Offset == landed {
			cancel()
		}
	}
	if err := Run(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"})
	if err != nil {
		t.Fatal(err)
	}
	marks := map[string]record.Micros{}
	for _, w := range m.Watermarks {
		marks[w.Gateway] = w.At
	}
	return marks
}

// figures are what became of a gateway's soundings.
func (r *rig) figures(gateway string) (windows, late, isLate int) {
	for _, row := range r.sink.rows() {
		switch {
		case !strings.HasPrefix(row, gateway+" "):
		case strings.Contains(row, " window "):
			windows++
		case strings.Contains(row, " late "):
			late++
		case strings.Contains(row, " is_late"):
			isLate++
		}
	}
	return windows, late, isLate
}

// TestGatewayBackAfterThreeDays: two gateways sound for three days, one of them
// without a link and with a clock in 1970. While it is away the windows of the
// other close; when it comes back with all of it, none of its rows is late, its
// windows are as many, and those of the other, which goes on, are not late
// either. A sounding that is said to be of 2038 changes nothing of this.
func TestGatewayBackAfterThreeDays(t *testing.T) {
	const days, size = 72 * time.Hour, 10 * time.Minute
	unset := -30 * 365 * 24 * time.Hour // bubbles begin in 2000
	here := afloat(t, 1, days+2*time.Hour, time.Second, time.Second, 5000)
	away := afloat(t, 2, days+30*time.Minute, days, unset, -1)
	r := newRig(t)
	r.windows = operator.WindowConfig{Size: size, AllowedLateness: time.Minute}
	landed := int64(0)
	land := func(gateway string, l *keptLog, i int, at record.Micros) {
		if err := r.log.Append(t.Context(), landing.Landed{Gateway: gateway, LandedAt: at, Block: l.blocks[i]}); err != nil {
			t.Fatal(err)
		}
		landed++
	}
	begin := here.at[0]
	back := begin + record.Micros(days.Microseconds())
	next := 0
	for ; here.at[next] < back; next++ {
		land("here", here, next, here.at[next])
	}
	marks := r.drain(t, landed)
	whole := int(days/size) - 1 // the last one stands open
	if windows, late, isLate := r.figures("here"); windows < whole || late+isLate > 0 {
		t.Fatalf("while the other was away: %d windows, want %d; %d late, %d is_late", windows, whole, late, isLate)
	}
	if at := marks["here"]; at > back || at < back-record.Micros(5*60*1e6) {
		t.Fatalf("watermark %v, the time is %v", time.UnixMicro(int64(at)).UTC(), time.UnixMicro(int64(back)).UTC())
	}
	for i := range away.blocks { // the other goes on meanwhile
		land("away", away, i, back+record.Micros(i))
		if i%20 == 0 && next < len(here.blocks) {
			land("here", here, next, here.at[next])
			next++
		}
	}
	marks = r.drain(t, landed)
	if windows, late, isLate := r.figures("away"); windows < whole || late+isLate > 0 {
		t.Errorf("back: %d windows, want %d; %d late, %d is_late", windows, whole, late, isLate)
	}
	if windows, late, isLate := r.figures("here"); windows < whole+6 || late+isLate > 0 {
		t.Errorf("the other: %d windows, want %d; %d late, %d is_late", windows, whole+6, late, isLate)
	}
	if marks["away"] < back-record.Micros(5*60*1e6) {
		t.Errorf("watermarks %v", marks)
	}
}
