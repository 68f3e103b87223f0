package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// sibling is a file that lies under the path or beside it, held open: whatever
// its name becomes, it can be read.
type sibling struct {
	path   string
	isPath bool // it lay under the configured path when it was looked at
	rank   rank
	file   durable.File // nil: somebody took it over
	about  durable.Description
	seen   int64     // microseconds since boot when it was looked at
	gap    gapReason // why what came before it may not be all there; 0: it is
	copied bool      // it is a copy of a file that was cut in place
	read   *trail    // what was read of it, when it was left; nil: that is not known
	// under is when its reader saw it under the path last; 0: it did not.
	under record.Micros
}

// close lets go of the file, unless it was taken over. It was only read: nothing
// can be lost.
func (s *sibling) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// same tells whether both are the same file, as far as the file system tells.
func (s *sibling) same(id durable.Identity) bool { return id.IsKnown() && s.about.Identity == id }

// snapshot is what lies under the path and beside it at one moment.
type snapshot struct {
	path    *sibling   // nil: nothing
	others  []*sibling // oldest first
	pathErr error      // why path is nil
}

// close lets go of what nobody took over.
func (s *snapshot) close() {
	if s.path != nil {
		s.path.close()
	}
	for _, o := range s.others {
		o.close()
	}
}

// alike tells whether both have the same files under the same names.
func (s *snapshot) alike(o *snapshot) bool {
	a, b := s.names(), o.names()
	if len(a) != len(b) {
		return false
	}
	for name, id := range a {
		if other, ok := b[name]; !ok || other != id {
			return false
		}
	}
	return true
}

func (s *snapshot) names() map[string]durable.Identity {
	m := map[string]durable.Identity{}
	if s.path != nil {
		m[s.path.path] = s.path.about.Identity
	}
	for _, o := range s.others {
		m[o.path] = o.about.Identity
	}
	return m
}

// find returns the file with this identity; nil: it is not there.
func (s *snapshot) find(id durable.Identity) *sibling {
	if s.path != nil && s.path.same(id) {
		return s.path
	}
	for _, o := range s.others {
		if o.same(id) {
			return o
		}
	}
	return nil
}

// onItsDevice returns an identity with the number that its file's device has now: some
// change when they are mounted again.
func (s *snapshot) onItsDevice(id durable.Identity) durable.Identity {
	if !id.IsKnown() || s.find(id) != nil {
		return id
	}
	for _, o := range append([]*sibling{s.path}, s.others...) {
		if o != nil && o.about.Inode == id.Inode && o.about.Born == id.Born {
			return o.about.Identity
		}
	}
	return id
}

// holds tells whether any but the path has all that was read before at.
func (s *snapshot) holds(f *File, at filePosition) bool {
	return slices.ContainsFunc(s.others, func(o *sibling) bool {
		r, err := f.newReader(o, at)
		if r == nil {
			return errors.Is(err, errStopped) || errors.Is(err, durable.ErrMedia)
		}
		s.takeBack(r)
		return true
	})
}

// takeBack takes a file back from a reader that is not to read it after all.
func (s *snapshot) takeBack(r *fileReader) {
	for _, o := range append([]*sibling{s.path}, s.others...) {
		if o != nil && o.path == r.at.path {
			o.file = r.c.file
		}
	}
}

// looks is how often a folder is read until two looks agree: for longer than a
// rotation takes.
const looks = 20

// look takes a snapshot. Files are renamed while it looks: it looks until two
// looks agree, a few times at most. Whoever called it closes it.
func (f *File) look() (*snapshot, error) {
	var last *snapshot
	for range looks {
		s, err := f.lookOnce()
		if last != nil {
			last.close()
		}
		if err != nil {
			return nil, err
		}
		if last != nil && last.alike(s) {
			return s, nil
		}
		last = s
	}
	return last, nil
}

func (f *File) lookOnce() (*snapshot, error) {
	s := &snapshot{}
	var err error
	if s.path, err = f.sibling(f.cfg.Path); err != nil {
		s.pathErr = err
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	} else {
		s.path.isPath = true
	}
	names, err := f.rotatedNames()
	if err != nil {
		s.close()
		return nil, err
	}
	for _, n := range names {
		o, err := f.sibling(n.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed or removed meanwhile
		}
		if err != nil {
			s.close()
			return nil, err
		}
		if s.find(o.about.Identity) != nil {
			o.close() // a second name of it
			continue
		}
		o.rank = n.rank
		s.others = append(s.others, o)
	}
	sortOldestFirst(s.others)
	return s, nil
}

