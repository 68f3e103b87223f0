package repair

import (
	"context"
	"errors"
	"fmt"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// head finds the manifest of a task, and puts HEAD right where the manifests
// that are there leave no doubt, and the manifest where its bytes are to be had;
// false: neither, and why says it; then the manifest may be made of the ledger.
func (r *run) head(ctx context.Context, t *taskState) (found bool, why error, err error) {
	loaded, err := checkpoint.Load(ctx, r.Store, t.id)
	if err == nil {
		ahead, err := r.rebuild(ctx, t.id, &loaded)
		if err != nil {
			return false, nil, err
		}
		back, err := checkpoint.SetBack(ctx, withoutAttempt{r.Store, t.id, ahead}, t.id, r.visible)
		if err != nil {
			return false, nil, err
		}
		if !back {
			t.manifest = loaded
			return true, nil, r.takeUp(ctx, t, ahead)
		}
		was := fmt.Errorf("%w: HEAD names epoch %s, and later checkpoints are there", checkpoint.ErrCorrupt, loaded.Epoch)
		if err := r.mendNewest(ctx, t.id); err != nil {
			return false, nil, err
		}
		why, err = r.restoreHead(ctx, t, was)
		if why != nil {
			r.left(t.id.String(), "", t.id.String()+"/HEAD", "%v", why)
		}
		return why == nil && err == nil, nil, err
	}
	name := t.id.String() + "/HEAD"
	if errors.Is(err, checkpoint.ErrVersion) {
		r.left(t.id.String(), "", name, "%v, or it is damaged: run the repair of that version, or put HEAD and its manifest back from a backup of the checkpoints", err)
		return false, nil, nil
	}
	if !isDamage(err) {
		return false, nil, err
	}
	if err := r.mendNewest(ctx, t.id); err != nil {
		return false, nil, err
	}
	if why, err = r.restoreHead(ctx, t, err); why == nil || err != nil {
		return why == nil && err == nil, nil, err
	}
	back, err := r.manifestBack(ctx, t.id)
	if err != nil || !back {
		return false, why, err
	}
	if t.manifest, err = checkpoint.Load(ctx, r.Store, t.id); err == nil {
		return true, nil, nil
	}
	if !isDamage(err) {
		return false, nil, err
	}
	why, err = r.restoreHead(ctx, t, err)
	return why == nil && err == nil, why, err
}

// mendNewest puts back what the newest manifests name, entries of the ledger and
// state, where the bytes are to be had. It comes before HEAD is chosen: a manifest
// that only lacks what can be had is not to be passed over for an older one.
func (r *run) mendNewest(ctx context.Context, id stream.TaskID) error {
	newest, err := checkpoint.NewestManifests(ctx, r.Store, id)
	if err != nil {
		return err
	}
	for _, m := range newest {
		t := &taskState{id: id, manifest: m}
		if err := r.checkState(ctx, t); err != nil {
			return err
		}
		if m.Ledger == nil {
			continue
		}
		if _, err := r.mendLedger(ctx, t); err != nil { // why it cannot be is told by who needs it
			return err
		}
	}
	return nil
}

// inLake returns the newest file of a task in the lake that is of a later epoch;
// empty: there is none.
func (r *run) inLake(id stream.TaskID, epoch stream.Epoch) (newest string) {
	for _, name := range r.listedNames {
		if taskName(name) == id.String() && epochOf(name) > max(epoch, epochOf(newest)) && !inHiddenFolder(name) {
			newest = name
		}
	}
	return newest
}

// restoreHead points HEAD to a manifest that is there. why: there is none.
func (r *run) restoreHead(ctx context.Context, t *taskState, was error) (why, err error) {
	found, err := checkpoint.FindHead(ctx, r.Store, t.id, r.visible)
	if isDamage(err) || errors.Is(err, checkpoint.ErrVersion) {
		return fmt.Errorf("%w; %w", was, err), nil
	}
	if err != nil {
		return nil, err
	}
	if later := r.inLake(t.id, found.Manifest.Epoch); later != "" {
		return fmt.Errorf("%w; the newest manifest that is whole is of epoch %s, and %s lies in the lake", was, found.Manifest.Epoch, later), nil
	}
	err = checkpoint.RestoreHead(ctx, r.Store, t.id, found)
	if errors.Is(err, checkpoint.ErrCorrupt) { // what has the name is no object, and stays
		return fmt.Errorf("%w; %w", was, err), nil
	}
	if err != nil {
		return nil, fmt.Errorf("restore HEAD of %s: %w", t.id, err)
	}
	r.did(Head, t.id.String(), "", t.id.String()+"/HEAD", "it names %s again, which is whole, with its state and its ledger", found.Name)
	t.manifest = found.Manifest
	return nil, nil
}

// manifestBack puts the manifest back that HEAD names, where bytes with its hash
// are to be had.
func (r *run) manifestBack(ctx context.Context, id stream.TaskID) (bool, error) {
	h, err := checkpoint.ReadHead(ctx, r.Store, id)
	if err != nil {
		return false, nil // nothing says which one it was
	}
	data, from, err := checkpoint.FindBytes(ctx, r.Store, id.String(), h.Manifest, h.SHA256)
	if err != nil || data == nil {
		return false, err
	}
	m, err := checkpoint.DecodeManifest(data)
	if err != nil || m.TaskID() != id {
		return false, nil
	}
	h.Epoch, h.Claim = m.Epoch, m.Claim // whatever HEAD says
	err = r.putBack(ctx, id, h.Name(id), data, from)
	if isDamage(err) {
		return false, nil
	}
	return err == nil, err
}

// putBack makes an object of the checkpoints hold bytes again that it had. What has
// its name and is no object, where it cannot be set aside, is ErrCorrupt.
func (r *run) putBack(ctx context.Context, id stream.TaskID, name string, data []byte, from string) error {
	if err := checkpoint.PutBack(ctx, r.Store, name, data); err != nil {
		return err
	}
	r.did(Restored, id.String(), "", name, "with the bytes of which the hash is known: %s", from)
	return nil
}

// isDamage tells an error that says that something is not there or not as it was
// written.
func isDamage(err error) bool {
	return errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrNotExist)
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
