package state

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// MaxChain is how many objects a Restore needs at most.
const MaxChain = 16

// Errors, to be tested with errors.Is.
var (
	// ErrVersion says that a newer program wrote the object: its format, the
	// codec of a table, or a table that is not registered.
	ErrVersion = errors.New("state written by a newer version")
	// ErrCorrupt says that the object is not what Snapshot gave, or that the
	// objects are not the ones needed together.
	ErrCorrupt = errors.New("corrupt state")
	// ErrRegister says that a table cannot be registered.
	ErrRegister = errors.New("unusable state table")
)

// Codec writes and reads keys and values of one table. Equal keys give equal
// bytes and only they do; equal values give equal bytes. Decoding takes the
// version that wrote, up to Version, copies what it keeps of src, and answers
// anything it did not write with an error.
type Codec[K comparable, V any] interface {
	// Version is the version that the Append methods write.
	Version() uint16
	// AppendKey appends the key's bytes to dst.
	AppendKey(dst []byte, key K) []byte
	// AppendValue appends the value's bytes to dst.
	AppendValue(dst []byte, value V) []byte
	// DecodeKey reads what AppendKey wrote.
	DecodeKey(version uint16, src []byte) (K, error)
	// DecodeValue reads what AppendValue wrote.
	DecodeValue(version uint16, src []byte) (V, error)
}

// State is all keyed state of one task.
type State struct {
	tables  []anyTable // by name
	objects []objectInfo
	seq     uint64 // of the newest object
	size    int    // of the newest object, to size the next one's buffer
	used    bool   // a Snapshot or Restore happened
}

// objectInfo is an object that is needed.
type objectInfo struct {
	seq     uint64
	bytes   int
	entries int // when written
}

// anyTable is a Table of any key and value.
type anyTable interface {
	tableName() string
	dirtyKeys() int
	// snapshot appends the table's section of object seq.
	snapshot(dst []byte, seq uint64, objects []objectInfo, shrink bool) ([]byte, int)
	// oldest gives the sequence number of the oldest needed object.
	oldest() (uint64, bool)
	// forget drops the counts of the n oldest objects.
	forget(n int)
	// grow begins the count of object seq.
	grow(seq uint64)
	// liveIn counts the keys that stand in the order under needed object i.
	liveIn(i int) int
	// restore takes over a section of object seq.
	restore(s section, seq uint64) error
	// settle drops tombstones that nothing needs; the end of Restore.
	settle()
}

// New gives an empty State; register its tables, then Restore.
func New() *State { return &State{} }

// Register adds a table under a name that never changes: 1 to 255 bytes.
// ErrRegister when the name is taken or State is in use.
func Register[K comparable, V any](s *State, name string, codec Codec[K, V]) (*Table[K, V], error) {
	switch {
	case s.used:
		return nil, fmt.Errorf("%w %q: state is in use", ErrRegister, name)
	case name == "" || len(name) > 255:
		return nil, fmt.Errorf("%w: name of %d bytes", ErrRegister, len(name))
	}
	at, taken := slices.BinarySearchFunc(s.tables, name, func(t anyTable, n string) int { return strings.Compare(t.tableName(), n) })
	if taken {
		return nil, fmt.Errorf("%w %q: registered twice", ErrRegister, name)
	}
	t := newTable(name, codec)
	s.tables = slices.Insert(s.tables, at, anyTable(t))
	return t, nil
}

// Snapshot gives one object with what changed since the last, and how many of
// the newest objects before it are still needed; nil when nothing changed, and
// all that were needed still are. The state takes the snapshot for kept: if it
// was not, restore from what was.
func (s *State) Snapshot() (object []byte, keep int) {
	s.used = true
	dirty := 0
	for _, t := range s.tables {
		dirty += t.dirtyKeys()
	}
	if dirty == 0 {
		return nil, len(s.objects)
	}
	s.seq++
	shrink := s.overweight()
	data := appendHeader(make([]byte, 0, s.size+s.size/4+256), s.seq, len(s.tables))
	entries := 0
	for _, t := range s.tables {
		var n int
		data, n = t.snapshot(data, s.seq, s.objects, shrink)
		entries += n
	}
	s.drop()
	keep = len(s.objects)
	data = seal(data, s.first())
	s.objects = append(s.objects, objectInfo{seq: s.seq, bytes: len(data), entries: entries})
	s.size = len(data)
	return data, keep
}

