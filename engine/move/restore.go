package move

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"landfall/engine/checkpoint"
)

// ErrUnsure says that what is left of a lake does not tell which landing log feeds it.
var ErrUnsure = errors.New("what is left does not tell which landing log feeds the lake")

// bindsSince is the first format of manifests of a version that binds a lake before it
// claims a task.
const bindsSince = 4

// Restore makes the object again that says which landing log feeds a lake, durable on
// return, where it is lost or damaged: of the intent of the newest move, else of the
// tasks. It tells which one that is; where there is nothing to do, the zero Landing. A
// lake that an engine of before filled has no such object and gets none: the next start
// of an engine makes it. What lay in its place is kept in _quarantine.
//
// It is one step: the object is created, or put back (checkpoint.PutBack has the crash
// cases). An engine that binds the lake meanwhile is first: checkpoint.ErrExist. It does
// not over one that is damaged. Errors: ErrUnsure, checkpoint.ErrCorrupt and
// checkpoint.ErrVersion of what it would be made of, those of the store.
func Restore(ctx context.Context, store checkpoint.Store) (Landing, error) {
	var have fed
	_, there, err := readObject(ctx, store, landingName, &have)
	damaged := errors.Is(err, checkpoint.ErrCorrupt)
	if there || err != nil && !damaged {
		return Landing{}, err
	}
	tasks, err := manifests(ctx, store)
	if err != nil {
		return Landing{}, err
	}
	bound := func(m checkpoint.Manifest) bool { return m.Format >= bindsSince && len(m.Params) == 0 }
	if !damaged && !slices.ContainsFunc(tasks, bound) {
		return Landing{}, nil
	}
	var m moving
	_, moved, err := readObject(ctx, store, movingName, &m)
	if err != nil {
		return Landing{}, err
	}
	var l lake
	if err := l.derive(ctx, store, "", moved, &m); err != nil {
		return Landing{}, err
	}
	switch {
	case !l.known:
		return Landing{}, fmt.Errorf("%w: no task does", ErrUnsure)
	case len(l.others) > 0:
		return Landing{}, fmt.Errorf("%w: it may be %s, or %s; start an engine with the right one", ErrUnsure, l.fed.Landing, l.others[0])
	}
	data, err := encode(l.fed)
	if err != nil {
		return Landing{}, err
	}
	if damaged {
		return l.fed.Landing, checkpoint.PutBack(ctx, store, landingName, data)
	}
	return l.fed.Landing, store.Create(ctx, landingName, data)
}
