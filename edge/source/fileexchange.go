package source

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// KeepApart finds sources whose files others stood in, so that under these names both would
// read again what was captured: names were exchanged, or a source got the file of another.
// None of them reads then, and each says why. positions has, under the name of each source
// that there is or was, where it stands. It comes before Run. A position that is in no file
// here says nothing, and a source with one of a file system without identities is let read.
func KeepApart(files []*File, positions map[string][]byte) {
	named := map[string]*File{}
	for _, f := range files {
		named[f.Name()] = f
	}
	for _, f := range files {
		if f.isIn(positions[f.Name()]) {
			continue
		}
		for _, was := range slices.Sorted(maps.Keys(positions)) {
			other := named[was]
			if was == f.Name() || other != nil && other.isIn(positions[was]) || !f.IsAt(positions[was]) {
				continue
			}
			f.exchanged = fmt.Sprintf("source %s stood in this file", was)
			if other != nil && other.exchanged == "" {
				other.exchanged = fmt.Sprintf("source %s has the file that this one stood in", f.Name())
			}
			break
		}
	}
}

// isIn tells by its identity alone whether the file that a position is of lies under the
// path or beside it, or whether that cannot be told.
func (f *File) isIn(position []byte) bool {
	at, err := decodeFilePosition(position)
	if err != nil || !at.isPlaced {
		return false
	}
	if !at.id.IsKnown() {
		return true
	}
	s, err := f.look()
	if err != nil {
		return true
	}
	defer s.close()
	return s.find(s.onItsDevice(at.id)) != nil
}

// waitForName says that the source does not read, because of its name; with Follow it
// waits until ctx ends, so that the others go on. Error: ErrConfig.
func (f *File) waitForName(ctx context.Context) error {
	err := fmt.Errorf("not read, for its lines would come twice: %s; "+
		"give the sources the names back that they had, or each a new one: %w", f.exchanged, ErrConfig)
	f.fault(StateFailed, err)
	if !f.cfg.Follow {
		return err
	}
	<-ctx.Done()
	f.set(StateStopped, "")
	return nil
}