// sibling opens one file and describes it.
func (f *File) sibling(path string) (*sibling, error) {
	file, err := f.cfg.FS.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	about, err := durable.Describe(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at %s: %w", path, err), file.Close())
	}
	_, now := f.cfg.Clock.Now()
	return &sibling{path: path, file: file, about: about, seen: now}, nil
}

// named is a name of a file that may be a rotated one.
type named struct {
	path string
	rank rank
}

// rotatedNames lists the files that are named like rotated copies of the path,
// beside it, and those that match a pattern of the configuration. Where both a
// file and its packed form are there, the packed one is not finished.
func (f *File) rotatedNames() ([]named, error) {
	var found []named
	add := func(dir string, is func(name string) (rank, bool)) error {
		all, err := f.cfg.FS.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for rotated files of %s: %w", f.cfg.Path, err)
		}
		for _, e := range all {
			path := filepath.Join(dir, e.Name())
			r, ok := is(e.Name())
			if !ok || !e.Type().IsRegular() || path == filepath.Clean(f.cfg.Path) || slices.ContainsFunc(found, func(n named) bool { return n.path == path }) {
				continue
			}
			found = append(found, named{path, r})
		}
		return nil
	}
	base := filepath.Base(f.cfg.Path)
	err := add(filepath.Dir(f.cfg.Path), func(name string) (rank, bool) { return rotatedName(base, name) })
	for _, pattern := range f.cfg.Siblings {
		err = errors.Join(err, add(filepath.Dir(pattern), func(name string) (rank, bool) {
			ok, _ := filepath.Match(filepath.Base(pattern), name) // Validate checked it
			r, _ := rotatedName(base, name)
			return r, ok
		}))
	}
	found = slices.DeleteFunc(found, func(n named) bool {
		plain := unpackedName(n.path)
		return plain != n.path && slices.ContainsFunc(found, func(o named) bool { return o.path == plain })
	})
	return found, err
}

// chain is the files that come after the one that is being read, oldest first, and
// what is known of the others. It belongs to Run's goroutine.
type chain struct {
	queue []*sibling                     // held open, the newest last
	known map[durable.Identity]knownFile // beside the path, and not to be read
	// left was read to its end lately, which is about.Size. Should one of them lie under
	// the path again, it is gone on with.
	left  []*sibling
	holes int // looks in a row that saw a hole
	// beside is the files beside the path when hasNew was asked last.
	beside map[durable.Identity]knownFile
	forms  map[form]bool // what isPackedForm found; it reads both files
	// doubt says that a file was passed as a copy and may be another one: a gap that is
	// still to be declared.
	doubt bool
	// copied is told of each file that was passed as a copy.
	copied func(o, of *sibling, sure bool)
}

// knownFile is how a file was when it was passed: an inode may be used again.
type knownFile struct{ size, modified int64 }

func (s *sibling) known() knownFile { return knownFile{s.about.Size, s.about.Modified} }

func (c *chain) pass(s *sibling) {
	if c.known == nil {
		c.known = map[durable.Identity]knownFile{}
	}
	if s.about.IsKnown() {
		c.known[s.about.Identity] = s.known()
	}
}

// hasNew tells whether a file lies beside the one that is read that nobody had to do
// with, and that was not there, as it is now, when it was asked last.
func (c *chain) hasNew(s *snapshot, reads *sibling) (isNew bool) {
	beside := map[durable.Identity]knownFile{}
	for _, o := range s.others {
		if !o.about.IsKnown() || o.same(reads.about.Identity) || c.isPassed(o) || c.isQueued(o) || c.isLeft(o) {
			continue
		}
		was, ok := c.beside[o.about.Identity]
		isNew = isNew || !ok || was != o.known()
		beside[o.about.Identity] = o.known()
	}
	c.beside = beside
	return isNew
}

// newFirst returns files, oldest first but for those that were passed or left, which
// come last and the newest of them first.
func (c *chain) newFirst(others []*sibling) []*sibling {
	var fresh, had []*sibling
	for _, o := range others {
		if c.isPassed(o) || c.isLeft(o) {
			had = append(had, o)
		} else {
			fresh = append(fresh, o)
		}
	}
	slices.Reverse(had)
	return append(fresh, had...)
}

// hasGrown tells whether a file that was passed has gained bytes since, and passes it
// as it is now. Those that were left are looked at through their handles, and without
// a time of birth it may be another file.
func (c *chain) hasGrown(s *sibling) bool {
	k, ok := c.known[s.about.Identity]
	if !ok || s.about.Born == 0 || s.about.Size <= k.size || c.isLeft(s) || c.isQueued(s) {
		return false
	}
	c.pass(s)
	return true
}

