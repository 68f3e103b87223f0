package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"landfall/engine/checkpoint"
)

// ErrUnfit says that a store does not keep the promises of checkpoint.Store. It is
// checkpoint.ErrUnfit.
var ErrUnfit = checkpoint.ErrUnfit

// selfTestWriters is how many swaps from one version race in SelfTest.
const selfTestWriters = 8

// selfTestAttempts is how often it is made where an answer does not arrive.
const selfTestAttempts = 5

// SelfTest makes sure that a store compares before it swaps and creates only
// what is absent, also when several do it at once; a store that does not is
// refused at start with ErrUnfit. It works below "selftest/" under names of its
// own and removes them.
func SelfTest(ctx context.Context, store checkpoint.Store) error {
	var err error
	for range selfTestAttempts {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails: the runtime ends the process instead
		name := "selftest/" + hex.EncodeToString(id[:])
		err = probe(ctx, store, name)
		err = errors.Join(err, store.Delete(ctx, name), store.Delete(ctx, name+"-new"))
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrUnfit) || ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("self-test of the object store: %w", err)
}

// refuses holds that an answer is the refusal it should be: success is unfit,
// and what is neither, a cut connection, says nothing.
func refuses(err, refusal error, what string) error {
	if err == nil {
		return unfit("%s succeeded", what)
	}
	if !errors.Is(err, refusal) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func probe(ctx context.Context, store checkpoint.Store, name string) error {
	_, _, err := store.Read(ctx, name)
	if err := refuses(err, checkpoint.ErrNotExist, "read of an absent object"); err != nil {
		return err
	}
	if err := store.Create(ctx, name+"-new", []byte("first")); err != nil {
		return err
	}
	err = store.Create(ctx, name+"-new", []byte("second"))
	if err := refuses(err, checkpoint.ErrExist, "a second create under one name"); err != nil {
		return err
	}
	from := checkpoint.Version("")
	for _, content := range []string{"one", "two"} {
		to, err := store.Swap(ctx, name, from, []byte(content))
		if err != nil {
			return err
		}
		_, err = store.Swap(ctx, name, from, []byte("stale"))
		if err := refuses(err, checkpoint.ErrChanged, "a swap from a version that is gone"); err != nil {
			return err
		}
		data, version, err := store.Read(ctx, name)
		if err != nil {
			return err
		}
		if !bytes.Equal(data, []byte(content)) || version != to {
			return unfit("read after swap gave %q", data)
		}
		from = to
	}
	return race(ctx, store, name, from)
}

// race lets several swaps start from one version: exactly one may succeed, and
// its content must be what is read.
func race(ctx context.Context, store checkpoint.Store, name string, from checkpoint.Version) error {
	errs := make([]error, selfTestWriters)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = store.Swap(ctx, name, from, []byte{byte('a' + i)}) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			return unfit("two swaps from one version succeeded")
		case err == nil:
			winner = i
		case !errors.Is(err, checkpoint.ErrChanged):
			return err
		}
	}
	data, _, err := store.Read(ctx, name)
	if err != nil {
		return err
	}
	if winner < 0 || !bytes.Equal(data, []byte{byte('a' + winner)}) {
		return unfit("of %d swaps from one version the wrong one holds", selfTestWriters)
	}
	return nil
}

func unfit(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnfit, fmt.Sprintf(format, args...))
}
