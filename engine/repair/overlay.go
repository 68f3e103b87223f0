package repair

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
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
	aside   map[string]bool // what a run would set aside
}

func newOverlay(under checkpoint.Store) *overlay {
	return &overlay{Store: under, written: map[string][]byte{}, aside: map[string]bool{}}
}

// isAside tells whether a name, or a folder that it is in, would be set aside.
func (o *overlay) isAside(name string) bool {
	for ; name != "." && name != "/"; name = path.Dir(name) {
		if o.aside[name] {
			return true
		}
	}
	return false
}

// Irregular implements checkpoint.Irregular.
func (o *overlay) Irregular(ctx context.Context) ([]checkpoint.NoObject, error) {
	if under, ok := o.Store.(checkpoint.Irregular); ok {
		return under.Irregular(ctx)
	}
	return nil, nil
}

// SetAside implements checkpoint.Irregular.
func (o *overlay) SetAside(_ context.Context, name string) (string, error) {
	o.aside[name] = true
	return "_quarantine", nil
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
	if o.isAside(name) {
		return nil, "", checkpoint.ErrNotExist
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
	var names []string
	var err error
	if !o.isAside(strings.TrimSuffix(prefix, "/")) {
		names, err = o.Store.List(ctx, prefix)
		names = slices.DeleteFunc(names, o.isAside)
	}
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
