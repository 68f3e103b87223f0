package enginecli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"landfall/cmd/internal/cli"
	"landfall/engine/checkpoint"
	"landfall/engine/landing/replay"
)

// notesAtOnce is how many notes are asked for at the same time: in a bucket each
// takes the way there and back.
const notesAtOnce = 16

// replayNotes are the notes of a lake.
type replayNotes []replayNote

// alike reads the notes of what was replayed into the lake; with --again, which
// means to land what is there once more, none.
func (f *replayFlags) alike(ctx context.Context, store checkpoint.Store) (replayNotes, error) {
	if f.again {
		return nil, nil
	}
	names, err := store.List(ctx, replayFolder)
	if err != nil {
		return nil, fmt.Errorf("list what was replayed: %w", err)
	}
	var notes replayNotes
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(notesAtOnce)
	for _, name := range names {
		group.Go(func() error {
			note, err := readNote(ctx, store, name)
			if errors.Is(err, checkpoint.ErrCorrupt) { // the audit finds it; its content is not known again
				f.log.Warn("a note of what was replayed is damaged", "error", err)
			}
			if errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrNotExist) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			notes = append(notes, note)
			return err
		})
	}
	return notes, group.Wait()
}

// lengths returns how long the contents are.
func (n replayNotes) lengths() []int64 {
	var all []int64
	for _, note := range n {
		if note.Bytes > 0 {
			all = append(all, note.Bytes)
		}
	}
	return all
}

// refuse refuses a content that begins as another one that was replayed: what
// both have in common would be in the lake twice. Of the one that is a beginning of
// this content as a whole, it says how the rest is replayed.
func (n replayNotes) refuse(log *replay.Log) error {
	var whole, head *replayNote
	for i := range n {
		note := &n[i]
		if note.Params["content"] == log.Content() {
			return nil // the same
		}
		if sum := log.Beginning(note.Bytes); sum != "" && sum == note.Params["content"] && (whole == nil || note.Bytes > whole.Bytes) {
			whole = note
		}
		if note.Head != "" && note.Head == log.Beginning(replay.HeadBytes) {
			head = note
		}
	}
	switch {
	case whole != nil:
		return cli.Fail(cli.ExitData, fmt.Errorf("the first %d of its %d bytes were replayed before, and would be in the lake twice; "+
			"replay what it gained since: tail -c +%d of it, unpacked, into a file of its own (and where that replay was not ended, "+
			"head -c %d of it first); --again lands all of it once more", whole.Bytes, log.Size(), whole.Bytes+1, whole.Bytes))
	case head != nil:
		return cli.Fail(cli.ExitData, fmt.Errorf("it begins with the same %d bytes as a recording of %d bytes that was replayed before, and is another one: "+
			"it was changed or cut, or that one was; what both have in common would be in the lake twice; --again lands it all the same",
			replay.HeadBytes, head.Bytes))
	}
	return nil
}

// grown warns where a file became longer while it was replayed.
func (f *replayFlags) grown(name string, log *replay.Log, r *replay.Reader) {
	if r != nil && r.Grown() {
		f.log.Warn("the file has grown since it was opened: what it gained is not replayed", "file", name, "replayed_bytes", log.Size())
	}
}