// maxOpenLeft is how many files that were left are held open.
const maxOpenLeft = 16

// leave notes that a file was read to its end, and takes over its handle.
func (c *chain) leave(s *sibling) {
	c.left = append(c.left, s)
	for len(c.left) > maxOpenLeft {
		c.left[0].close()
		c.left = c.left[1:]
	}
}

// endOf is where a file was read to, with what it has to hold before that, if it was
// left by this process; the zero value: it was not.
func (c *chain) endOf(s *sibling) filePosition {
	for _, l := range c.left {
		if l.same(s.about.Identity) && l.read != nil {
			return l.read.position(0)
		}
	}
	return filePosition{}
}

// isPassed tells whether the file was passed and is as it was: an inode is used again
// after its file was removed, within one tick of the clock with the same time of birth.
func (c *chain) isPassed(s *sibling) bool {
	k, ok := c.known[s.about.Identity]
	return ok && k == s.known()
}

func (c *chain) isQueued(s *sibling) bool {
	return slices.ContainsFunc(c.queue, func(q *sibling) bool { return q.same(s.about.Identity) })
}

// drop lets go of everything that is queued.
func (c *chain) drop() {
	for _, q := range c.queue {
		q.close()
	}
	c.queue, c.holes = nil, 0
}

// dropAll lets go of everything.
func (c *chain) dropAll() {
	c.drop()
	for _, l := range c.left {
		l.close()
	}
	c.left, c.known, c.beside, c.forms, c.doubt = nil, nil, nil, nil, false
}

// holeLooks is how many looks in a row must see a hole before it is one: while
// files are being renamed, numbers are missing for a moment.
const holeLooks = 3

// extend takes over from a snapshot every file that came after the newest one held,
// last being that when nothing is queued. While files between are missing, it waits
// for some looks when it may, and then says so in the first file it takes.
func (c *chain) extend(s *snapshot, last *sibling, mayWait bool) {
	newest := last
	if len(c.queue) > 0 {
		newest = c.queue[len(c.queue)-1]
	}
	at := c.findForm(s, newest)
	if at != nil && at.isPath {
		c.takeCopies(s, last)
		return
	}
	if !newest.about.IsKnown() { // and so none of the files beside it
		for _, o := range s.others {
			o.close()
		}
		s.others = nil
	}
	whole := at != nil && contiguous(s.others, at)
	if c.holes++; whole {
		c.holes = 0
	} else if mayWait && c.holes < holeLooks {
		return
	}
	had := len(c.queue)
	for _, o := range s.others {
		switch {
		case o == at || c.isHeld(s, o, last):
		case !comesAfter(o, at, newest.about.Modified):
			whole = whole && !isDoubtful(o, newest)
			c.pass(o)
		case c.isCopy(s, o, last, at):
			c.pass(o)
		default:
			c.take(o)
		}
	}
	if at != nil && !at.same(newest.about.Identity) {
		c.pass(at) // the same content under another identity
	}
	if s.path != nil && !s.path.same(last.about.Identity) && !c.isQueued(s.path) {
		c.take(s.path)
	}
	isDeclared := slices.ContainsFunc(c.queue[:had], func(q *sibling) bool { return q.gap != 0 })
	if len(c.queue) > had && (!whole || c.doubt && !isDeclared) {
		c.queue[had].gap, c.holes = gapMissing, 0
	}
}

// takeCopies takes over the copies of the file under the path, which is the newest
// one queued, that were made before it was cut in place while it waited. They come
// before what it holds now.
func (c *chain) takeCopies(s *snapshot, last *sibling) {
	end := len(c.queue) - 1
	if end < 0 {
		return
	}
	newest, at := c.queue[end], c.findForm(s, last)
	for _, o := range s.others {
		switch {
		case c.isHeld(s, o, last):
		case !comesAfter(o, at, last.about.Modified), at != nil && at.isPath && o.about.Modified == last.about.Modified:
			c.pass(o) // in the same tick of the clock it may be one that was read; the cut is a gap as it is
		case !wasCut(newest.file, o.file):
		case c.isCopy(s, o, last, at):
			if c.pass(o); c.doubt {
				newest.gap = gapTruncated
			}
		default:
			o.copied = true
			c.take(o)
		}
	}
	if len(c.queue)-1 > end {
		newest.gap = gapTruncated
		c.queue = append(slices.Delete(c.queue, end, end+1), newest)
	}
}

// wasCut tells whether a file does not begin any more with all that a copy of it has,
// as far as that can be read.
func wasCut(file, copied durable.File) bool {
	had, err := newContent(copied)
	if err != nil {
		return false
	}
	is, _, _ := had.isBeginningOf(file)
	return !is
}

