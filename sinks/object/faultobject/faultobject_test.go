package faultobject_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/sinks/object"
	"landfall/sinks/object/faultobject"
)

func TestOutcomes(t *testing.T) {
	for _, outcome := range faultobject.Outcomes() {
		inner, err := object.OpenDir(faultfs.New(), "/d")
		if err != nil {
			t.Fatal(err)
		}
		script := &faultobject.Script{}
		script.Fail(2, outcome)
		store := faultobject.Store(inner, script)
		if err := store.Create(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		crash := outcome == faultobject.CrashBefore || outcome == faultobject.CrashAfter
		want := faultobject.ErrInjected
		if crash {
			want = faultobject.ErrCrashed
		}
		if err := store.Create(t.Context(), "b", nil); !errors.Is(err, want) {
			t.Errorf("%s: answer %v", outcome, err)
		}
		names, err := inner.List(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		done := outcome == faultobject.AnswerLost || outcome == faultobject.CrashAfter
		if has := strings.Join(names, " ") == "a b"; has != done {
			t.Errorf("%s: left %v", outcome, names)
		}
		if err := store.Delete(t.Context(), "a"); errors.Is(err, faultobject.ErrCrashed) != crash || script.Crashed() != crash {
			t.Errorf("%s: next call gave %v", outcome, err)
		}
	}
}

func TestFilesAndHooks(t *testing.T) {
	inner, err := object.OpenLake(faultfs.New(), "/d")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	script := &faultobject.Script{
		Before: func(c faultobject.Call) { seen = append(seen, fmt.Sprint("<", c)) },
		After:  func(c faultobject.Call) { seen = append(seen, fmt.Sprint(c, ">")) },
	}
	script.Fail(3, faultobject.NotDone)
	f, err := faultobject.Files(inner, script).Create(t.Context(), "s/1", "t/1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, faultobject.ErrInjected) {
		t.Errorf("sync gave %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := "<1 Create s/1 1 Create s/1> <2 Write s/1 2 Write s/1> <3 Sync s/1 3 Sync s/1> <4 Close s/1 4 Close s/1>"
	if got := strings.Join(seen, " "); got != want {
		t.Errorf("hooks saw %s", got)
	}
}
