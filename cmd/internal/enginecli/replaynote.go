package enginecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/replay"
	"landfall/engine/stream"
)

// replayNote is what a lake's store keeps, from before its first block is
// landed, of a content that was replayed: the same content by another way, or
// into another topic, would be all its rows once more.
type replayNote struct {
	Landing landing.ID        `json:"landing"` // the topic's id; empty: straight into the lake
	Topic   string            `json:"topic"`
	Params  map[string]string `json:"params"`
	// LandedAt is when the first replay into the lake began: what continues it
	// says the same of its rows, so that an epoch can be made again. 0: the note is
	// of a program that kept none.
	LandedAt record.Micros `json:"landed_at,omitempty"`
	// Bytes is the length of the content, and Head the SHA-256 of its first
	// replay.HeadBytes: by them a recording is known that has grown, or was cut, since.
	// 0 and empty: the note is of a program that kept neither, or it is shorter than that.
	Bytes int64  `json:"bytes,omitempty"`
	Head  string `json:"head,omitempty"`
}

// replayFolder is where a store keeps the notes, named by the content's log.
const replayFolder = "_replay/"

// noteReplay writes the note of a content, or compares it with the one that is
// there. Errors: checkpoint.IdentityError for other settings, and one that says
// where the content is.
func noteReplay(ctx context.Context, store checkpoint.Store, log *replay.Log, id landing.ID, topic string) error {
	name := replayFolder + string(log.ID())
	want := replayNote{
		Landing: id, Topic: topic, Params: log.Params(), LandedAt: log.LandedAt(), Bytes: log.Size(), Head: log.Beginning(replay.HeadBytes),
	}
	text, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if err = store.Create(ctx, name, append(text, '\n')); err == nil || !errors.Is(err, checkpoint.ErrExist) {
		return err
	}
	have, err := readNote(ctx, store, name)
	if err != nil {
		return err
	}
	if have.Landing != want.Landing {
		return elsewhere(have)
	}
	for _, field := range slices.Sorted(maps.Keys(want.Params)) {
		if have.Params[field] != want.Params[field] {
			return &checkpoint.IdentityError{Task: stream.TaskID{Landing: string(id)}, Field: field, Have: have.Params[field], Want: want.Params[field]}
		}
	}
	return nil
}

func readNote(ctx context.Context, store checkpoint.Store, name string) (replayNote, error) {
	data, _, err := store.Read(ctx, name)
	if err != nil {
		return replayNote{}, fmt.Errorf("read where the content was replayed: %w", err)
	}
	var have replayNote
	if err := json.Unmarshal(data, &have); err != nil {
		return replayNote{}, fmt.Errorf("read where the content was replayed, %s: %w", name, checkpoint.ErrCorrupt)
	}
	return have, nil
}

// landedWhen returns the Log as of the time at which the first replay of its
// content into the lake began.
func landedWhen(ctx context.Context, store checkpoint.Store, log *replay.Log) (*replay.Log, error) {
	note, err := readNote(ctx, store, replayFolder+string(log.ID()))
	if errors.Is(err, checkpoint.ErrNotExist) || err == nil && note.LandedAt == 0 {
		return log, nil
	}
	if err != nil {
		return nil, err
	}
	return log.At(note.LandedAt), nil
}

// open opens a file to be replayed: in the version of its blocks in which an
// older program began with this content, so that the log goes on; in the newest
// one when nobody did.
func (f *replayFlags) open(ctx context.Context, store checkpoint.Store, name string, base record.Micros, at time.Time) (*replay.Log, error) {
	notes, err := f.alike(ctx, store)
	if err != nil {
		return nil, err
	}
	newest, err := replay.Open(durable.OS{}, name, replay.Options{
		Gateway: f.gateway, BaseTime: base, LandedAt: record.Micros(at.UnixMicro()), Again: f.again, Prefixes: notes.lengths(),
	})
	if err != nil {
		return nil, err
	}
	if err := notes.refuse(newest); err != nil {
		return nil, err
	}
	for version := replay.Version - 1; version > 0; version-- {
		log := newest.In(version)
		begun, err := begunWith(ctx, store, log.ID())
		if err != nil {
			return nil, err
		}
		if v := "capture_version"; begun != nil && begun[v] == log.Params()[v] {
			f.log.Info("an older program began with this content: it continues with the same blocks, without digests", "file", name, "capture_version", begun[v])
			return log, nil
		}
	}
	return newest, nil
}

// begunWith returns the settings under which a content was replayed before; nil:
// it was not.
func begunWith(ctx context.Context, store checkpoint.Store, id landing.ID) (map[string]string, error) {
	m, err := checkpoint.Load(ctx, store, stream.TaskID{Landing: string(id)})
	if err == nil || !errors.Is(err, checkpoint.ErrNotExist) {
		return m.Params, err
	}
	note, err := readNote(ctx, store, replayFolder+string(id)) // into a topic, or killed before its first checkpoint
	if errors.Is(err, checkpoint.ErrNotExist) {
		return nil, nil
	}
	return note.Params, err
}

// elsewhere says by which way a content comes into the lake.
func elsewhere(n replayNote) error {
	if n.Landing == "" {
		return cli.Fail(cli.ExitData, errors.New("this content was replayed straight into the lake: --lake in place of --config continues that; --again lands it once more"))
	}
	return cli.Fail(cli.ExitData, fmt.Errorf("this content was replayed into topic %s with id %s: --config with that topic continues that; --again lands it once more", n.Topic, n.Landing))
}
