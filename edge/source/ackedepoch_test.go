package source

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// epochs is a sink whose batches become durable one after the other, when it is said.
type epochs struct {
	*testSink
	committed int
}

func newEpochs() *epochs { return &epochs{testSink: newTestSink()} }

// commit makes the next n batches durable; all, where n is negative.
func (s *epochs) commit(n int) {
	for ; n != 0; n-- {
		s.mu.Lock()
		if s.committed == len(s.batches) {
			s.mu.Unlock()
			return
		}
		b := s.batches[s.committed]
		s.committed++
		s.positions[b.Mark] = b.Position
		s.mu.Unlock()
		b.Durable()
	}
}

// crash loses what is not durable.
func (s *epochs) crash() *epochs {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := newEpochs()
	next.batches, next.committed = s.batches[:s.committed:s.committed], s.committed
	for name, p := range s.positions {
		next.positions[name] = p
	}
	return next
}

// TestAckedKnowsARepeatByContent: what is sent again is known, whatever was heard of it,
// and what has other bytes is neither taken nor acknowledged.
func TestAckedKnowsARepeatByContent(t *testing.T) {
	sink := newEpochs()
	a := startAcked(t, sink)
	p := dialPeer(t, a, "ship 2 e1")
	p.expect("LAST 0 256")
	p.send("1 one\n2 two\r\n")
	expect(t, sink.await(t, 2), "one", "two")
	sink.commit(-1)
	p.expect("ACK 2")
	p.send("5 five\n")
	sink.await(t, 3)

	// 5 is not durable yet, so it is known and not acknowledged.
	p = dialPeer(t, a, "ship 2 e1")
	p.expect("LAST 2 256")
	p.send("1 one\n2 two\n5 five\n6 six\n")
	expect(t, sink.await(t, 4), "one", "two", "five", "six")
	sink.commit(-1)
	p.expect("ACK 6")
	if d := a.Status().Duplicates; d != 3 {
		t.Errorf("duplicates %d, want 3", d)
	}
	for _, line := range []string{"6 other", "3 three", "1 one "} {
		q := dialPeer(t, a, "ship 2 e1")
		q.expect("LAST 6 256")
		q.send(line + "\n7 seven\n")
		number, _, _ := strings.Cut(line, " ")
		q.expect("ERR line " + number + " was passed in this epoch and not with these bytes: it is not taken; begin a new epoch")
	}
	if got := a.Status().Conflicts; got != 3 || len(sink.lines()) != 4 {
		t.Errorf("%d conflicts, lines %q", got, sink.lines())
	}
	// Another life of the numbers.
	p = dialPeer(t, a, "ship 2 e2")
	p.expect("LAST 0 256")
	p.send("1 one\n")
	sink.await(t, 5)
	sink.commit(-1)
	p.expect("ACK 1")
}

// TestAckedStrangersTakeNothing: whoever uses a sender's name, in whatever version and
// epoch, the sender hears of no line that was not captured.
func TestAckedStrangersTakeNothing(t *testing.T) {
	last := fmt.Sprintf("%d x\n", uint64(math.MaxInt64))
	for _, stranger := range []string{"shore-7", "shore-7 2 other", "shore-7 2 mine"} {
		t.Run(stranger, func(t *testing.T) {
			sink := newEpochs()
			a := startAcked(t, sink)
			p := dialPeer(t, a, "shore-7 2 mine")
			p.expect("LAST 0 256")
			p.send("1 one\n2 two\n")
			sink.await(t, 2)
			sink.commit(-1)
			p.expect("ACK 2")
			q := dialPeer(t, a, stranger)
			if greeting, _ := q.r.ReadString('\n'); !strings.HasPrefix(greeting, "LAST ") {
				t.Fatalf("a stranger is told %q", greeting)
			}
			q.send(last)
			sink.await(t, 3)
			sink.commit(-1)
			q.conn.Close()

			p = dialPeer(t, a, "shore-7 2 mine")
			if _, err := p.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			p.send("2 two\n3 three\n")
			if stranger == "shore-7 2 mine" {
				p.refused("ERR line 3 was passed in this epoch and not with these bytes: it is not taken; begin a new epoch", 2)
				p = dialPeer(t, a, "shore-7 2 mine-2")
				p.expect("LAST 0 256")
				p.send("3 three\n")
			}
			sink.await(t, 4)
			sink.commit(-1)
			p.expect("ACK 3")
			expect(t, sink.lines(), "one", "two", "x", "three")
		})
	}
}

