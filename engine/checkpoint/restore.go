package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// Found is a manifest that HEAD may name again.
type Found struct {
	Name     string // of its object
	SHA256   string
	Manifest Manifest
	version  Version // of what HEAD is now
}

// FindHead looks for the manifest that HEAD named before it was lost, damaged or
// set back: the newest one that is whole, with its state and its ledger. It
// changes nothing. Where HEAD names one that is not, an older one is never
// taken: the task would do again what its landing log may hold no more. Where HEAD
// can be read, the hash in it tells which one it was, however the name is damaged,
// and another one is taken only where that follows it (SetBack).
//
// It may also find a manifest that was written but never became HEAD. That is
// safe, because its outputs and state were durable before it was written, and it
// follows the one before: the task goes on from it as if the swap had happened. Two
// of the highest epoch, of which neither follows the other, may both be HEAD's:
// ErrCorrupt. So is one beside which anything newer is left, though that is not
// whole: it may be what HEAD named (passed).
//
// Errors: ErrCorrupt, ErrNotExist when there is no manifest at all, ErrVersion.
func FindHead(ctx context.Context, store Store, task stream.TaskID, visible Visible) (Found, error) {
	data, version, err := store.Read(ctx, headName(task))
	if err != nil && !errors.Is(err, ErrNotExist) {
		return Found{}, err
	}
	h, headErr := DecodeHead(data)
	if errors.Is(headErr, ErrVersion) {
		return Found{}, headErr
	}
	all, err := wholeManifests(ctx, store, task)
	if err != nil {
		return Found{}, err
	}
	whole := all
	if headErr == nil {
		// What has the name of HEAD's own manifest and another hash is that one,
		// damaged: a claim writes an epoch once.
		all = slices.DeleteFunc(all, func(f Found) bool {
			return f.Manifest.Epoch == h.Epoch && f.Manifest.Claim == h.Claim && f.SHA256 != h.SHA256
		})
		back, err := isSetBack(ctx, store, task, all, h, visible)
		if err != nil {
			return Found{}, err
		}
		if !back {
			return named(task, all, h, version)
		}
	}
	found, err := newestOf(task, all)
	if err == nil && headErr == nil && found.SHA256 == h.SHA256 {
		return Found{}, fmt.Errorf("%w: HEAD of %s was set back to %s, and nothing that followed it is whole",
			ErrCorrupt, task, found.Name)
	}
	if err == nil {
		err = passed(ctx, store, task, whole, &found, visible)
	}
	if err != nil {
		return Found{}, err
	}
	found.version = version
	return found, nil
}

// passed is ErrCorrupt where something is left that may have been written after a
// manifest, and does not belong to one of those that are whole: another manifest, or
// an output or an entry that proves that HEAD was past it.
func passed(ctx context.Context, store Store, task stream.TaskID, whole []Found, found *Found, visible Visible) error {
	m := &found.Manifest
	newer, err := NewerManifest(ctx, store, task, m.Epoch, m.Ledger, whole)
	if err != nil {
		return err
	}
	if newer == "" {
		listed, err := store.List(ctx, task.String()+"/")
		if err != nil {
			return err
		}
		if newer, err = newerThan(ctx, store, task, listed, &cursor{manifest: *m}, visible); err != nil {
			return err
		}
	}
	if newer == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is newer than every manifest of %s that is whole, and an older one would set the task "+
		"back", ErrCorrupt, newer, task)
}

