package source

import (
	"errors"
	"slices"

	"landfall/edge/durable"
)

// find looks for the file that at is of. why says what cannot be shown of the one that
// it returns: a gap from when it was written last, to be declared at the reader's
// position; 0: nothing. A nil reader without an error: it is nowhere.
//
// The file with its identity is it where that has each byte that was read. Where it is
// another one now, or not there, content alone has to tell: of a file that was packed,
// and of the copy of one that was cut in place, it does. Of another plain file it does
// not, for files may begin alike: that is gone on with, because an editor and a restored
// disk leave such a one, and is declared, because what the old one had beyond the
// position is not known. So is it where more files than one have what was read.
func (f *File) find(s *snapshot, at filePosition) (r *fileReader, why gapReason, err error) {
	is := s.find(at.id)
	if is != nil {
		r, err := f.newReader(is, at)
		switch {
		case err != nil && (is.isPath || errors.Is(err, errStopped)):
			return nil, 0, err
		case r != nil && is.isPath:
			return f.amongCopies(s, r, at)
		case r != nil:
			f.rotations.Add(1)
			return r, 0, nil
		}
	}
	all, err := f.holders(s, at, is)
	if err != nil || len(all) == 0 {
		return nil, 0, err
	}
	wasCut := is != nil && is.isPath
	i, isSince := chosen(all, at)
	for j, o := range all {
		if j != i || wasCut && !isSince {
			s.takeBack(o)
		}
	}
	if wasCut && !isSince {
		return nil, 0, nil // a copy is no older than what it was made of
	}
	if r = all[i]; r.moved {
		f.rotations.Add(1)
	}
	switch {
	case wasCut:
		r.copy = true
		r.owe(micros(at.modified))
	case len(all) > 1 || at.id.IsKnown() && (r.c.gz == nil || !isSince):
		why = gapGone
	}
	return r, why, nil
}

// holders returns a reader of each file that has what was read, those of the snapshot
// oldest first and the path last, but for one.
func (f *File) holders(s *snapshot, at filePosition, but *sibling) (all []*fileReader, err error) {
	candidates := slices.Clone(s.others)
	if s.path != nil {
		candidates = append(candidates, s.path)
	}
	for _, c := range candidates {
		if c == but || at.offset == 0 && (at.id.IsKnown() || !c.isPath) {
			continue // nothing in its content tells it
		}
		r, err := f.newReader(c, at)
		if err != nil && (c.isPath || errors.Is(err, durable.ErrMedia) || errors.Is(err, errStopped)) {
			for _, o := range all {
				o.c.close()
			}
			return nil, err
		}
		if r != nil { // else another file, or no gzip after all
			all = append(all, r)
		}
	}
	return all, nil
}

// chosen returns which of some files that have what was read is gone on with, and whether
// it was written since. Without an identity it is the path. Else it is the first of those
// that were written since, for each later one came after it; else the newest, and the
// path last.
func chosen(all []*fileReader, at filePosition) (i int, isSince bool) {
	last := len(all) - 1
	if !at.id.IsKnown() && !all[last].moved {
		return last, true
	}
	for i, r := range all {
		if r.moved && r.at.about.Modified >= at.modified {
			return i, true
		}
	}
	if last > 0 && !all[last].moved {
		last--
	}
	return last, all[last].at.about.Modified >= at.modified
}

// amongCopies returns what to go on with when the file under the path is the one that
// at is of, and has all that was read: that one, unless a copy of it that was made since
// shows that it was cut, and has the same there by chance. Of a copy that shows nothing
// it cannot be told whether a cut followed: the file may be one that only repeats itself.
func (f *File) amongCopies(s *snapshot, r *fileReader, at filePosition) (*fileReader, gapReason, error) {
	why, since := gapReason(0), max(at.modified, int64(at.gap.until)*1000)
	for _, o := range s.others {
		if at.offset == 0 || o.about.Modified <= since || !isPackedName(o.path) && o.about.Born != 0 && o.about.Born <= since {
			continue // it was there before, or nothing was written to it since
		}
		c, err := f.newReader(o, at)
		if errors.Is(err, durable.ErrMedia) || errors.Is(err, errStopped) {
			r.c.close()
			return nil, 0, err
		}
		if c == nil {
			continue
		}
		if wasCut(r.c.file, c.c.file) {
			s.takeBack(r)
			f.rotations.Add(1)
			c.copy = true
			c.owe(micros(at.modified))
			return c, 0, nil
		}
		if c.c.gz != nil || o.about.Born == 0 || r.at.about.Modified >= o.about.Born { // written since the copy was made
			why = gapTruncated
		}
		s.takeBack(c)
	}
	return r, why, nil
}