// isHeld tells whether a file of the snapshot is nothing new: it was taken over,
// passed, queued, left or is being read, under this form or as it was before it was
// packed. One that was left is held open, so that no other file can have its inode.
func (c *chain) isHeld(s *snapshot, o, last *sibling) bool {
	return o.file == nil || c.isPassed(o) || c.isQueued(o) || c.isLeft(o) || o.same(last.about.Identity) || c.isPackedFormOfHeld(s, o, last)
}

func (c *chain) isLeft(o *sibling) bool {
	return slices.ContainsFunc(c.left, func(l *sibling) bool { return l.same(o.about.Identity) })
}

// retake takes a file that is read again off those that were left: what it gains is
// read.
func (c *chain) retake(id durable.Identity) {
	c.left = slices.DeleteFunc(c.left, func(l *sibling) bool {
		if !l.same(id) {
			return false
		}
		l.close()
		return true
	})
}

// take queues a file and takes it over from its snapshot.
func (c *chain) take(s *sibling) {
	own := *s
	s.file = nil
	c.queue = append(c.queue, &own)
}

// comesAfter tells whether o was rotated after the file at: their names say it, or
// else the times of writing.
func comesAfter(o, at *sibling, modified int64) bool {
	if at != nil {
		if order, ok := o.rank.compare(at.rank); ok {
			return order > 0
		}
	}
	return o.about.Modified >= modified
}

// isDoubtful tells, of a file whose name says that it is older, whether it was written
// after what is read: then its name is no older one, or a writer had it open still.
func isDoubtful(o, read *sibling) bool {
	return read.about.Modified != 0 && o.about.Modified > read.about.Modified && !isPackedName(o.path)
}

// contiguous tells whether each number between at's and the path's is there, as far
// as files are numbered.
func contiguous(others []*sibling, at *sibling) bool {
	if at.rank.kind != rankNumber {
		return true
	}
	for n := at.rank.number - 1; n > 0; n-- {
		if !slices.ContainsFunc(others, func(o *sibling) bool { return o.rank.kind == rankNumber && o.rank.number == n }) {
			return false
		}
	}
	return true
}

// findForm returns the file of a snapshot that is, or that was packed into; nil: it is
// not there.
func (c *chain) findForm(s *snapshot, is *sibling) *sibling {
	if at := s.find(is.about.Identity); at != nil {
		return at
	}
	for _, o := range s.others {
		if c.isPackedForm(o, is) {
			return o
		}
	}
	return nil
}

// isPackedFormOfHeld tells whether o is the packed form of a file that is held, was
// read, or is being read, and has no name of its own any more.
func (c *chain) isPackedFormOfHeld(s *snapshot, o, last *sibling) bool {
	held := append(append([]*sibling{last}, c.queue...), c.left...)
	return slices.ContainsFunc(held, func(h *sibling) bool {
		if s.find(h.about.Identity) != nil || !c.isPackedForm(o, h) {
			return false
		}
		c.pass(o)
		return true
	})
}

// form is a packed file and a plain one, as they were when they were compared.
type form struct {
	packed, plain durable.Identity
	packedIs      knownFile
	plainSize     int64
}

// maxForms is how many pairs of files that were compared are remembered.
const maxForms = 64

// isPackedForm tells whether o unpacks to what plain holds, each byte of which it reads
// where the length is the one that the end of the gzip file tells. What it finds is
// remembered, for it is asked at each look.
func (c *chain) isPackedForm(o, plain *sibling) bool {
	if o.file == nil || plain.file == nil || o.about.Size < 18 {
		return false
	}
	size, err := plain.file.Size()
	if err != nil {
		return false
	}
	var tail [4]byte
	n, _ := o.file.ReadAt(tail[:], o.about.Size-4)
	if n < len(tail) || binary.LittleEndian.Uint32(tail[:]) != uint32(size) {
		return false
	}
	pair := form{o.about.Identity, plain.about.Identity, o.known(), size}
	if is, ok := c.forms[pair]; ok {
		return is
	}
	packed, err := newContent(o.file)
	if err != nil || packed.gz == nil {
		return false
	}
	is, whole, err := packed.isBeginningOf(plain.file)
	is = is && err == nil && whole == size
	if o.about.IsKnown() && plain.about.IsKnown() {
		if c.forms == nil || len(c.forms) >= maxForms {
			c.forms = map[form]bool{}
		}
		c.forms[pair] = is
	}
	return is
}

// micros turns a time of a file into one of records; 0 stays 0.
func micros(nanoseconds int64) record.Micros { return record.Micros(nanoseconds / 1000) }
