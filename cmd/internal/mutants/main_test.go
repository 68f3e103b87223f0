package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestEachPlaceStandsOnce: the table must follow the code, or a place would
// silently not be tried any more.
func TestEachPlaceStandsOnce(t *testing.T) {
	all := table()
	if len(all) < 15 {
		t.Errorf("only %d mutants", len(all))
	}
	names := map[string]bool{}
	for _, m := range all {
		whole, err := os.ReadFile(filepath.Join("../../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apply(string(whole), &m); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if names[m.name] || len(m.tests) == 0 {
			t.Errorf("%s: named twice, or without tests", m.name)
		}
		names[m.name] = true
	}
}

func TestRedTests(t *testing.T) {
	if got := redTests("=== RUN x\n--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/b (0.1s)\n--- FAIL: TestC (0s)\n"); got != "TestA, TestC" {
		t.Errorf("got %q", got)
	}
}