// NewerManifest returns the name of a manifest, whole or not, that may be newer than
// an epoch and the entry of the ledger that ended it; empty: there is none. Those of
// but are not looked at.
func NewerManifest(ctx context.Context, store Store, task stream.TaskID, epoch stream.Epoch, tip *ledger.Tip,
	but []Found) (string, error) {
	names, err := store.List(ctx, manifestFolder(task))
	if err != nil {
		return "", err
	}
	for _, name := range names {
		at, ok := manifestEpoch(task, name)
		if !ok || slices.ContainsFunc(but, func(f Found) bool { return f.Name == name }) {
			continue
		}
		if at > epoch {
			return name, nil
		}
		f, err := readAny(ctx, store, task, name)
		if err != nil {
			return "", err
		}
		if f != nil && f.Manifest.Ledger != nil && (tip == nil || f.Manifest.Ledger.Number > tip.Number) {
			return name, nil
		}
	}
	return "", nil
}

// NewestManifests returns the manifests of the highest epoch of which one can be
// read, whether or not the state and the ledger that they name are whole.
func NewestManifests(ctx context.Context, store Store, task stream.TaskID) (newest []Manifest, err error) {
	names, err := store.List(ctx, manifestFolder(task))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := readAny(ctx, store, task, name)
		if err != nil {
			return nil, err
		}
		if f == nil || len(newest) > 0 && f.Manifest.Epoch < newest[0].Epoch {
			continue
		}
		if len(newest) > 0 && f.Manifest.Epoch > newest[0].Epoch {
			newest = nil
		}
		newest = append(newest, f.Manifest)
	}
	return newest, nil
}

// readAny reads a manifest; nil: it is not there, or not as it was written.
func readAny(ctx context.Context, store Store, task stream.TaskID, name string) (*Found, error) {
	data, _, err := store.Read(ctx, name)
	if err != nil {
		return nil, except(err, ErrNotExist, ErrCorrupt)
	}
	m, err := DecodeManifest(data)
	if err != nil || m.TaskID() != task || name != manifestName(task, m.Epoch, m.Claim) {
		return nil, nil
	}
	return &Found{Name: name, SHA256: hash(data), Manifest: m}, nil
}

// newestOf returns the one whole manifest that no other follows.
func newestOf(task stream.TaskID, all []Found) (Found, error) {
	newest := slices.DeleteFunc(slices.Clone(all), func(f Found) bool {
		return slices.ContainsFunc(all, func(o Found) bool { return o.Manifest.Epoch > f.Manifest.Epoch || o.Manifest.Previous == f.SHA256 })
	})
	switch {
	case len(all) == 0:
		return Found{}, fmt.Errorf("%w: no manifest of %s is whole", ErrNotExist, task)
	case len(newest) != 1:
		return Found{}, fmt.Errorf("%w: %d manifests of %s may be the newest, as %s; put HEAD back from a backup", ErrCorrupt, len(newest), task, newest[0].Name)
	}
	return newest[0], nil
}

// SetBack tells whether HEAD of a task can be read and was set back: an object is
// there that could not have been written, or an output published, before HEAD named
// a later manifest. It changes nothing.
func SetBack(ctx context.Context, store Store, task stream.TaskID, visible Visible) (bool, error) {
	listed, err := store.List(ctx, task.String()+"/")
	if err != nil {
		return false, err
	}
	at, err := load(ctx, store, task, false)
	if err != nil || at.data == nil {
		return false, err
	}
	newer, err := newerThan(ctx, store, task, listed, &at, visible)
	return newer != "", err
}

// isSetBack tells whether one of the whole manifests follows what HEAD names. A
// manifest that is named is taken for set back only by SetBack's evidence.
func isSetBack(ctx context.Context, store Store, task stream.TaskID, all []Found, h Head, visible Visible) (bool,
	error) {
	if slices.ContainsFunc(all, func(f Found) bool { return f.SHA256 == h.SHA256 }) {
		back, err := SetBack(ctx, store, task, visible)
		return back, except(err, ErrCorrupt) // a damaged name: HEAD's hash tells
	}
	newest, err := newestOf(task, all)
	if err != nil {
		return false, except(err, ErrCorrupt, ErrNotExist)
	}
	return descends(ctx, store, &newest.Manifest, h)
}

