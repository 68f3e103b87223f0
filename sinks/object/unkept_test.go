package object_test

import (
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/sinks/object/faultobject"
)

// TestEveryWriteIsConfirmedAndLost: the store answers success to one write and has
// done nothing, of each kind of object and at each step, in the first run and in a
// claim that takes over. The task notices before anything is released or
// collected, makes the write again and goes on by itself.
func TestEveryWriteIsConfirmedAndLost(t *testing.T) {
	for name, begin := range beginnings {
		t.Run(name, func(t *testing.T) {
			plain := &faultobject.Script{}
			w := begin(t)
			if err := w.run(faultobject.Store(w.store, plain), faultobject.Files(w.files, plain)); err != nil {
				t.Fatal(err)
			}
			kinds := map[string]int{}
			for k := range len(plain.Calls()) {
				w, script := begin(t), &faultobject.Script{}
				script.Fail(k+1, faultobject.Unkept)
				kind := ""
				script.Before = func(c faultobject.Call) {
					if c.N == k+1 {
						kind = kindOf(c)
					}
				}
				if !slices.ContainsFunc([]string{"Create", "Swap"}, func(op string) bool { return plain.Calls()[k].Op == op }) ||
					kindOf(plain.Calls()[k]) == "" {
					continue
				}
				err := w.run(faultobject.Store(w.store, script), faultobject.Files(w.files, script))
				if kind == "" {
					continue // the publishing goroutine had fewer to do this time
				}
				kinds[kind]++
				if err != nil {
					t.Fatalf("%s: not got over: %v", script.Calls()[k], err)
				}
				crashAndJudge(t, w, faultfs.LoseAll, uint64(k), plain.Calls()[k].String())
			}
			t.Log(kinds)
			for _, kind := range []string{"HEAD", "manifest", "state", "ledger"} {
				if kinds[kind] == 0 && (name == "fresh" || kind == "HEAD") {
					t.Errorf("no write of %s was lost", kind)
				}
			}
		})
	}
}

// kindOf tells what kind of object a call of a Store writes; empty: none.
func kindOf(c faultobject.Call) string {
	rest, ok := strings.CutPrefix(c.Name, toyTask.String()+"/")
	if !ok || c.Op != "Create" && c.Op != "Swap" {
		return ""
	}
	kind, _, _ := strings.Cut(rest, "/")
	return kind
}
