package source

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"syscall"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"landfall/decoders/sensor"
	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// filtersConfig is mqttConfig with these filters, which are remembered.
func filtersConfig(b *broker, fsys durable.FS, path string, filters ...string) MQTTConfig {
	cfg := mqttConfig(b, 1)
	cfg.FS, cfg.FiltersPath, cfg.Topics = fsys, path, nil
	for _, f := range filters {
		cfg.Topics = append(cfg.Topics, MQTTTopic{f, sensor.Mapping{Format: sensor.FormatJSON, Sensor: "{topic}", SequenceField: "n"}})
	}
	return cfg
}

// watch gives what a gateway's status topic says, from what it says now.
func (b *broker) watch(name string) <-chan string {
	b.t.Helper()
	said := make(chan string, 64)
	if token := b.publisher(name).Subscribe("gw/status", 1, func(_ mqtt.Client, m mqtt.Message) { said <- string(m.Payload()) }); token.Wait() && token.Error() != nil {
		b.t.Fatal(token.Error())
	}
	return said
}

// awaitOnline waits until a gateway is there, which it says once it is subscribed to
// what it wants and nothing else.
func awaitOnline(t *testing.T, status <-chan string) {
	t.Helper()
	eventually(t, "online", func() bool {
		select {
		case s := <-status:
			return s == "online"
		default:
			return false
		}
	})
}

// numberedMessage is the payload of a message with a number.
func numberedMessage(n int) string { return fmt.Sprintf(`{"v":1,"n":%d}`, n) }

// addressed gives topic and payload of each report, and why it was rejected.
func (s *durableSink) addressed() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports {
		all = append(all, fmt.Sprintf("%s %s %s", r.Address, r.Payload, r.Reason))
	}
	return all
}

// TestARemovedFilterIsUnsubscribed: what the broker had queued for it is captured,
// and what is published later is not sent; of the others nothing is lost or doubled.
func TestARemovedFilterIsUnsubscribed(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	path := filepath.Join(t.TempDir(), "plant.filters")
	p := b.publisher("p")
	sink := &durableSink{marks: map[string][]byte{}}
	n := 0
	var want []string
	// both publishes to b, and then to a, and waits for what is captured.
	both := func(captured bool, reason string) {
		t.Helper()
		publish(t, p, "b/1", numberedMessage(n), false)
		if captured {
			want = append(want, fmt.Sprintf("b/1 %s %s", numberedMessage(n), reason))
		}
		publish(t, p, "a/1", numberedMessage(n), false)
		want = append(want, fmt.Sprintf("a/1 %s ", numberedMessage(n)))
		n++
	}
	captured := func() {
		t.Helper()
		eventually(t, "the last message", func() bool { return slices.Contains(sink.addressed(), want[len(want)-1]) })
		expect(t, sink.addressed(), want...)
	}
	status := b.watch("w")
	run := func(filters ...string) func() {
		t.Helper()
		_, stop := runMQTT(t, filtersConfig(b, durable.OS{}, path, filters...), sink)
		awaitOnline(t, status)
		return stop
	}
	stop := run("a/+", "b/#")
	both(true, "")
	captured()
	stop()
	both(true, sensor.RejectNoMapping) // while the gateway is away
	stop = run("a/+")
	both(false, "")
	captured()
	stop()
	both(false, "")
	stop = run("a/+")
	both(false, "")
	captured()
	stop()
	stop = run("b/#", "a/+")
	both(true, "")
	captured()
	stop()
	// Both are still taken by the one that takes the place of the two.
	both(true, "")
	stop = run("+/1")
	both(true, "")
	captured()
	stop()
}

// TestABrokerBringsASubscriptionBack: a broker that was killed knows again what it
// was told to forget after it last saved. It is told again, by the same process and
// by the next one.
func TestABrokerBringsASubscriptionBack(t *testing.T) {
	store := t.TempDir()
	b := newBroker(t, "allow_anonymous true\npersistence true\npersistence_location "+store+"/\nautosave_interval 0\n")
	path := filepath.Join(t.TempDir(), "plant.filters")
	sink := &durableSink{marks: map[string][]byte{}}
	_, stop := runMQTT(t, filtersConfig(b, durable.OS{}, path, "a", "b"), sink)
	awaitOnline(t, b.watch("w"))
	p := b.publisher("p")
	publish(t, p, "b", numberedMessage(0), false)
	publish(t, p, "a", numberedMessage(0), false)
	eventually(t, "both messages", func() bool { return len(sink.payloads()) == 2 })
	stop()
	if err := b.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker saves", func() bool { _, err := os.Stat(filepath.Join(store, "mosquitto.db")); return err == nil })
	next := 1
	check := func() {
		t.Helper()
		before := sink.addressed()
		awaitOnline(t, b.watch(fmt.Sprint("w", next)))
		p := b.publisher(fmt.Sprint("p", next))
		publish(t, p, "b", numberedMessage(next), false)
		publish(t, p, "a", numberedMessage(next), false)
		last := fmt.Sprintf("a %s ", numberedMessage(next))
		eventually(t, "a message", func() bool { return slices.Contains(sink.addressed(), last) })
		expect(t, sink.addressed(), append(before, last)...)
		next++
	}
	m, stop := runMQTT(t, filtersConfig(b, durable.OS{}, path, "a"), sink)
	check()
	back := func() {
		t.Helper()
		b.kill()
		b.start()
	}
	back()
	eventually(t, "the return", func() bool { return m.Status().Connects == 2 })
	check()
	stop()
	back()
	_, stop = runMQTT(t, filtersConfig(b, durable.OS{}, path, "a"), sink)
	check()
	stop()
}

