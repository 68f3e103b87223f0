package faultfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
)

// Loss says what a power loss does to what was not synced.
type Loss uint8

// The losses.
const (
	LoseAll     Loss = iota // everything not synced is gone
	KeepAll                 // nothing is gone, as if the process had been killed
	TearSectors             // pieces of 512 bytes and single name changes stay or go by seed
	TearPages               // pieces of 4096 bytes and single name changes stay or go by seed
	LoseNames               // bytes stay, names not synced are gone
	LoseBytes               // names stay, bytes not synced are gone
)

// Losses lists all losses, for tests that try each.
func Losses() []Loss {
	return []Loss{LoseAll, KeepAll, TearSectors, TearPages, LoseNames, LoseBytes}
}

var lossNames = []string{"lose-all", "keep-all", "tear-512", "tear-4096", "lose-names", "lose-bytes"}

// String gives the name used in tables.
func (l Loss) String() string { return lossNames[min(int(l), len(lossNames)-1)] }

// Crash is a power loss and the start after it: open files and locks are gone,
// and of what was not synced remains what loss and seed say. Scripted faults
// are cleared.
func (f *FS) Crash(loss Loss, seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := crasher{loss: loss, rng: rand.New(rand.NewPCG(seed, 0x6c616e6466616c6c)), seen: map[*inode]bool{}}
	c.dir(f.root)
	f.restart()
}

// Restart is the end of the process alone: open files and locks are gone, and
// the page cache and all names remain. Scripted faults are cleared.
func (f *FS) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.restart()
}

func (f *FS) restart() {
	f.life++
	f.crashed = false
	f.locks = map[string]bool{}
	f.faults, f.ops, f.matched = nil, nil, 0
}

type crasher struct {
	loss Loss
	rng  *rand.Rand
	seen map[*inode]bool
}

func (c *crasher) dir(n *inode) {
	left := maps.Clone(n.synced)
	for _, ch := range n.pending {
		if c.keepName() {
			apply(left, ch.edits)
		}
	}
	n.entries, n.synced, n.pending = left, maps.Clone(left), nil
	for _, name := range slices.Sorted(maps.Keys(left)) {
		switch child := left[name]; {
		case c.seen[child]:
		case child.entries != nil:
			c.seen[child] = true
			c.dir(child)
		default:
			c.seen[child] = true
			c.file(child)
		}
	}
}

func (c *crasher) keepName() bool {
	switch c.loss {
	case KeepAll, LoseBytes:
		return true
	case TearSectors, TearPages:
		return c.rng.IntN(2) == 0
	}
	return false
}

func (c *crasher) file(n *inode) {
	switch c.loss {
	case KeepAll, LoseNames:
		n.disk = bytes.Clone(n.cache)
	case TearSectors:
		c.tear(n, 512)
	case TearPages:
		c.tear(n, pageBytes)
	}
	n.cache, n.dirty, n.sizeDirty = bytes.Clone(n.disk), nil, false
}

// tear keeps or loses each piece that differs, and the size.
func (c *crasher) tear(n *inode, piece int64) {
	if len(n.cache) != len(n.disk) && c.rng.IntN(2) == 0 {
		n.disk = resized(bytes.Clone(n.disk), int64(len(n.cache)))
	}
	size := int64(min(len(n.cache), len(n.disk)))
	for at := int64(0); at < size; at += piece {
		to := min(at+piece, size)
		if !bytes.Equal(n.cache[at:to], n.disk[at:to]) && c.rng.IntN(2) == 0 {
			copy(n.disk[at:to], n.cache[at:to])
		}
	}
}

// Clone gives an independent copy of the file system as it is, without locks,
// script and open files: for tests that try many losses on one scenario.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New()
	c.limit, c.crashed, c.made = f.limit, f.crashed, f.made
	c.root = cloneNode(f.root, map[*inode]*inode{})
	return c
}

func cloneNode(n *inode, done map[*inode]*inode) *inode {
	if n == nil {
		return nil
	}
	if c := done[n]; c != nil {
		return c
	}
	c := &inode{cache: bytes.Clone(n.cache), disk: bytes.Clone(n.disk), dirty: maps.Clone(n.dirty), sizeDirty: n.sizeDirty, number: n.number}
	done[n] = c
	if n.entries == nil {
		return c
	}
	c.entries, c.synced = map[string]*inode{}, map[string]*inode{}
	for name, child := range n.entries {
		c.entries[name] = cloneNode(child, done)
	}
	for name, child := range n.synced {
		c.synced[name] = cloneNode(child, done)
	}
	for _, ch := range n.pending {
		copied := change{edits: slices.Clone(ch.edits), stuck: ch.stuck}
		for i := range copied.edits {
			copied.edits[i].node = cloneNode(copied.edits[i].node, done)
		}
		c.pending = append(c.pending, copied)
	}
	return c
}