// refused expects a refusal, before which a number may be acknowledged.
func (p *peer) refused(want string, before int) {
	p.t.Helper()
	said, err := p.r.ReadString('\n')
	if said == fmt.Sprintf("ACK %d\n", before) {
		said, err = p.r.ReadString('\n')
	}
	if err != nil || said != want+"\n" {
		p.t.Fatalf("got %q, %v; want %q", said, err, want)
	}
}

// TestAckedEpochsAtRandom plays a sender whose connections break, over a gateway that
// loses what is not durable: each line is captured once, and none is acknowledged that
// is not durable.
func TestAckedEpochsAtRandom(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 7))
		sink := newEpochs()
		a := openAcked(t)
		epoch, number := "e0", uint64(0)
		type sent struct {
			seq   uint64
			line  string
			epoch string
		}
		var pending []sent // not acknowledged
		var want []string
		for step := range 250 {
			if rng.IntN(40) == 0 {
				sink, a = sink.crash(), openAcked(t)
			}
			if len(pending) == 0 && rng.IntN(3) == 0 { // its number is lost
				epoch, number = fmt.Sprint("e", step), 0
			}
			l, err := openLink(a, sink, epoch)
			if err != nil {
				t.Fatal(err)
			}
			for range rng.IntN(3) * 20 {
				if len(pending) < ackedWindow {
					number += 1 + rng.Uint64N(3)
					line := fmt.Sprintf("%s-%d-%d", epoch, number, rng.IntN(9))
					pending, want = append(pending, sent{number, line, epoch}), append(want, line)
				}
			}
			var frames []frame
			for _, p := range pending[:rng.IntN(len(pending)+1)] {
				frames = append(frames, frame{p.seq, []byte(p.line)})
			}
			for part := range slices.Chunk(frames, 1+rng.IntN(50)) {
				if err := a.deliver(part, l, sink); err != nil {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
				sink.commit(rng.IntN(4))
			}
			if seq, _ := l.acknowledged(); rng.IntN(2) == 0 { // else it is not heard
				safe := map[string]bool{}
				for _, line := range durableLines(sink) {
					safe[line] = true
				}
				for len(pending) > 0 && pending[0].seq <= seq {
					if !safe[pending[0].line] {
						t.Fatalf("seed %d, step %d: %q is acknowledged and not durable", seed, step, pending[0].line)
					}
					pending = pending[1:]
				}
			}
			a.forget(l)
		}
		l, err := openLink(a, sink, epoch)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pending {
			if err := a.deliver([]frame{{p.seq, []byte(p.line)}}, l, sink); err != nil {
				t.Fatal(err)
			}
		}
		sink.commit(-1)
		if seq, _ := l.acknowledged(); len(pending) > 0 && seq != pending[len(pending)-1].seq {
			t.Fatalf("seed %d: %d acknowledged of %d", seed, seq, pending[len(pending)-1].seq)
		}
		if got := durableLines(sink); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d lines, want %d", seed, len(got), len(want))
		}
	}
}

// openAcked makes a source without starting it.
func openAcked(t *testing.T) *Acked {
	t.Helper()
	return must(NewAcked(AckedConfig{Options: options("k"), Listen: "127.0.0.1:0"}))(t)
}

// openLink is a connection of the sender ship.
func openLink(a *Acked, sink Sink, epoch string) (*ackedLink, error) {
	s, err := a.sender("ship", true, "host", sink)
	if err != nil {
		return nil, err
	}
	conn, _ := net.Pipe()
	l := &ackedLink{conn: conn, id: "ship", epoch: epoch, sender: s, acks: make(chan struct{}, 1)}
	s.take(l)
	return l, nil
}

