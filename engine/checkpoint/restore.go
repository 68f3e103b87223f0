package checkpoint

import (
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

// FindHead looks for the manifest that HEAD named before it was lost or
// damaged: the newest one that is whole, with its state and its ledger. It
// changes nothing. Where HEAD names one that is not, an older one is never
// taken: the task would do again what its landing log may hold no more. Where HEAD
// can be read, the hash in it tells which one it was, however the name is damaged.
//
// It may also find a manifest that was written but never became HEAD. That is
// safe, because its outputs and state were durable before it was written, and it
// follows the one before: the task goes on from it as if the swap had happened. Two
// of the highest epoch, of which neither follows the other, may both be HEAD's:
// ErrCorrupt.
//
// Errors: ErrCorrupt, ErrNotExist when there is no manifest at all, ErrVersion.
func FindHead(ctx context.Context, store Store, task stream.TaskID) (Found, error) {
	data, version, err := store.Read(ctx, headName(task))
	if err != nil && !errors.Is(err, ErrNotExist) {
		return Found{}, err
	}
	if h, err := DecodeHead(data); err == nil {
		return named(ctx, store, task, h, version)
	} else if errors.Is(err, ErrVersion) {
		return Found{}, err
	}
	all, err := wholeManifests(ctx, store, task)
	if err != nil {
		return Found{}, err
	}
	newest := slices.DeleteFunc(slices.Clone(all), func(f Found) bool {
		return slices.ContainsFunc(all, func(o Found) bool { return o.Manifest.Epoch > f.Manifest.Epoch || o.Manifest.Previous == f.SHA256 })
	})
	switch {
	case len(all) == 0:
		return Found{}, fmt.Errorf("%w: no manifest of %s is whole", ErrNotExist, task)
	case len(newest) != 1:
		return Found{}, fmt.Errorf("%w: %d manifests of %s may be the newest, as %s; put HEAD back from a backup", ErrCorrupt, len(newest), task, newest[0].Name)
	}
	newest[0].version = version
	return newest[0], nil
}

// named finds the manifest with the hash that HEAD names, whatever else HEAD says
// of it.
func named(ctx context.Context, store Store, task stream.TaskID, h Head, version Version) (Found, error) {
	all, err := wholeManifests(ctx, store, task)
	if err != nil {
		return Found{}, err
	}
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
		data, _, err := store.Read(ctx, name)
		if err != nil && !errors.Is(err, ErrNotExist) {
			return nil, err
		}
		m, decodeErr := DecodeManifest(data)
		if err != nil || decodeErr != nil || m.TaskID() != task || name != manifestName(task, m.Epoch, m.Claim) {
			continue
		}
		whole, err := isWhole(ctx, store, &m)
		if err != nil {
			return nil, err
		}
		if whole {
			all = append(all, Found{Name: name, SHA256: hash(data), Manifest: m})
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
// return, unless HEAD changed meanwhile: ErrChanged. It is one swap: a crash
// leaves HEAD as it was or as it is to be.
func RestoreHead(ctx context.Context, store Store, task stream.TaskID, f Found) error {
	data, err := Head{Format: f.Manifest.Format, Manifest: f.Name, SHA256: f.SHA256, Claim: f.Manifest.Claim, Epoch: f.Manifest.Epoch}.Encode()
	if err != nil {
		return err
	}
	_, err = store.Swap(ctx, headName(task), f.version, data)
	return err
}
