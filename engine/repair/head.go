package repair

import (
	"context"
	"errors"
	"fmt"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// head returns the manifest of a task, and puts HEAD right where the manifests
// that are there leave no doubt; nil: it cannot be said how the task stands.
func (r *run) head(ctx context.Context, id stream.TaskID) (m *checkpoint.Manifest, restored bool, err error) {
	loaded, err := checkpoint.Load(ctx, r.Store, id)
	if err == nil {
		back, err2 := checkpoint.SetBack(ctx, r.Store, id, r.visible)
		if err2 != nil || !back {
			return &loaded, false, err2
		}
		err = fmt.Errorf("%w: HEAD names epoch %s, and later checkpoints are there", checkpoint.ErrCorrupt, loaded.Epoch)
	}
	name := id.String() + "/HEAD"
	if errors.Is(err, checkpoint.ErrVersion) {
		r.left(id.String(), "", name, "%v, or it is damaged: run the repair of that version, or put HEAD and its manifest back from a backup of the checkpoints", err)
		return nil, false, nil
	}
	if !errors.Is(err, checkpoint.ErrCorrupt) && !errors.Is(err, checkpoint.ErrNotExist) {
		return nil, false, err
	}
	found, err2 := checkpoint.FindHead(ctx, r.Store, id, r.visible)
	if errors.Is(err2, checkpoint.ErrCorrupt) || errors.Is(err2, checkpoint.ErrVersion) || errors.Is(err2, checkpoint.ErrNotExist) {
		r.left(id.String(), "", name, "%v; %v", err, err2)
		return nil, false, nil
	}
	if err2 != nil {
		return nil, false, err2
	}
	if !r.DryRun {
		if err := checkpoint.RestoreHead(ctx, r.Store, id, found); err != nil {
			return nil, false, fmt.Errorf("restore HEAD of %s: %w", id, err)
		}
	}
	r.did(Head, id.String(), "", name, "it names %s again, which is whole, with its state and its ledger", found.Name)
	return &found.Manifest, true, nil
}

// visible is a checkpoint.Visible: the lake shows a file of that length.
func (r *run) visible(ctx context.Context, output stream.Staged) (bool, error) {
	if output.Sink != LakeSink {
		return false, nil
	}
	f, err := r.Lake.Open(ctx, output.Target)
	var odd *NotAFileError
	if errors.Is(err, checkpoint.ErrNotExist) || errors.As(err, &odd) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return f.Size() == output.Bytes, f.Close()
}