// durableLines are the lines of the batches that are durable.
func durableLines(s *epochs) (all []string) {
	for _, b := range s.batches[:s.committed] {
		for _, l := range b.Lines {
			all = append(all, string(l.Data))
		}
	}
	return all
}

// TestAckedRefusesStrangers: by address, by token, by version; each is counted, and
// none takes a place or a name.
func TestAckedRefusesStrangers(t *testing.T) {
	make := func(change func(*AckedConfig)) *Acked {
		cfg := AckedConfig{Options: options("k"), Listen: "127.0.0.1:0", MaxSenders: 2}
		change(&cfg)
		a := must(NewAcked(cfg))(t)
		start(t, a.Run, newTestSink())
		return a
	}
	token := "a-long-one"
	secret := make(func(c *AckedConfig) { c.Token = func() string { return token } })
	for said, answer := range map[string]string{
		"ship":                     "ERR version 1 is not taken here: want HELLO <id> 2 <epoch>",
		"ship 2 e":                 "ERR the token is missing or wrong",
		"ship 2 e a-long-on":       "ERR the token is missing or wrong",
		"ship 2 e a-long-one more": "ERR want HELLO <id> 2 <epoch> [<token>]",
		"ship 2 e a-long-one":      "LAST 0 256",
	} {
		dialPeer(t, secret, said).expect(answer)
	}
	if n := secret.Status().Refused; n != 3 {
		t.Errorf("%d refused, want 3", n)
	}
	token = "another"
	dialPeer(t, secret, "ship 2 e another").expect("LAST 0 256")

	newer := make(func(c *AckedConfig) { c.MinVersion = 2 })
	dialPeer(t, newer, "ship").expect("ERR version 1 is not taken here: want HELLO <id> 2 <epoch>")
	dialPeer(t, newer, "ship 2 e").expect("LAST 0 256")

	elsewhere := make(func(c *AckedConfig) { c.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	dialPeer(t, elsewhere, "ship 2 e").expect("ERR this address may not connect here")
	if s := elsewhere.Status(); s.Refused != 1 || s.Connects != 0 || !strings.Contains(s.LastRefused, "127.0.0.1") {
		t.Errorf("%+v", s)
	}
	here := make(func(c *AckedConfig) {
		c.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("127.0.0.0/8")}
	})
	dialPeer(t, here, "ship 2 e").expect("LAST 0 256")
}

func TestAckedEpochRefuses(t *testing.T) {
	sink := newEpochs()
	a := startAcked(t, sink)
	for bad, answer := range map[string]string{
		"ship 2":                            "ERR want HELLO <id> 2 <epoch> [<token>]",
		"ship 2 ":                           "ERR want HELLO <id> 2 <epoch> [<token>]",
		"ship 2 a/b":                        "ERR want HELLO <id> 2 <epoch> [<token>]",
		"ship 2 " + strings.Repeat("e", 33): "ERR want HELLO <id> 2 <epoch> [<token>]",
		"ship 3 e":                          "ERR of the protocol versions 1 and 2 are known here",
		"a/b 2 e":                           "ERR want HELLO <id>",
	} {
		dialPeer(t, a, bad).expect(answer)
	}
	p := dialPeer(t, a, "ship 2 e")
	p.expect("LAST 0 256")
	p.send("7 seven\n7 seven\n")
	p.expect("ERR numbers must rise on a connection")
	p = dialPeer(t, a, "ship 2 e")
	p.expect("LAST 0 256")
	var many strings.Builder
	for i := range ackedWindow + 1 {
		fmt.Fprintf(&many, "%d a line\n", 8+i)
	}
	p.send(many.String())
	p.expect("ERR more than 256 lines on the way without an acknowledgement")
	if n := len(sink.lines()); n != 1+ackedWindow {
		t.Errorf("%d lines", n)
	}
	for _, b := range sink.batches {
		if len(b.Position) > 200 || len(b.Lines) > ackedChunk {
			t.Fatalf("a mark of %d bytes with %d lines", len(b.Position), len(b.Lines))
		}
	}
	dialPeer(t, a, "ship").expect("LAST 0") // each version is a sender
	dialPeer(t, a, "three 2 e").expect("ERR too many senders")
}

// TestAckedSendersOfVersion2AreBounded: they have more marks, and so a bound of their own
// that max_senders does not raise.
func TestAckedSendersOfVersion2AreBounded(t *testing.T) {
	sink := newTestSink()
	for i := range MaxEpochSenders {
		sink.positions[fmt.Sprintf("k/s%d/3", i)] = nil
	}
	a := must(NewAcked(AckedConfig{Options: options("k"), Listen: "127.0.0.1:0", MaxSenders: MaxSenders}))(t)
	start(t, a.Run, sink)
	dialPeer(t, a, "one 2 e").expect("ERR too many senders")
	dialPeer(t, a, "s7 2 e").expect("LAST 0 256")
	dialPeer(t, a, "one").expect("LAST 0")
}

// TestAckedStrangersDoubleNothing: a whole window is on the way when a stranger uses the
// name for as many lines, in epochs of his own, and the gateway is killed. What the sender
// then sends again is known, each line of it.
func TestAckedStrangersDoubleNothing(t *testing.T) {
	for _, others := range []int{1, 17, ackedWindow} {
		sink := newEpochs()
		a := openAcked(t)
		send := func(epoch string, frames []frame) {
			l, err := openLink(a, sink, epoch)
			if err != nil {
				t.Fatal(err)
			}
			defer a.forget(l)
			var seq uint64
			for part := range slices.Chunk(frames, 7) {
				if err := a.deliver(part, l, sink); err != nil {
					t.Fatal(err)
				}
				sink.commit(-1)
				seq, _ = l.acknowledged()
			}
			if seq != frames[len(frames)-1].seq {
				t.Fatalf("%d acknowledged", seq)
			}
		}
		lines := func(what string, from, n int) (all []frame) {
			for i := range n {
				all = append(all, frame{uint64(from + i), fmt.Appendf(nil, "%s %d", what, from+i)})
			}
			return all
		}
		send("E0", lines("before", 1, 1000)) // so that the ring is full
		honest := lines("honest", 1, ackedWindow)
		send("E1", honest)
		for i := range others {
			send(fmt.Sprint("X", i%5), lines("stranger", 1+i, 1))
		}
		sink, a = sink.crash(), openAcked(t)
		send("E1", honest)
		if got := len(durableLines(sink)); got != 1000+ackedWindow+others {
			t.Errorf("%d others: %d lines too many", others, got-1000-ackedWindow-others)
		}
	}
}

// TestAckedRefusesEmptyLines: what is not captured is not acknowledged.
func TestAckedRefusesEmptyLines(t *testing.T) {
	sink := newEpochs()
	a := startAcked(t, sink)
	for i, empty := range []string{"2 \n", "2 \r\n"} {
		p := dialPeer(t, a, fmt.Sprint("ship 2 e", i))
		p.expect("LAST 0 256")
		p.send("1 one\n" + empty + "3 three\n")
		sink.await(t, i+1)
		sink.commit(-1)
		p.refused("ERR line 2 is empty: there is nothing to capture, and what is not captured is not acknowledged", 1)
		if got := sink.lines(); len(got) != i+1 {
			t.Errorf("lines %q", got)
		}
	}
}

// TestAckedMarksOfVersion2: a sender whose marks are of version 2 goes on, with its lines
// known over a kill behind each batch as if there had been one version. From 8 places in
// its marks, and with LANDFALL_SOAK=1 from 33.
func TestAckedMarksOfVersion2(t *testing.T) {
	digest := func(i uint64) uint64 { return ackedDigest("e", &frame{i, fmt.Append(nil, "line ", i)}) }
	step := uint64(151)
	if os.Getenv("LANDFALL_SOAK") == "1" {
		step = 37
	}
	for taken := uint64(1); taken < 1200; taken += step {
		sink := newTestSink()
		write := func(n uint64, c, last uint64, digests []uint64, version byte) {
			old := &ackedRing{epoch: "e", last: last, chunk: c}
			old.ring[c%ackedChunks] = digests
			_, value := old.mark()
			value[0] = version
			sink.positions[fmt.Sprintf("k/ship/%d", n)] = value
		}
		var chunk []uint64
		for i := uint64(1); i <= taken; i++ {
			if c := (i - 1) / ackedChunk; (i-1)%ackedChunk == 0 {
				chunk = []uint64{digest(i)}
				write(c%ackedChunksV2, c, i, chunk, 2)
			} else {
				chunk = append(chunk, digest(i))
				write(c%ackedChunksV2, c, i, chunk, 2)
			}
		}
		for i := taken + 1; i < taken+700; i++ {
			r := must(openAckedRing("k/ship/", sink))(t) // after a kill
			if r.last != i-1 {
				t.Fatalf("%d taken by version 2: %d is the last, not %d", taken, r.last, i-1)
			}
			known := uint64(ackedWindow)
			if i > taken+ackedChunks*ackedChunk {
				known *= 2
			}
			for j := i - min(known, i-1); j < i; j++ {
				if !r.has(digest(j)) {
					t.Fatalf("%d taken by version 2, %d since: %d is not known", taken, i-1-taken, j)
				}
			}
			r.enter("e")
			r.add(i, digest(i))
			n, value := r.mark()
			sink.positions[fmt.Sprintf("k/ship/%d", n)] = value
		}
	}
}

// TestAckedMarksFrozen: marks of all versions that are out in the world are read.
func TestAckedMarksFrozen(t *testing.T) {
	old, err := os.ReadFile("testdata/formats/acked-mark-v2.bin")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/formats/acked-mark-v3.bin"
	r := &ackedRing{}
	r.enter("0123456789abcdef")
	for i := range uint64(20) {
		f := frame{seq: 3 * (i + 1), line: fmt.Appendf(nil, "line %d", i)}
		r.add(f.seq, ackedDigest(r.epoch, &f))
	}
	n, value := r.mark()
	frozen, err := os.ReadFile(file)
	if err != nil || n != 1 || !bytes.Equal(value, frozen) {
		t.Fatalf("mark %d is %x, the frozen one %x, %v", n, value, frozen, err)
	}
	sink := newTestSink()
	sink.positions["k/ship/1"] = frozen
	known := frame{60, []byte("line 19")}
	for _, value := range [][]byte{frozen, old} {
		sink.positions["k/ship/1"] = value
		read := must(openAckedRing("k/ship/", sink))(t)
		if read.epoch != r.epoch || read.last != 60 || !read.has(ackedDigest(r.epoch, &known)) || read.empty() {
			t.Fatalf("read %+v", read)
		}
	}
	for name, change := range map[string]func(p []byte) []byte{
		"version": func(p []byte) []byte { p[0] = 4; return p },
		"cut":     func(p []byte) []byte { return p[:len(p)-1] },
		"place":   func(p []byte) []byte { p[1]++; return p },
		"short":   func(p []byte) []byte { return p[:2] },
		"long":    func(p []byte) []byte { return append(p, make([]byte, 8*ackedChunk)...) },
	} {
		sink.positions["k/ship/1"] = change(bytes.Clone(frozen))
		if _, err := openAckedRing("k/ship/", sink); err == nil {
			t.Errorf("%s: a damaged mark is read", name)
		}
	}
	// A sender whose marks cannot be read hears no acknowledgement.
	a := startAcked(t, sink)
	p := dialPeer(t, a, "ship 2 e")
	if said, err := p.r.ReadString('\n'); err == nil {
		t.Errorf("it is told %q", said)
	}
}

func FuzzAckedHello(f *testing.F) {
	for _, s := range []string{"HELLO a", "HELLO a 2 b", "HELLO a 2 b c", "HELLO  2", "", " "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := parseAckedHello(p)
		again := "HELLO " + h.id
		if h.epoch != "" {
			again += " 2 " + h.epoch
		}
		if h.token != "" {
			again += " " + h.token
		}
		if err == nil && again != string(p) && again+" " != string(p) {
			t.Fatalf("%q gave %+v", p, h)
		}
	})
}
