package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// replayFolder is where a replay notes a content before anything of it is landed.
const replayFolder = "_replay"

// replayed is what such a note says, as far as it is needed.
type replayed struct {
	Landing string `json:"landing"` // the topic that it went to; empty: straight into the lake
}

// everyReplay finds the contents that were replayed into the lake, as their notes say,
// and of which there is no task.
func (a *audit) everyReplay(ctx context.Context, objects map[string][]string, first, second map[string]taskHead) error {
	for _, object := range objects[replayFolder] {
		name := stream.TaskID{Landing: strings.TrimPrefix(object, replayFolder+"/")}.String()
		_, known := first[name]
		if _, made := second[name]; known || made || len(objects[name]) > 0 { // with objects and no HEAD it is found elsewhere
			continue
		}
		data, _, err := a.Checkpoints.Read(ctx, object)
		if errors.Is(err, checkpoint.ErrNotExist) {
			continue
		}
		if err != nil && !isDamage(err) {
			return fmt.Errorf("read what was replayed: %w", err)
		}
		var note replayed
		why := "it was ended before its first checkpoint, and is done by replaying the content again, or its checkpoints, and with them its files, were removed"
		if err != nil || json.Unmarshal(data, &note) != nil {
			why = "the note that says where it went cannot be read"
		}
		if note.Landing == "" {
			a.find(Finding{Kind: KindHead, Task: name, File: name + "/HEAD",
				Detail: fmt.Sprintf("task %s has no HEAD, and %s says that a content was replayed: %s", name, object, why)})
		}
	}
	return nil
}
