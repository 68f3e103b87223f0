package source

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"landfall/decoders/sensor"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// logSink is capture with nothing but a log: lines become records, positions marks.
type logSink struct {
	t       *testing.T
	store   *seglog.Store
	marks   map[string][]byte // as of the start
	group   record.Builder
	at      map[string][]byte
	waiters []func()
}

func (s *logSink) Position(mark string) []byte { return s.marks[mark] }

func (s *logSink) Marks(prefix string) (names []string) {
	for name := range s.marks {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func (s *logSink) Deliver(b *Batch) error {
	for i := range b.Lines {
		if err := s.group.AddPayload(b.Lines[i].Data); err != nil {
			return err
		}
	}
	if b.Mark != "" {
		s.at[b.Mark] = b.Position
	}
	if b.Durable != nil {
		s.waiters = append(s.waiters, b.Durable)
	}
	if s.group.Size() > 1<<20 {
		s.commit()
	}
	return nil
}

// commit is C1 of what was delivered.
func (s *logSink) commit() {
	s.t.Helper()
	if s.group.Count() == 0 {
		return
	}
	for name, position := range s.at {
		if err := s.group.Annotate(record.Mark{Name: name, Value: position}.Annotation()); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := s.store.Append(&s.group); err != nil {
		s.t.Fatal(err)
	}
	s.group.Reset()
	clear(s.at)
	for _, durable := range s.waiters {
		durable()
	}
	s.waiters = s.waiters[:0]
}

// gateway is every source that keeps marks, each at its largest documented bound.
type gateway struct {
	t     *testing.T
	fs    *faultfs.FS
	now   record.Micros
	sink  *logSink
	mqtt  []*MQTT
	seen  []*seen
	acked *Acked
	nodes *Nodes
	sent  []uint64 // of each MQTT source
	turn  uint64   // of senders and nodes
	conn  net.Conn
}

const (
	boundMQTT    = 4
	boundFiles   = 16
	boundRestart = 6 * time.Hour
	boundDays    = 72 * time.Hour
)

// largestMarks is what the marks of that gateway are at most: number and bytes, as
// they are told in docs/configuration.md.
func largestMarks() (n int, bytes int64) {
	const mqtt, senders, nodes, file = maxRemember / seenChunk, MaxSenders, maxNodes, boundFiles
	const epochs = MaxEpochSenders * ackedChunks
	return boundMQTT*mqtt + senders - MaxEpochSenders + epochs + nodes + file + 1,
		boundMQTT*mqtt*220 + senders*150 + epochs*290 + nodes*350 + file*700 + 256<<10
}

func (g *gateway) Now() (record.Micros, int64) { return g.now, int64(g.now) }

func (g *gateway) start() {
	g.t.Helper()
	store, err := seglog.Open(seglog.Config{
		FS: g.fs, Dir: "/log", CapturedRecords: false, Now: func() record.Micros { return g.now },
		MarkOwner: MarkOwner, Owners: []string{"mqtt0", "mqtt1", "mqtt2", "mqtt3", "acked"},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	g.sink = &logSink{t: g.t, store: store, marks: store.Marks(), at: map[string][]byte{}}
	g.sink.group.Reset()
	g.mqtt, g.seen = nil, nil
	for i := range boundMQTT {
		cfg := MQTTConfig{
			Options: Options{Name: fmt.Sprintf("mqtt%d", i), Clock: g}, QoS: 1, Remember: maxRemember,
			Broker: BrokerConfig{URL: "mqtt://broker:1883", ClientID: "x"},
			Topics: []MQTTTopic{{"#", sensor.Mapping{Format: sensor.FormatJSON, Sensor: "{1}", SequenceField: "n"}}},
		}
		m := must(NewMQTT(cfg))(g.t)
		seen, err := openSeen(cfg.Name, cfg.Remember, g.sink)
		if err != nil {
			g.t.Fatal(err)
		}
		g.mqtt, g.seen = append(g.mqtt, m), append(g.seen, seen)
	}
	g.acked = must(NewAcked(AckedConfig{Options: Options{Name: "acked", Clock: g}, Listen: "127.0.0.1:0", MaxSenders: MaxSenders}))(g.t)
	g.nodes = new(Nodes)
}

// stop ends the process and the power.
func (g *gateway) stop() {
	g.sink.commit()
	if err := g.sink.store.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.fs.Crash(faultfs.LoseAll, 0)
}

// publish sends messages of a source from one number to another.
func (g *gateway) publish(i int, from, to uint64) {
	g.t.Helper()
	var messages []message
	for n := from; n < to; n++ {
		messages = append(messages, message{topic: "engine", payload: fmt.Appendf(nil, `{"n":%d,"v":1}`, n), qos: 1, ack: func() {}})
	}
	if err := g.mqtt[i].take(messages, &acknowledger{}, g.seen[i], g.sink); err != nil {
		g.t.Fatal(err)
	}
}

// line has a sender of acked and a node say something.
func (g *gateway) line() {
	g.t.Helper()
	g.turn++
	id := fmt.Sprintf("%064d", g.turn%(MaxSenders-MaxEpochSenders))
	s, err := g.acked.sender(id, false, id, g.sink)
	if err != nil {
		g.t.Fatalf("sender %s: %v", id, err)
	}
	l := &ackedLink{conn: g.conn, id: id, sender: s}
	s.take(l)
	if err := g.acked.deliver([]frame{{seq: s.delivered + 1, line: []byte("a line")}}, l, g.sink); err != nil {
		g.t.Fatal(err)
	}
	g.epoch(fmt.Sprintf("%064d", g.turn%MaxEpochSenders))
	node := nodeID{1<<63 + g.turn%maxNodes, 1<<63 + 7}
	state, err := g.nodes.open(node, g.sink)
	if err != nil {
		g.t.Fatalf("%s: %v", node, err)
	}
	for range 3 {
		state.history.judge(state.history.high+100, uint32(g.turn))
	}
	if err := g.sink.Deliver(&Batch{Mark: nodeMark(node), Position: state.history.encode()}); err != nil {
		g.t.Fatal(err)
	}
}

// epoch has a sender of version 2 say as many lines as go into a mark.
func (g *gateway) epoch(id string) {
	g.t.Helper()
	s, err := g.acked.sender(id, true, id, g.sink)
	if err != nil {
		g.t.Fatalf("sender %s: %v", id, err)
	}
	l := &ackedLink{conn: g.conn, id: id, epoch: strings.Repeat("e", 32), sender: s, acks: make(chan struct{}, 1)}
	s.take(l)
	var frames []frame
	for range ackedChunk {
		frames = append(frames, frame{seq: s.ring.last + 1 + uint64(len(frames)), line: []byte("a line")})
	}
	if err := g.acked.deliver(frames, l, g.sink); err != nil {
		g.t.Fatal(err)
	}
}

// minute is a minute of the gateway's life.
func (g *gateway) minute() {
	g.now += record.Micros(time.Minute / time.Microsecond)
	for i := range g.mqtt {
		g.publish(i, g.sent[i], g.sent[i]+60)
		g.sent[i] += 60
	}
	for range 31 {
		g.line()
	}
	for i := range boundFiles {
		p := samplePosition()
		p.offset = int64(g.now)
		if err := g.sink.Deliver(&Batch{Mark: fmt.Sprintf("file%d", i), Position: p.encode()}); err != nil {
			g.t.Fatal(err)
		}
	}
	g.sink.at["/waiting"] = make([]byte, 100<<10)
	g.sink.commit()
	log, _ := g.sink.store.Active()
	for _, l := range g.sink.store.Logs() {
		if err := g.sink.store.Release(l.ID, l.End); err != nil {
			g.t.Fatalf("release %s of %s: %v", l.ID, log, err)
		}
	}
}

// header is the length of the largest header of a segment.
func (g *gateway) header() (most uint32) {
	g.t.Helper()
	entries, err := g.fs.ReadDir("/log")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".seg") {
			continue
		}
		f, err := g.fs.Open("/log/" + e.Name())
		if err != nil {
			g.t.Fatal(err)
		}
		var p [12]byte
		if _, err := f.ReadAt(p[:], 0); err != nil {
			g.t.Fatal(err)
		}
		if most = max(most, binary.LittleEndian.Uint32(p[8:])); f.Close() != nil {
			g.t.Fatal("close")
		}
	}
	return most
}

// heap is what is reachable.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMarksStayFlatFor72Hours runs every source that keeps marks at its largest
// documented bound for 72 hours by a clock of its own, with a restart and a loss of
// power each six hours. After the bounds are reached nothing grows any more: marks,
// headers, files, memory; and what a broker sends again after each restart, back to
// the oldest message that has to be known, is known.
func TestMarksStayFlatFor72Hours(t *testing.T) {
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	g := &gateway{t: t, fs: faultfs.New(), now: 1_700_000_000_000_000, sent: make([]uint64, boundMQTT), conn: a}
	mostMarks, mostBytes := largestMarks()
	var at48 seglog.Stats
	var heap48 uint64
	for lived := time.Duration(0); lived < boundDays; {
		g.start()
		for i := range g.mqtt {
			if from := g.sent[i] - min(g.sent[i], maxRemember-2*seenChunk); from < g.sent[i] {
				for n := from; n < g.sent[i]; n += 997 {
					g.publish(i, n, n+1)
				}
				g.publish(i, g.sent[i]-1, g.sent[i])
			}
		}
		if lines := g.sink.group.Count(); lines > 0 {
			t.Fatalf("%v: %d messages that were taken are taken again", lived, lines)
		}
		for range int(boundRestart / time.Minute) {
			g.minute()
		}
		lived += boundRestart
		st := g.sink.store.Stats()
		if st.Marks > mostMarks || st.MarkBytes > mostBytes {
			t.Fatalf("%v: %d marks of %d bytes; at most %d of %d", lived, st.Marks, st.MarkBytes, mostMarks, mostBytes)
		}
		if n := g.header(); n > 72<<10 {
			t.Fatalf("%v: a header of %d bytes", lived, n)
		}
		if st.MarkFileBytes > 4*st.MarkBytes {
			t.Fatalf("%v: %d bytes of files for %d of marks", lived, st.MarkFileBytes, st.MarkBytes)
		}
		switch lived {
		case 48 * time.Hour:
			at48, heap48 = st, heap()
		case boundDays:
			if st.Marks != at48.Marks || st.MarkBytes > at48.MarkBytes*101/100 {
				t.Fatalf("%d marks of %d bytes at 48 h, %d of %d at the end", at48.Marks, at48.MarkBytes, st.Marks, st.MarkBytes)
			}
			if now := heap(); now > heap48*3/2 {
				t.Fatalf("%d bytes of memory at 48 h, %d at the end", heap48, now)
			}
			if st.Marks < mostMarks*9/10 || st.MarkBytes < 4<<20 {
				t.Fatalf("%d marks of %d bytes are not the bound", st.Marks, st.MarkBytes)
			}
		}
		t.Logf("%v: %d marks, %d bytes, files %d, header %d, written %d", lived, st.Marks, st.MarkBytes, st.MarkFileBytes, g.header(), st.MarkBytesWritten)
		g.stop()
	}
}
