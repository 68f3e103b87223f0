package move

import (
	"errors"
	"strings"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
)

// restored removes what says which landing log feeds the lake, and makes it again.
func (r *rig) restored() Landing {
	r.t.Helper()
	if err := r.store.Delete(r.t.Context(), landingName); err != nil {
		r.t.Fatal(err)
	}
	is, err := Restore(r.t.Context(), r.store)
	if err != nil {
		r.t.Fatal(err)
	}
	if again, err := Restore(r.t.Context(), r.store); err != nil || again != (Landing{}) {
		r.t.Errorf("once more: %v, %v", again, err)
	}
	return is
}

// TestWhatFeedsALakeIsFoundAgain of its tasks, and of the intent of its newest move;
// an audit misses it until then.
func TestWhatFeedsALakeIsFoundAgain(t *testing.T) {
	r := newRig(t, 2)
	if is, err := Restore(t.Context(), r.store); err != nil || is != (Landing{}) {
		t.Errorf("a lake that nothing feeds: %v, %v", is, err)
	}
	a, b := r.landing("log-a", 2), r.landing("log-b", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	if is := r.restored(); is.ID != "log-a" || is.Partitions != 2 {
		t.Errorf("of its tasks: %v", is)
	}
	r.exact(audit.LevelFiles)
	if err := Bind(t.Context(), r.store, r.is("log-a", 2)); err != nil { // and its place is known again
		t.Fatal(err)
	}
	if _, err := r.replace(a, b, r.is("log-b", 3)); err != nil {
		t.Fatal(err)
	}
	r.land(b)
	r.run(b, r.is("log-b", 3))
	if is := r.restored(); is != r.is("log-b", 3) {
		t.Errorf("after a move: %v", is)
	}
	r.exact(audit.LevelFiles)
	r.overwrite(landingName, []byte("{\"format\":1,"))
	if is, err := Restore(t.Context(), r.store); err != nil || is != r.is("log-b", 3) {
		t.Errorf("damaged: %v, %v", is, err)
	}
	r.exact(audit.LevelFiles)
	if err := r.store.Delete(t.Context(), landingName); err != nil {
		t.Fatal(err)
	}
	r.wants("_lake/landing, which says which landing log feeds the lake, is not there")
}

// TestWhatFeedsALakeIsNotGuessed where tasks of two landing logs may feed it.
func TestWhatFeedsALakeIsNotGuessed(t *testing.T) {
	r := newRig(t, 1)
	for _, id := range []landing.ID{"log-a", "log-b"} { // as a version without the object let it
		l := r.landing(string(id), 1)
		r.land(l)
		if err := drain(t.Context(), r.task(l, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if is, err := Restore(t.Context(), r.store); !errors.Is(err, ErrUnsure) {
		t.Errorf("%v, %v", is, err)
	}
	if _, _, err := r.store.Read(t.Context(), landingName); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Errorf("the object: %v", err)
	}
}

// TestWhatWasGivenUpStaysSo where the object is made again while a move is under way
// that was led elsewhere: it counts what was given up, so that no call which is to lead
// there can bind the lake.
func TestWhatWasGivenUpStaysSo(t *testing.T) {
	r := newRig(t, 1)
	a, b, c := r.landing("log-a", 1), r.landing("log-b", 1), r.landing("log-c", 1)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	r.interrupted(a, b, r.is("log-b", 1))
	r.interrupted(a, c, r.is("log-c", 1))
	r.restored()
	text, _, err := r.store.Read(t.Context(), landingName)
	if err != nil || !strings.Contains(string(text), `{"format":2,`) || !strings.Contains(string(text), `"given_up":1`) {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := r.replace(a, c, r.is("log-c", 1)); err != nil {
		t.Fatal(err)
	}
	r.run(c, r.is("log-c", 1))
	r.exact(audit.LevelFiles)
}
