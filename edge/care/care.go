package care

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
)

const (
	// maxDeaths is how many processes may die of one message, or of messages of one
	// address, until it is refused.
	maxDeaths = 3
	// refusedFor is for how long an address is refused.
	refusedFor = time.Hour
	// carefulFor is for how long a process takes care after one that died.
	carefulFor = time.Hour
)

// Config configures a Care.
type Config struct {
	FS durable.FS // required
	// Dir is the data directory, in which the files care and care.note are; required,
	// there, and of one process at a time.
	Dir string
	// Boot names the boot of the machine; zero: it is not known, and nothing is ever
	// blamed.
	Boot [16]byte
	// Now returns the wall clock; required.
	Now func() record.Micros
	// SuspectWait is the longest time before a message is read again of which a process
	// died. 0: 10 s.
	SuspectWait time.Duration
	Logger      *slog.Logger // nil: none
}

// Care decides which messages are refused. A nil Care refuses none.
type Care struct {
	cfg   Config
	file  durable.File // of the note; nil: it cannot be written
	since time.Time
	// active says that a message must ask: care is taken, or something is refused;
	// careful the former.
	active  atomic.Bool
	careful atomic.Bool
	refused map[record.Hash]bool // read only
	all     []Refused            // read only
	where   *Refused             // an address that is refused until refusedFor after since; nil: none; read only
	address record.Hash          // its key; read only
	stopped chan struct{}
	stop    sync.Once

	mu     sync.Mutex
	guards map[string]*Guard // by source; guarded by mu

	lane sync.Mutex // held while a message is in hand, where care is taken
	note note       // guarded by lane
	buf  []byte     // guarded by lane
}

// Open reads what the last process left, decides what is refused, and notes that this
// one runs. Steps, and what a crash after each one leaves:
//
//  1. read the note and what is refused: nothing;
//  2. where maxDeaths processes died of a message, write it to what is refused, durably:
//     the next process decides the same from the same note, and finds it there;
//  3. write the note of this process, without syncing it: before that the next process
//     decides the same from the same note; after it, that this one was killed with nothing
//     in hand. A power loss leaves any note, of another boot.
//
// What cannot be read or written, but for a version that is not known, costs only care.
// Error: record.ErrVersion.
func Open(cfg Config) (*Care, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.SuspectWait == 0 {
		cfg.SuspectWait = time.Duration(failpoint.Often(10, 1)) * time.Second
	}
	c := &Care{
		cfg: cfg, since: time.Now(), stopped: make(chan struct{}), refused: map[record.Hash]bool{},
		guards: map[string]*Guard{},
	}
	all, damaged, err := readRefused(cfg.FS, c.refusedPath())
	if err != nil {
		return nil, err
	}
	if damaged != nil {
		cfg.Logger.Warn("the file of messages that are refused is not used", "path", c.refusedPath(), "error", damaged)
	}
	c.all = all
	last, err := c.readNote()
	if errors.Is(err, record.ErrVersion) {
		return nil, err
	}
	if err != nil {
		cfg.Logger.Warn("the note of what was in hand is not used", "path", c.notePath(), "error", err)
	}
	next, decided := last.resume(cfg.Boot)
	c.decide(&last, decided)
	for i := range c.all {
		if h, err := c.all[i].hash(); err == nil {
			c.refused[h] = true
		}
	}
	c.note = next
	c.begin()
	c.careful.Store(c.note.careful)
	c.active.Store(c.note.careful || len(c.refused) > 0 || c.where != nil)
	return c, nil
}

func (c *Care) refusedPath() string { return filepath.Join(c.cfg.Dir, "care") }
func (c *Care) notePath() string    { return filepath.Join(c.cfg.Dir, "care.note") }

// readNote reads the last process's note; absent: the zero one.
func (c *Care) readNote() (note, error) {
	p, err := durable.ReadFileUpTo(c.cfg.FS, c.notePath(), 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return note{}, nil
	}
	if err != nil {
		return note{}, err
	}
	return decodeNote(p)
}

