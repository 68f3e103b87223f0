package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	landingkafka "landfall/engine/landing/kafka"
	"landfall/engine/server"
)

// follows tells whether an engine without tasks reads what others have published.
func follows(c *server.Config) bool { return !c.Runs(server.RoleTasks) && c.Lake.Dir != "" }

// errReading says that a store was opened to be read.
var errReading = errors.New("this store is only read")

// followed is the store of a lake that other engines write. It is opened with the
// first read, and again after a failure: an ingest does not wait for the lake.
type followed struct {
	place place

	mu    sync.Mutex
	store checkpoint.Store // nil: not opened yet; guarded by mu
}

func (f *followed) open(ctx context.Context) (checkpoint.Store, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store != nil {
		return f.store, nil
	}
	store, err := f.place.openStore(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.place.checkpoints, err)
	}
	f.store = store
	return store, nil
}

// Read implements checkpoint.Store.
func (f *followed) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	store, err := f.open(ctx)
	if err != nil {
		return nil, "", err
	}
	return store.Read(ctx, name)
}

// List implements checkpoint.Store.
func (f *followed) List(ctx context.Context, prefix string) ([]string, error) {
	store, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	return store.List(ctx, prefix)
}

// Create implements checkpoint.Store: refused.
func (f *followed) Create(context.Context, string, []byte) error { return errReading }

// Swap implements checkpoint.Store: refused.
func (f *followed) Swap(context.Context, string, checkpoint.Version, []byte) (checkpoint.Version, error) {
	return "", errReading
}

// Delete implements checkpoint.Store: refused.
func (f *followed) Delete(context.Context, string) error { return errReading }

// Settle implements checkpoint.Store: refused.
func (f *followed) Settle(context.Context, string) error { return errReading }

// Sweep implements checkpoint.Store: refused.
func (f *followed) Sweep(context.Context, string) error { return errReading }

// checkFollowed says whether gateways learn from this ingest what is published.
func checkFollowed(ctx context.Context, c *server.Config, out io.Writer) error {
	if !follows(c) {
		_, err := fmt.Fprintln(out, "warning: lake.dir is not set: gateways are not told what is published, so they let go of what has landed; "+
			"with the lake's place there, and rights to read it, they keep their records until these are in the lake")
		return err
	}
	p := placeOf(c)
	if name := p.withheld(); name != "" {
		_, err := fmt.Fprintf(out, "%s: not asked: systemd hands %s to the service alone\n", p.checkpoints, name)
		return err
	}
	f := &followed{place: p}
	if _, err := f.List(ctx, "_lake/"); err != nil {
		return unusable(p.storeKey, p.checkpoints, err)
	}
	if err := server.CheckFollowed(ctx, durable.OS{}, c, f); err != nil && !errors.Is(err, landingkafka.ErrUnavailable) {
		return err
	}
	_, err := fmt.Fprintf(out, "%s: can be read: gateways are told what is published\n", p.checkpoints)
	return err
}
