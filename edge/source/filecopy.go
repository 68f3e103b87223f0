package source

import (
	"log/slog"
	"slices"
)

// isCopy tells whether a file that would come after last, which lies at at now, is a copy
// of one that was read, is read or will be: somebody made it beside the path, and its lines
// would come twice. A file that was rotated may have the same content, where each begins
// alike and that is all of it. So a copy is, for sure, what was there before last was seen
// under its path for the last time. Of others the names tell, where they have numbers
// from 1 on or dates, in which a copy does not stand between last and the path. Where they
// do not, it is not read, and a gap is declared.
func (c *chain) isCopy(s *snapshot, o, last, at *sibling) bool {
	of := c.begunBy(s, o, last)
	if of == nil {
		return false
	}
	sure := o.about.Born != 0 && micros(o.about.Born) < last.under
	if !sure && at != nil && isBetween(o.rank, at.rank) {
		return false
	}
	c.doubt = c.doubt || !sure
	if c.copied != nil {
		c.copied(o, of, sure)
	}
	return true
}

// isBetween tells whether rotation alone gives a file the one name while another has the
// other.
func isBetween(o, at rank) bool {
	_, ok := o.compare(at)
	return ok && (o.kind != rankNumber || o.number != 0 && at.number != 0)
}

// begunBy returns a file that begins with all that o has; nil: there is none, or o is
// empty. Of two new ones that are the same the first is nobody's copy.
func (c *chain) begunBy(s *snapshot, o, last *sibling) *sibling {
	had := append(append([]*sibling{last}, c.queue...), c.left...)
	if s.path != nil {
		had = append(had, s.path)
	}
	for _, other := range s.others {
		if c.isPassed(other) || other.about.Size > o.about.Size {
			had = append(had, other)
		}
	}
	i := slices.IndexFunc(had, func(h *sibling) bool {
		return h.file != nil && h != o && !h.same(o.about.Identity) && o.about.Size > 0 && begins(h, o)
	})
	if i < 0 {
		return nil
	}
	return had[i]
}

// begins tells whether a file begins with all that o has, each byte of which it reads: of a
// packed one, as it is packed.
func begins(file, o *sibling) bool {
	all, err := newContent(o.file)
	if err != nil {
		return false
	}
	if had, err := newContent(file.file); err == nil && had.gz != nil {
		all = &content{file: o.file}
	}
	is, n, err := all.isBeginningOf(file.file)
	return is && err == nil && n > 0
}

// tellCopy counts a file that was not read, because it is a copy, and says so.
func (f *File) tellCopy(o, of *sibling, sure bool) {
	f.copies.Add(1)
	if sure {
		f.log(slog.LevelWarn, "a file beside the path is a copy of one that is read: it is not read",
			"copy", o.path, "of", of.path)
		return
	}
	f.log(slog.LevelWarn, "a file beside the path has only what another one has that is read: it is taken for a copy, and not read",
		"copy", o.path, "of", of.path)
}