// descends tells whether a manifest follows the one that a HEAD names, whose bytes
// are gone: directly, or because its ledger has that epoch of that claim, or the
// next one of it.
func descends(ctx context.Context, store Store, m *Manifest, h Head) (bool, error) {
	if m.Previous == h.SHA256 {
		return true, nil
	}
	if m.Ledger == nil || m.Epoch < h.Epoch {
		return false, nil
	}
	for one, err := range ledger.Walk(ctx, LedgerOf(store), m.TaskID().String(), *m.Ledger) {
		if err != nil || one.Epoch < h.Epoch {
			return false, err
		}
		if one.Claim == h.Claim && (one.Epoch == h.Epoch || one.Epoch == h.Epoch+1) {
			return true, nil
		}
	}
	return false, nil
}

// named finds the manifest with the hash that HEAD names, whatever else HEAD says
// of it.
func named(task stream.TaskID, all []Found, h Head, version Version) (Found, error) {
	for _, f := range all {
		if f.SHA256 == h.SHA256 {
			f.version = version
			return f, nil
		}
	}
	return Found{}, fmt.Errorf("%w: HEAD of %s names %q, nothing that is whole has the hash beside that name, and an older manifest would set the task back", ErrCorrupt, task, h.Manifest)
}

// wholeManifests reads the manifests whose state and ledger are whole.
func wholeManifests(ctx context.Context, store Store, task stream.TaskID) ([]Found, error) {
	names, err := store.List(ctx, manifestFolder(task))
	if err != nil {
		return nil, err
	}
	var all []Found
	for _, name := range names {
		f, err := readAny(ctx, store, task, name)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		whole, err := isWhole(ctx, store, &f.Manifest)
		if err != nil {
			return nil, err
		}
		if whole {
			all = append(all, *f)
		}
	}
	return all, nil
}

func isWhole(ctx context.Context, store Store, m *Manifest) (bool, error) {
	for _, err := range readState(ctx, store, m.State) {
		if err != nil {
			return false, except(err, ErrCorrupt)
		}
	}
	if m.Ledger == nil {
		return true, nil
	}
	for _, err := range ledger.Walk(ctx, LedgerOf(store), m.TaskID().String(), *m.Ledger) {
		if err != nil {
			return false, except(err, ledger.ErrCorrupt, ledger.ErrMissing)
		}
	}
	return true, nil
}

// except returns nil for an error that is one of others.
func except(err error, others ...error) error {
	if slices.ContainsFunc(others, func(o error) bool { return errors.Is(err, o) }) {
		return nil
	}
	return err
}

// RestoreHead makes HEAD name a manifest that FindHead returned, durable on
// return and read back, unless HEAD changed meanwhile: ErrChanged. It is one swap: a
// crash leaves HEAD as it was or as it is to be.
func RestoreHead(ctx context.Context, store Store, task stream.TaskID, f Found) error {
	data, err := Head{Format: f.Manifest.Format, Manifest: f.Name, SHA256: f.SHA256, Claim: f.Manifest.Claim,
		Epoch: f.Manifest.Epoch}.Encode()
	if err != nil {
		return err
	}
	if _, err = store.Swap(ctx, headName(task), f.version, data); err != nil {
		return err
	}
	if at, err := readHead(ctx, store, task, false); err != nil || !bytes.Equal(at.data, data) {
		return errors.Join(errUnkept, err)
	}
	return nil
}

// ReadHead returns what HEAD says, whether or not what it names is there.
// ErrNotExist, ErrCorrupt, ErrVersion.
func ReadHead(ctx context.Context, store Store, task stream.TaskID) (Head, error) {
	data, _, err := store.Read(ctx, headName(task))
	if err != nil {
		return Head{}, err
	}
	return DecodeHead(data)
}

// Name returns the name that the manifest which HEAD describes has by its epoch and
// its claim.
func (h *Head) Name(task stream.TaskID) string { return manifestName(task, h.Epoch, h.Claim) }