// onTheWay passes connections on to a broker and sees each packet before it does.
type onTheWay struct {
	addr string
	mu   sync.Mutex
	sent []string               // subscriptions and their ends, either way; guarded by mu
	see  func(what string) bool // false: the connection ends here; guarded by mu
}

func newOnTheWay(t *testing.T, b *broker) *onTheWay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &onTheWay{addr: ln.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", b.addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			running.Go(func() { w.pass(in, out) })
			running.Go(func() { w.pass(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return w
}

func (w *onTheWay) pass(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	for {
		p, err := packets.ReadPacket(from)
		if err != nil || !w.look(p) || p.Write(to) != nil {
			return
		}
	}
}

func (w *onTheWay) look(p packets.ControlPacket) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := ""
	switch p := p.(type) {
	case *packets.SubscribePacket:
		slices.Sort(p.Topics)
		what = fmt.Sprint("subscribe ", p.Topics)
	case *packets.UnsubscribePacket:
		what = fmt.Sprint("unsubscribe ", p.Topics)
	case *packets.SubackPacket:
		what = "suback"
	case *packets.UnsubackPacket:
		what = "unsuback"
	default:
		return true
	}
	w.sent = append(w.sent, what)
	return w.see == nil || w.see(what)
}

// set begins anew, with what sees the packets.
func (w *onTheWay) set(see func(what string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.see = nil, see
}

// crash has the power go when what comes by: nothing of it gets through any more.
// It gives what the disk has then, nil before.
func (w *onTheWay) crash(disk *faultfs.FS, at string) func() *faultfs.FS {
	var crashed *faultfs.FS // guarded by mu
	w.set(func(what string) bool {
		if what == at && crashed == nil {
			crashed = disk.Clone()
			crashed.Crash(faultfs.LoseAll, 1)
		}
		return crashed == nil
	})
	return func() *faultfs.FS {
		w.mu.Lock()
		defer w.mu.Unlock()
		return crashed
	}
}

func (w *onTheWay) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// TestWhereASubscriptionEnds kills the gateway's machine, with all that was not
// fsynced, and the connection at each step: whatever is subscribed is known after it.
func TestWhereASubscriptionEnds(t *testing.T) {
	for _, step := range []string{"subscribe [a]", "suback", "unsubscribe [b]", "unsuback"} {
		t.Run(step, func(t *testing.T) {
			b := newBroker(t, "allow_anonymous true\n")
			w := newOnTheWay(t, b)
			sink := &durableSink{marks: map[string][]byte{}}
			run := func(disk *faultfs.FS, filters ...string) func() error {
				cfg := filtersConfig(b, disk, "plant.filters", filters...)
				cfg.Broker.URL = "mqtt://" + w.addr
				return start(t, must(NewMQTT(cfg))(t).Run, sink)
			}
			// The first subscription of all stands, and is not answered any more.
			disk := faultfs.New()
			crashed := w.crash(disk, "suback")
			stop := run(disk, "a", "b")
			eventually(t, "the first crash", func() bool { return crashed() != nil })
			_ = stop() // the gateway of a machine that is dead
			disk = crashed()
			crashed = w.crash(disk, step)
			stop = run(disk, "a")
			eventually(t, "the crash", func() bool { return crashed() != nil })
			_ = stop()
			w.set(nil)
			stop = run(crashed(), "a")
			eventually(t, "all is answered", func() bool { return len(w.all()) == 4 })
			if err := stop(); err != nil {
				t.Error(err)
			}
			expect(t, w.all(), "subscribe [a]", "suback", "unsubscribe [b]", "unsuback")
		})
	}
}

// TestABrokerThatDoesNotUnsubscribe: what is configured comes all the same.
func TestABrokerThatDoesNotUnsubscribe(t *testing.T) {
	b := newBroker(t, "allow_anonymous true\n")
	w := newOnTheWay(t, b)
	w.set(func(what string) bool { return what != "unsubscribe [b]" })
	disk := faultfs.New()
	if err := newSubscriptions(disk, "b").note(); err != nil {
		t.Fatal(err)
	}
	cfg := filtersConfig(b, disk, "f", "a")
	cfg.Broker.URL = "mqtt://" + w.addr
	sink := &durableSink{marks: map[string][]byte{}}
	runMQTT(t, cfg, sink)
	awaitOnline(t, b.watch("w"))
	publish(t, b.publisher("p"), "a", numberedMessage(1), false)
	eventually(t, "a message", func() bool { return len(sink.payloads()) == 1 })
	once := []string{"subscribe [a]", "suback", "unsubscribe [b]"}
	expect(t, w.all(), slices.Concat(once, once, once, once[:2])...)
}

func TestValidFilters(t *testing.T) {
	for f, want := range map[string]bool{
		"a": true, "#": true, "+": true, "a/+/b/#": true, "/": true, "+/+": true, "$share/g/a/#": true,
		"": false, "a+": false, "a/b#": false, "#/a": false, "a/#/b": false, "+a/b": false, "a\x00": false, "\xff": false,
	} {
		if ValidFilter(f) != want {
			t.Errorf("%q: %v", f, !want)
		}
	}
}

func newSubscriptions(fsys durable.FS, want ...string) *subscriptions {
	return &subscriptions{fs: fsys, path: "f", want: want, log: func(slog.Level, string, ...any) {}}
}

// TestNotedFiltersSurvive: note fails, or fails yet happens, or the power goes, at
// each operation: once it said nil both lists are known, and before that the old one.
func TestNotedFiltersSurvive(t *testing.T) {
	for _, mode := range faultfs.Modes() {
		for _, loss := range faultfs.Losses() {
			for n := range 8 {
				disk := faultfs.New()
				if err := newSubscriptions(disk, "old").note(); err != nil {
					t.Fatal(err)
				}
				disk.Script(faultfs.Fault{On: faultfs.OpMutating, N: n + 1, Mode: mode})
				noted := newSubscriptions(disk, "new").note() == nil
				disk.Crash(loss, uint64(n))
				got, err := loadFilters(disk, "f")
				if err != nil || !slices.Contains(got, "old") || noted && !slices.Contains(got, "new") {
					t.Errorf("%v at operation %d, %v: noted %v, then %q, %v", mode, n, loss, noted, got, err)
				}
				again := newSubscriptions(disk, "new")
				if err := again.note(); err != nil || !slices.Equal(again.removed(), []string{"old"}) {
					t.Errorf("%v at operation %d, %v: then %q are no more configured, %v", mode, n, loss, again.removed(), err)
				}
			}
		}
	}
}

// TestFiltersListIsBounded: the oldest are forgotten, and only after they were ended.
func TestFiltersListIsBounded(t *testing.T) {
	disk := faultfs.New()
	for i := range filtersKept + 10 {
		s := newSubscriptions(disk, "stays", fmt.Sprint(i))
		if err := s.note(); err != nil || len(s.removed()) != i {
			t.Fatalf("%d: %d are no more configured, %v", i, len(s.removed()), err)
		}
	}
	s := newSubscriptions(disk, "2", "stays")
	if err := s.note(); err != nil {
		t.Fatal(err)
	}
	disk.Script(faultfs.Fault{On: faultfs.OpMutating, N: 1, Mode: faultfs.Modes()[0]})
	s.forget()
	if got := s.removed(); len(got) != filtersKept+9 || got[0] != "0" {
		t.Errorf("%d after a list that was not written: %q", len(got), got)
	}
	s.forget()
	if got := s.removed(); len(got) != filtersKept || got[0] != "10" {
		t.Errorf("%d are kept: %q", len(got), got)
	}
	if got, err := loadFilters(disk, "f"); err != nil || !slices.Equal(got, s.list) || len(got) != filtersKept+2 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestFiltersFileIsFrozen: every later version must read the file of this one.
func TestFiltersFileIsFrozen(t *testing.T) {
	frozen, err := os.ReadFile("testdata/formats/filters-v1.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"$share/g/ä/<\"&>", "a/+/c", "#"}
	p, encodeErr := encodeFilters(want)
	if got, err := decodeFilters(frozen); err != nil || encodeErr != nil || !reflect.DeepEqual(got, want) || string(p) != string(frozen) {
		t.Errorf("%q, %v, want %q, written as %q, %v", got, err, want, p, encodeErr)
	}
	for i := range frozen {
		bad := slices.Clone(frozen)
		bad[i] ^= 0x10
		if got, err := decodeFilters(bad); err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("byte %d damaged: %q", i, got)
		}
		if _, err := decodeFilters(frozen[:i]); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	newer := append([]byte(filtersMagic+" 2"), frozen[len(filtersMagic)+2:]...)
	if _, err := decodeFilters(newer); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	// A damaged list is not the source's end, a newer one is not written over.
	disk := faultfs.New()
	if err := durable.WriteFileAtomic(disk, "f", frozen[:20]); err != nil {
		t.Fatal(err)
	}
	if err := newSubscriptions(disk, "a").note(); err != nil {
		t.Error(err)
	}
	if err := durable.WriteFileAtomic(disk, "f", newer); err != nil {
		t.Fatal(err)
	}
	if err := newSubscriptions(disk, "a").note(); !errors.Is(err, record.ErrVersion) {
		t.Error(err)
	}
	if p, err := durable.ReadFile(disk, "f"); err != nil || string(p) != string(newer) {
		t.Errorf("%q, %v", p, err)
	}
}
