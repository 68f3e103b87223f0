package care

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

var (
	writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")
	thisBoot     = [16]byte{1}
)

// testTime is the wall clock of these tests.
const testTime = record.Micros(1_800_000_000_000_000)

// open begins a process on a directory. The note's file is closed with the test: a
// process that dies does not close it either.
func open(t *testing.T, dir string, boot [16]byte) *Care {
	t.Helper()
	return openWith(t, Config{FS: durable.OS{}, Dir: dir, Boot: boot, SuspectWait: time.Nanosecond})
}

func openWith(t *testing.T, cfg Config) *Care {
	t.Helper()
	cfg.Now = func() record.Micros { return testTime }
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.file != nil {
			_ = c.file.Close()
		}
	})
	return c
}

// errKilled is how a process of these tests dies.
var errKilled = errors.New("killed")

// dies has messages read, and tells whether the process died of one that holds "poison".
func dies(g *Guard, address string, messages ...string) (died bool) {
	defer func() {
		if what := recover(); what != nil && what != any(errKilled) {
			panic(what)
		} else if what != nil {
			died = true
		}
	}()
	for _, m := range messages {
		g.Read(address, []byte(m), func() {
			if strings.Contains(m, "poison") {
				panic(errKilled)
			}
		})
	}
	return false
}