// decide carries out what resume decided.
func (c *Care) decide(last *note, d decision) {
	log := c.cfg.Logger
	r := Refused{Source: last.hand.source, Address: last.hand.name, Message: last.hand.message.String(), At: c.cfg.Now()}
	switch {
	case d.message:
		failpoint.Hit("care.before-refusal")
		log.Error("the gateway died of one message three times: it is refused from now on, and captured as it is, "+
			"with the reason kills; please report it", "source", r.Source, "address", r.Address)
		if slices.ContainsFunc(c.all, func(other Refused) bool { return other.Message == r.Message }) {
			return // by a process that died right after it
		}
		c.all = append(c.all, r)
		if err := writeRefused(c.cfg.FS, c.refusedPath(), c.all); err != nil {
			log.Error("what is refused could not be written: it is refused until the next start", "error", err)
		}
		failpoint.Hit("care.after-refusal")
	case d.address:
		log.Error("the gateway died of messages of one address three times: they are refused for a while, and "+
			"captured as they are, with the reason kills; please report it",
			"source", r.Source, "address", r.Address, "for", refusedFor)
		c.address, c.where = last.hand.address, &r
	case d.died && last.holding:
		log.Warn("the gateway died while it read a message, or was killed then: it is read again after a while",
			"source", r.Source, "address", r.Address, "deaths", d.deaths)
	case d.died:
		log.Warn("the gateway had not ended by itself: it notes for a while which message it reads", "for", carefulFor)
	}
}

// begin opens the note's file and writes that this process runs.
func (c *Care) begin() {
	f, err := c.cfg.FS.OpenWrite(c.notePath())
	if errors.Is(err, fs.ErrNotExist) {
		f, err = c.cfg.FS.Create(c.notePath())
	}
	if err == nil {
		err = f.Truncate(noteBytes)
		c.file = f
	}
	if err == nil {
		err = c.write()
	}
	if err != nil {
		c.unwritable(err)
	}
}

// write writes the note. It is called with lane held, or by Open.
func (c *Care) write() error {
	c.buf = c.note.appendTo(c.buf[:0])
	if _, err := c.file.WriteAt(c.buf, 0); err != nil {
		return fmt.Errorf("note what is in hand: %w", err)
	}
	return nil
}

// unwritable ends care: what is refused stays refused. It is called with lane held, or
// by Open.
func (c *Care) unwritable(err error) {
	c.cfg.Logger.Warn("it cannot be noted which message is in hand: should the gateway die of one, that is not found",
		"path", c.notePath(), "error", err)
	c.note.careful = false
	c.careful.Store(false)
	if c.file != nil {
		_ = c.file.Close() // nothing that was written is relied on
		c.file = nil
	}
}

// Stop ends waiting for suspects: the gateway stops, and whatever is in hand is read at
// once.
func (c *Care) Stop() {
	if c != nil {
		c.stop.Do(func() { close(c.stopped) })
	}
}

// Close notes that the process ends by itself; nothing is in hand any more.
func (c *Care) Close() error {
	if c == nil {
		return nil
	}
	c.Stop()
	c.lane.Lock()
	defer c.lane.Unlock()
	if c.file == nil {
		return nil
	}
	c.note.running = false
	err := errors.Join(c.write(), c.file.Close())
	c.file = nil
	return err
}

// Status is what a Care does now.
type Status struct {
	Careful bool      // it is noted which message is in hand
	Refused []Refused // messages that are refused, the newest last
	Address *Refused  // an address that is refused for a while; nil: none
}

// Status may be called from any goroutine.
func (c *Care) Status() (s Status) {
	if c == nil {
		return s
	}
	s.Careful, s.Refused = c.careful.Load(), c.all
	if c.refusesAddress(c.address) {
		s.Address = c.where
	}
	return s
}

func (c *Care) refusesAddress(address record.Hash) bool {
	return c.where != nil && address == c.address && time.Since(c.since) < refusedFor
}

