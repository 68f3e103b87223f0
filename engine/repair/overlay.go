package repair

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"landfall/engine/checkpoint"
)

// overlay is a store that a dry run may change: what it writes is kept in memory
// and lies over what is there, so that a dry run finds what a run would find after
// each of its steps.
type overlay struct {
	checkpoint.Store
	written map[string][]byte
}

func newOverlay(under checkpoint.Store) *overlay {
	return &overlay{Store: under, written: map[string][]byte{}}
}

func versionOf(data []byte) checkpoint.Version {
	sum := sha256.Sum256(data)
	return checkpoint.Version("dry-" + hex.EncodeToString(sum[:]))
}

// Read implements checkpoint.Store.
func (o *overlay) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if data, ok := o.written[name]; ok {
		return data, versionOf(data), nil
	}
	return o.Store.Read(ctx, name)
}

// Create implements checkpoint.Store.
func (o *overlay) Create(ctx context.Context, name string, data []byte) error {
	if _, _, err := o.Read(ctx, name); err == nil {
		return checkpoint.ErrExist
	}
	o.written[name] = slices.Clone(data)
	return nil
}

// Swap implements checkpoint.Store. Nobody else writes what a dry run does.
func (o *overlay) Swap(_ context.Context, name string, _ checkpoint.Version, data []byte) (checkpoint.Version, error) {
	o.written[name] = slices.Clone(data)
	return versionOf(data), nil
}

// List implements checkpoint.Store.
func (o *overlay) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := o.Store.List(ctx, prefix)
	for name := range o.written {
		if strings.HasPrefix(name, prefix) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// Settle implements checkpoint.Store.
func (o *overlay) Settle(context.Context, string) error { return nil }
