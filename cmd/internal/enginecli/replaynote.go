package enginecli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"landfall/cmd/internal/cli"
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
}

// noteReplay writes the note of a content, or compares it with the one that is
// there. Errors: checkpoint.IdentityError for other settings, and one that says
// where the content is.
func noteReplay(ctx context.Context, store checkpoint.Store, log *replay.Log, id landing.ID, topic string) error {
	name := "_replay/" + string(log.ID())
	want := replayNote{Landing: id, Topic: topic, Params: log.Params()}
	text, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if err = store.Create(ctx, name, append(text, '\n')); err == nil || !errors.Is(err, checkpoint.ErrExist) {
		return err
	}
	data, _, err := store.Read(ctx, name)
	if err != nil {
		return fmt.Errorf("read where the content was replayed: %w", err)
	}
	var have replayNote
	if err := json.Unmarshal(data, &have); err != nil {
		return fmt.Errorf("read where the content was replayed, %s: %w", name, checkpoint.ErrCorrupt)
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

// elsewhere says by which way a content comes into the lake.
func elsewhere(n replayNote) error {
	if n.Landing == "" {
		return cli.Fail(cli.ExitData, errors.New("this content was replayed straight into the lake: --lake in place of --config continues that; --again lands it once more"))
	}
	return cli.Fail(cli.ExitData, fmt.Errorf("this content was replayed into topic %s with id %s: --config with that topic continues that; --again lands it once more", n.Topic, n.Landing))
}