// lives starts processes until one does not die, and returns how many died.
func lives(t *testing.T, dir string, boot [16]byte, play func(c *Care) bool) (deaths int) {
	t.Helper()
	for ; deaths < 20; deaths++ {
		c := open(t, dir, boot)
		if play(c) {
			continue
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		return deaths
	}
	return deaths
}

// TestAMessageThatKillsIsRefused: after one death without care and three with the message
// in hand it is refused, in this life and the next ones, and what stands before and after
// it in its source, and the same bytes of another address or source, are read.
func TestAMessageThatKillsIsRefused(t *testing.T) {
	dir := t.TempDir()
	play := func(c *Care) bool { return dies(c.Guard("plc"), "a", "one", "poison", "two") }
	if n := lives(t, dir, thisBoot, play); n != 4 {
		t.Fatalf("%d processes died", n)
	}
	c := open(t, dir, thisBoot)
	g := c.Guard("plc")
	for _, want := range []struct {
		address, message string
		read             bool
	}{{"a", "one", true}, {"a", "poison", false}, {"a", "poison2", true}, {"b", "poison", true}, {"a", "two", true}} {
		if got := g.Read(want.address, []byte(want.message), func() {}); got != want.read {
			t.Errorf("%s %s: read %v", want.address, want.message, got)
		}
	}
	if !c.Guard("radio").Read("a", []byte("poison"), func() {}) {
		t.Error("another source's is refused too")
	}
	want := []Refused{{Source: "plc", Address: "a", Message: digest("plc", "a", []byte("poison")).String(), At: testTime}}
	if s := c.Status(); g.Refused() != 1 || !reflect.DeepEqual(s.Refused, want) || s.Address != nil {
		t.Errorf("%d refused, %+v", g.Refused(), s)
	}
	// Another boot: nothing is blamed, and it is still refused.
	c = open(t, dir, [16]byte{2})
	if c.Status().Careful || c.Guard("plc").Read("a", []byte("poison"), func() {}) {
		t.Error("after a reboot")
	}
}

// TestWhatKillsByEveryMessage: where each message of a topic is another one and kills, the
// topic is refused in this life, and read again in the next.
func TestWhatKillsByEveryMessage(t *testing.T) {
	dir := t.TempDir()
	life := 0
	play := func(c *Care) bool {
		life++
		return dies(c.Guard("plc"), "births", fmt.Sprint("poison ", life)) || dies(c.Guard("plc"), "data", "one")
	}
	if n := lives(t, dir, thisBoot, play); n != 4 {
		t.Fatalf("%d processes died", n)
	}
	c := open(t, dir, thisBoot)
	if !c.Guard("plc").Read("births", []byte("good"), func() {}) || len(c.Status().Refused) != 0 {
		t.Error("it is refused in the next life, too")
	}
	// An address of which a message came through is none of which every message kills.
	dir, life = t.TempDir(), 0
	play = func(c *Care) bool {
		life++
		return dies(c.Guard("plc"), "births", "good", fmt.Sprint("poison ", life))
	}
	if n := lives(t, dir, thisBoot, play); n != 20 {
		t.Errorf("%d processes died", n)
	}
	// Lines have no address.
	dir, life = t.TempDir(), 0
	play = func(c *Care) bool {
		life++
		return dies(c.Guard("radio"), "", fmt.Sprint("poison ", life))
	}
	if n := lives(t, dir, thisBoot, play); n != 20 {
		t.Errorf("%d processes died", n)
	}
}

// TestTwoThatKillByTurns: messages of many sources that kill are each found, although one
// of which a process died waits while another kills.
func TestTwoThatKillByTurns(t *testing.T) {
	dir := t.TempDir()
	const sources = maxSuspects
	rng := rand.New(rand.NewPCG(3, 4))
	deaths := 0
	for ; deaths < 200; deaths++ {
		c := open(t, dir, thisBoot)
		// Whoever is no suspect reads first.
		order := rng.Perm(sources)
		first := -1
		for _, i := range order {
			g := c.Guard(fmt.Sprint("source ", i))
			if h := g.hand("a", []byte("poison")); !g.refuses(&h) && (first < 0 || !c.note.suspects(&h)) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		if !dies(c.Guard(fmt.Sprint("source ", first)), "a", "poison") {
			t.Fatal("no death")
		}
	}
	if deaths != 1+sources*maxDeaths {
		t.Errorf("%d processes died", deaths)
	}
}

// TestWhoIsNotBlamed: a process that ends by itself, that is killed with nothing in hand,
// or on a machine that was started again, ends every suspicion or adds none.
func TestWhoIsNotBlamed(t *testing.T) {
	poison := func(c *Care) bool { return dies(c.Guard("plc"), "a", "poison") }
	for name, between := range map[string]struct {
		pass func(t *testing.T, dir string)
		more int // deaths after it, until it is refused
	}{
		"nothing":           {func(*testing.T, string) {}, 1},
		"an end":            {func(t *testing.T, dir string) { _ = open(t, dir, thisBoot).Close() }, 1},
		"a kill of an idle": {func(t *testing.T, dir string) { open(t, dir, thisBoot) }, 3},
		"the power fails":   {func(t *testing.T, dir string) { open(t, dir, [16]byte{2}) }, 4},
		"no boot is known":  {func(t *testing.T, dir string) { open(t, dir, [16]byte{}) }, 4},
		"it is read to an end": {func(t *testing.T, dir string) {
			c := open(t, dir, thisBoot)
			c.Guard("plc").Read("a", []byte("poison"), func() {})
			_ = c.Close()
		}, 3},
		"the note is damaged": {func(t *testing.T, dir string) { put(t, dir+"/care.note", "LFcare1\nx") }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for range 3 { // without care, and two that count
				if !poison(open(t, dir, thisBoot)) {
					t.Fatal("no death")
				}
			}
			between.pass(t, dir)
			if n := lives(t, dir, thisBoot, poison); n != between.more {
				t.Errorf("%d processes died, want %d", n, between.more)
			}
		})
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestKillersBlameNobody: whoever kills a process that reads the same messages after each
// start, always at the same moment, strikes one message again and again; once it is a
// suspect it waits, and is not in hand then.
func TestKillersBlameNobody(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const inHand, wait = 1, 1000 // time of a message in hand, and the longest wait, equal units
	for _, when := range []string{"always at one moment", "at any moment"} {
		n, blamed, struck := note{boot: thisBoot}, 0, 0
		for range 30_000 {
			var d decision
			if n, d = n.resume(thisBoot); d.message || d.address {
				blamed++
			}
			kill := 37
			if when == "at any moment" {
				kill = rng.IntN(200)
			}
			for now, message := 0, byte(1); now < kill; message++ {
				n.hand = hand{message: record.Hash{message}, address: record.Hash{9}}
				if n.careful && n.suspects(&n.hand) {
					if now += rng.IntN(wait); now >= kill {
						break // killed while it waits
					}
				}
				n.holding = n.careful
				if now += inHand; now >= kill {
					struck++
					break
				}
				n.cameThrough()
			}
		}
		// Each third strike on one suspect needs two that hit a wait's one moment.
		if blamed > 3 || struck < 3_000 {
			t.Errorf("%s: %d blamed, %d struck in hand", when, blamed, struck)
		}
		t.Logf("%s: of 30,000 kills %d struck a message in hand, %d refused one", when, struck, blamed)
	}
}

// TestOneIsInHand: with care messages of two sources are read one after the other, and a
// suspect that waits holds nobody up; a stop ends its waiting.
func TestOneIsInHand(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		dies(open(t, dir, thisBoot).Guard("plc"), "a", "poison")
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	c := openWith(t, Config{FS: durable.OS{}, Dir: dir, Boot: thisBoot, SuspectWait: 1 << 62, Logger: logger})
	if !c.Status().Careful {
		t.Fatal("no care")
	}
	var reading, most atomic.Int32
	read := func() {
		if n := reading.Add(1); n > most.Load() {
			most.Store(n)
		}
		reading.Add(-1)
	}
	waited := make(chan bool)
	go func() { waited <- c.Guard("plc").Read("a", []byte("poison"), read) }()
	done := make(chan bool)
	for i := range 4 {
		go func() {
			for n := range 1000 {
				c.Guard(fmt.Sprint("radio ", i)).Read("", fmt.Appendf(nil, "line %d", n), read)
			}
			done <- true
		}()
	}
	for range 4 {
		<-done
	}
	select {
	case <-waited:
		t.Fatal("the suspect did not wait")
	default:
	}
	c.Stop()
	if !<-waited || most.Load() != 1 {
		t.Errorf("%d at a time", most.Load())
	}
	if !strings.Contains(log.String(), "died while it read a message") {
		t.Errorf("the log says %s", log.String())
	}
}

// TestWithoutADeathNothingIsNoted: a message of a process that follows one that ended by
// itself costs no write.
func TestWithoutADeathNothingIsNoted(t *testing.T) {
	dir := t.TempDir()
	_ = open(t, dir, thisBoot).Close()
	c := open(t, dir, thisBoot)
	before, _ := os.ReadFile(c.notePath())
	if g := c.Guard("plc"); g.Active() || !g.Read("a", []byte("one"), func() {
		if now, _ := os.ReadFile(c.notePath()); !bytes.Equal(now, before) {
			t.Error("it is noted")
		}
	}) {
		t.Error("care is taken")
	}
	var none *Care
	if g := none.Guard("plc"); g.Active() || g.Refused() != 0 || !g.Read("a", nil, func() {}) || none.Close() != nil {
		t.Error("a gateway without care")
	}
}

// TestCareEnds: after an hour in which nobody died.
func TestCareEnds(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, thisBoot)
	c := open(t, dir, thisBoot)
	c.since = c.since.Add(-carefulFor)
	g := c.Guard("plc")
	if !g.Active() || !g.Read("a", []byte("one"), func() {}) || g.Active() || c.Status().Careful {
		t.Errorf("%+v", c.Status())
	}
	if c = open(t, dir, thisBoot); !c.Status().Careful {
		t.Error("a death after it is none")
	}
}

// fullDisk takes no writes.
type fullDisk struct{ durable.OS }

func (fullDisk) OpenWrite(string) (durable.File, error) { return nil, fs.ErrNotExist }
func (fullDisk) Create(string) (durable.File, error)    { return nil, durable.ErrNoSpace }

// TestWhatCannotBeNotedIsReadAllTheSame.
func TestWhatCannotBeNotedIsReadAllTheSame(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, thisBoot)
	var log bytes.Buffer
	c := openWith(t, Config{FS: fullDisk{}, Dir: dir, Boot: thisBoot, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	read := false
	if !c.Guard("plc").Read("a", []byte("one"), func() { read = true }) || !read || c.Close() != nil {
		t.Error("it is not read")
	}
	if !strings.Contains(log.String(), "cannot be noted") {
		t.Errorf("the log says %s", log.String())
	}
	// Nor is what comes after the end.
	c = open(t, dir, thisBoot)
	if err := c.Close(); err != nil || !c.Status().Careful {
		t.Fatal(err)
	}
	if read = false; !c.Guard("plc").Read("a", []byte("one"), func() { read = true }) || !read {
		t.Error("it is not read after the end")
	}
}

// sample is a note with every field.
func sample() note {
	return note{
		boot: thisBoot, running: true, careful: true, holding: true,
		messages: suspects{{record.Hash{2}, 2}, 15: {record.Hash{7}, 1}}, addresses: suspects{1: {record.Hash{3}, 1}},
		hand: hand{message: record.Hash{4}, address: record.Hash{5}, source: "plc", name: "plant/a"},
	}
}

// TestFrozenFormats: this version writes what was frozen and reads it; what is cut,
// changed or of a later version is told apart.
func TestFrozenFormats(t *testing.T) {
	refused := func() []byte {
		dir := t.TempDir()
		if err := writeRefused(durable.OS{}, dir+"/care", sampleRefused()); err != nil {
			t.Fatal(err)
		}
		p, err := os.ReadFile(dir + "/care")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	n := sample()
	note := n.appendTo(nil)
	for name, want := range map[string][]byte{"note-v1.bin": note, "refused-v1.txt": refused()} {
		path := filepath.Join("testdata", "formats", name)
		p, err := os.ReadFile(path)
		if os.IsNotExist(err) && *writeFormats {
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				p, err = want, os.WriteFile(path, want, 0o644)
			}
		}
		if err != nil || !bytes.Equal(p, want) {
			t.Errorf("%s: this version writes another one, %v", name, err)
		}
	}
	if got, err := decodeNote(note); err != nil || got != sample() {
		t.Errorf("read as %+v, %v", got, err)
	}
	for i := range note {
		damaged := bytes.Clone(note)
		damaged[i] ^= 1
		want := record.ErrCorrupt
		if i == 6 || i == 7 {
			want = record.ErrVersion
		}
		if _, err := decodeNote(damaged); !errors.Is(err, want) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	if _, err := decodeNote(note[:noteBytes-1]); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("cut: %v", err)
	}
	all, damaged, err := readRefused(durable.OS{}, filepath.Join("testdata", "formats", "refused-v1.txt"))
	if err != nil || damaged != nil || !reflect.DeepEqual(all, sampleRefused()) {
		t.Errorf("read as %+v, %v, %v", all, damaged, err)
	}
}

func sampleRefused() []Refused {
	return []Refused{
		{Source: "plc", Address: "plant/a", Message: record.Hash{4}.String(), At: 1_800_000_000_000_000},
		{Source: "radio", Message: record.Hash{6}.String(), At: 1_800_000_000_000_001},
	}
}

// TestWhatIsRefusedIsBoundedAndDamageIsTold.
func TestWhatIsRefusedIsBoundedAndDamageIsTold(t *testing.T) {
	path := t.TempDir() + "/care"
	var all []Refused
	for i := range maxRefused + 3 {
		all = append(all, Refused{
			Source: strings.Repeat("s", maxSource), Address: strings.Repeat("\"", maxAddress),
			Message: record.Hash{byte(i), byte(i >> 8)}.String(), At: record.Micros(i),
		})
	}
	if err := writeRefused(durable.OS{}, path, all); err != nil {
		t.Fatal(err)
	}
	got, damaged, err := readRefused(durable.OS{}, path)
	if err != nil || damaged != nil || len(got) != maxRefused || got[maxRefused-1] != all[len(all)-1] {
		t.Fatalf("%d are read, %v, %v", len(got), damaged, err)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, strings.Replace(string(p), "sss", "ttt", 1))
	if got, damaged, err := readRefused(durable.OS{}, path); err != nil || damaged == nil || len(got) != 0 {
		t.Errorf("%d, %v, %v", len(got), damaged, err)
	}
	put(t, path, "landfall-care 2 00000000\n")
	if _, _, err := readRefused(durable.OS{}, path); !errors.Is(err, record.ErrVersion) {
		t.Errorf("%v", err)
	}
}