// overweight tells whether more than half of the needed bytes are outdated.
func (s *State) overweight() bool {
	const slack = 64 << 10
	total, live := 0, 0
	for i, o := range s.objects {
		total += o.bytes
		if o.entries == 0 {
			continue
		}
		in := 0
		for _, t := range s.tables {
			in += t.liveIn(i)
		}
		live += int(float64(o.bytes) * float64(in) / float64(o.entries))
	}
	return total > 2*live+slack
}

// drop forgets the objects that no table needs any more.
func (s *State) drop() {
	oldest := s.seq
	for _, t := range s.tables {
		if seq, any := t.oldest(); any {
			oldest = min(oldest, seq)
		}
	}
	n := 0
	for n < len(s.objects) && s.objects[n].seq < oldest {
		n++
	}
	s.objects = slices.Delete(s.objects, 0, n)
	for _, t := range s.tables {
		t.forget(n)
	}
}

// first is the sequence number of the oldest needed object.
func (s *State) first() uint64 {
	if len(s.objects) > 0 {
		return s.objects[0].seq
	}
	return s.seq
}

// Restore fills a new State from the objects that its newest snapshot needs,
// oldest first, reading one at a time. ErrVersion, ErrCorrupt, or the error
// that objects gave; after an error the State is of no use.
func (s *State) Restore(objects iter.Seq2[[]byte, error]) error {
	if s.used {
		return fmt.Errorf("restore: %w: state is in use", ErrRegister)
	}
	s.used = true
	first := uint64(0)
	for data, err := range objects {
		if err != nil {
			return fmt.Errorf("restore state: %w", err)
		}
		h, body, err := open(data)
		if err != nil {
			return fmt.Errorf("restore state: %w", err)
		}
		if len(s.objects) > 0 && h.seq != s.seq+1 {
			return fmt.Errorf("restore state: %w: object %d follows %d", ErrCorrupt, h.seq, s.seq)
		}
		s.seq, first = h.seq, h.first
		if err := s.apply(h, body, len(data)); err != nil {
			return fmt.Errorf("restore state object %d: %w", h.seq, err)
		}
	}
	if len(s.objects) == 0 {
		return nil
	}
	if s.first() != first || len(s.objects) > MaxChain {
		return fmt.Errorf("restore state: %w: objects %d to %d, wanted from %d", ErrCorrupt, s.first(), s.seq, first)
	}
	for _, t := range s.tables {
		t.settle()
	}
	return nil
}

// apply takes over what one object holds.
func (s *State) apply(h header, body []byte, size int) error {
	info := objectInfo{seq: h.seq, bytes: size}
	s.objects = append(s.objects, info)
	for _, t := range s.tables {
		t.grow(h.seq)
	}
	for range h.tables {
		sec, rest, err := cutSection(body)
		if err != nil {
			return err
		}
		at, known := slices.BinarySearchFunc(s.tables, sec.name, func(t anyTable, n string) int { return strings.Compare(t.tableName(), n) })
		if !known {
			return fmt.Errorf("%w: table %q", ErrVersion, sec.name)
		}
		if err := s.tables[at].restore(sec, h.seq); err != nil {
			return fmt.Errorf("table %q: %w", sec.name, err)
		}
		s.objects[len(s.objects)-1].entries += sec.count
		body = rest
	}
	if len(body) != 0 {
		return fmt.Errorf("%w: %d bytes after the last table", ErrCorrupt, len(body))
	}
	s.size = size
	return nil
}
