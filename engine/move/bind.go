package move

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
)

// OtherError says that a landing log is not the one that feeds the lake. It is
// landing.ErrMismatch.
type OtherError struct {
	Have Landing // that was to be used
	Lake Landing // that feeds the lake
	// Moving is where the lake is being moved to; empty: nowhere.
	Moving Landing
	others []Landing // that fed it too
}

// Error names both, and what to do.
func (e *OtherError) Error() string {
	if e.Moving.ID != "" {
		return fmt.Sprintf("the lake is being moved from %s to %s, and that is not done: repeat `landfall-engine landing replace` with the configuration of the latter", e.Lake, e.Moving)
	}
	also := ""
	if len(e.others) > 0 {
		var names []string
		for _, o := range e.others {
			names = append(names, o.String())
		}
		also = "; it was fed from " + strings.Join(names, " and ") + " too"
	}
	return fmt.Sprintf("%s is not what feeds the lake, which is %s%s: %s", e.Have, e.Lake, also, landing.ErrMismatch)
}

// Unwrap makes errors.Is(err, landing.ErrMismatch) true.
func (e *OtherError) Unwrap() error { return landing.ErrMismatch }

// Want says what a configuration has to name.
func (e *OtherError) Want() string {
	return "the lake's own landing log; to move the lake to this one: `landfall-engine landing replace`, which loses nothing"
}

// check finds why a landing log must not feed the lake.
func (l *lake) check(have Landing) error {
	other := &OtherError{Have: have, Lake: l.fed.Landing, others: l.others}
	switch {
	case l.moving != nil:
		other.Moving = l.moving.To
		return other
	case !l.known:
		return nil
	case have.ID != l.fed.ID, l.fed.Partitions > 0 && have.Partitions != l.fed.Partitions:
		return other
	}
	return nil
}

// Check finds out, changing nothing, whether an engine with this landing log may
// work on a lake: OtherError when it may not. A landing log that is not there yet
// (no ID) may feed a lake that nothing has fed. Other errors are those of the
// store, checkpoint.ErrCorrupt and checkpoint.ErrVersion.
func Check(ctx context.Context, store checkpoint.Store, have Landing) error {
	l, err := look(ctx, store, have.ID)
	if err != nil {
		return err
	}
	return l.check(have)
}

// Bind makes a landing log, which is open, the one that feeds the lake, durable on
// return; it is called at each start, before anything is landed in it or read from
// it. A lake that has a landing log keeps it: another one is an OtherError.
//
// Of two first starts with two landing logs one creates the object and the other
// reads it and is refused: it has made its landing log, and nothing has landed in it.
// A crash before the object is there leaves a landing log without a lake, which the
// next start binds. A lake of a version without the object gets it by what its
// tasks say, once.
func Bind(ctx context.Context, store checkpoint.Store, have Landing) error {
	l, err := look(ctx, store, have.ID)
	if err != nil {
		return err
	}
	if err := l.check(have); err != nil {
		return err
	}
	want := fed{Format: format, Generation: l.fed.Generation, Landing: have}
	if l.version != "" && l.fed == want {
		return nil
	}
	data, err := encode(want)
	if err != nil {
		return err
	}
	if l.version != "" { // it lies elsewhere now: a note for people, which another start may correct as well
		_, _ = store.Swap(ctx, landingName, l.version, data)
		return nil
	}
	err = store.Create(ctx, landingName, data)
	if err == nil {
		return nil
	}
	// Somebody else has created it, or this call has and its answer was lost.
	again, readErr := look(ctx, store, have.ID)
	switch {
	case readErr != nil:
		return errors.Join(err, readErr)
	case again.version == "":
		return fmt.Errorf("note which landing log feeds the lake: %w", err)
	}
	if err := again.check(have); err != nil {
		return err
	}
	return store.Settle(ctx, landingName)
}

// FedTopic returns the identity of the topic of a name that feeds a lake; empty:
// nothing does, or something else. Errors as of Check.
func FedTopic(ctx context.Context, store checkpoint.Store, topic string) (landing.ID, error) {
	l, err := look(ctx, store, "")
	if err != nil || !l.known || l.fed.Kind != Kafka || l.fed.Place != topic {
		return "", err
	}
	return l.fed.ID, nil
}