// Guard is the care for one source. A nil Guard refuses nothing.
type Guard struct {
	care    *Care
	source  string
	refused atomic.Uint64
}

// Guard returns the care for a source, the same one whenever it is asked for.
func (c *Care) Guard(source string) *Guard {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.guards[source]
	if g == nil {
		g = &Guard{care: c, source: source}
		c.guards[source] = g
	}
	return g
}

// Refused returns how many messages of the source were refused.
func (g *Guard) Refused() uint64 {
	if g == nil {
		return 0
	}
	return g.refused.Load()
}

// Active tells whether messages have to ask.
func (g *Guard) Active() bool { return g != nil && g.care.active.Load() }

// Read has read called with the message in hand, and returns true; or false, where the
// message is refused. address is what its source has several of (a topic, a device, a
// node); empty: it has none. A suspect waits first, and the caller with it, until Stop at
// most; other sources go on meanwhile.
func (g *Guard) Read(address string, message []byte, read func()) bool {
	if !g.Active() {
		read()
		return true
	}
	g.Wait(address, message)
	return g.ReadNow(address, message, read)
}

// Wait waits where the message is a suspect, as Read does first.
func (g *Guard) Wait(address string, message []byte) {
	if !g.Active() {
		return
	}
	h := g.hand(address, message)
	c := g.care
	c.lane.Lock()
	suspect := c.note.careful && c.note.suspects(&h)
	c.lane.Unlock()
	if !suspect || g.refuses(&h) {
		return
	}
	d := rand.N(c.cfg.SuspectWait)
	c.cfg.Logger.Warn("the gateway died with this message in hand, or was killed with it: it is read again after a "+
		"while, so that a kill is not taken for its fault", "source", g.source, "address", h.name, "after", d)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.stopped:
	}
}

// ReadNow is Read for a message that has waited.
func (g *Guard) ReadNow(address string, message []byte, read func()) bool {
	if !g.Active() {
		read()
		return true
	}
	h := g.hand(address, message)
	if g.refuses(&h) {
		g.refused.Add(1)
		return false
	}
	c := g.care
	c.lane.Lock()
	defer c.lane.Unlock()
	if !c.note.careful || c.file == nil {
		read()
		return true
	}
	c.note.hand, c.note.holding = h, true
	if err := c.write(); err != nil {
		c.unwritable(err)
	}
	failpoint.Hit("care.in-hand")
	read() // a panic that nobody catches leaves it in hand
	c.leave()
	return true
}

// leave notes that nothing is in hand. It is called with lane held.
func (c *Care) leave() {
	c.note.cameThrough()
	if time.Since(c.since) >= carefulFor && !c.note.messages.any() && !c.note.addresses.any() {
		c.cfg.Logger.Info("the gateway has not died for long: no more care is taken")
		c.note.careful = false
		c.careful.Store(false)
		c.active.Store(len(c.refused) > 0)
	}
	if c.file == nil {
		return
	}
	if err := c.write(); err != nil {
		c.unwritable(err)
	}
}

func (g *Guard) refuses(h *hand) bool {
	return g.care.refused[h.message] || g.care.refusesAddress(h.address)
}

// hand identifies a message of the source.
func (g *Guard) hand(address string, message []byte) hand {
	h := hand{source: g.source, name: address[:min(len(address), maxAddress)]}
	h.message = digest(g.source, address, message)
	if address != "" {
		h.address = digest(g.source, address, nil)
	}
	return h
}

// digest hashes a source, an address and a message, each with its length, so that no
// two of them are one.
func digest(source, address string, message []byte) record.Hash {
	h := sha256.New()
	var n [24]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(source)))
	binary.LittleEndian.PutUint64(n[8:], uint64(len(address)))
	binary.LittleEndian.PutUint64(n[16:], uint64(len(message)))
	h.Write(n[:])
	h.Write([]byte(source))
	h.Write([]byte(address))
	h.Write(message)
	return record.Hash(h.Sum(nil)[:len(record.Hash{})])
}
