package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// TestALakeIsFedFromOneLandingLog: another directory is refused at a start, before
// it is made, with the key and what to do; so is the right one with another
// identity; the right one is taken again, and may have been moved on the disk.
func TestALakeIsFedFromOneLandingLog(t *testing.T) {
	dir := t.TempDir()
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	start := func(landing string) error {
		c := Default()
		c.Listen, c.Status, c.Identity.Unauthenticated = "127.0.0.1:0", "", true
		c.Landing.Dir, c.Lake.Dir = filepath.Join(dir, landing), filepath.Join(dir, "lake")
		s, err := New(t.Context(), c, Options{Store: store, Sinks: func() ([]stream.Sink, error) { return nil, nil }})
		if err == nil {
			err = s.log.Close()
		}
		return err
	}
	for range 2 {
		if err := start("a"); err != nil {
			t.Fatal(err)
		}
	}
	var field *config.FieldError
	if err := start("b"); !errors.As(err, &field) || field.Key != "landing.dir" || !strings.Contains(err.Error(), "landing replace") || !strings.Contains(err.Error(), filepath.Join(dir, "a")) {
		t.Errorf("another directory: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "b")); err == nil {
		if _, err := os.Stat(filepath.Join(dir, "b", "landing")); err == nil {
			t.Error("a landing log was made that nothing is to land in")
		}
	}
	made, err := embedded.Open(embedded.Config{Dir: filepath.Join(dir, "d")})
	if err == nil {
		err = made.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := start("d"); !errors.As(err, &field) || field.Key != "landing.dir" {
		t.Errorf("another landing log: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "c")); err != nil {
		t.Fatal(err)
	}
	if err := start("a"); !errors.As(err, &field) {
		t.Errorf("the directory is empty: %v", err)
	}
	if err := start("c"); err != nil {
		t.Errorf("moved on the disk: %v", err)
	}
}

// TestMovedInAGroup: a task whose lake has another landing log now is not claimed
// again, by whoever runs it.
func TestMovedInAGroup(t *testing.T) {
	moved := fmt.Errorf("task l-0000: %w", checkpoint.ErrMoved)
	s, waits := script(t, moved)
	s.fenced = 6 * time.Second
	s.supervise(t.Context())
	if s.state != TaskRed || len(*waits) != 0 || !errors.Is(s.moved(), checkpoint.ErrMoved) {
		t.Errorf("%s after %v, %v", s.state, *waits, s.moved())
	}
}

// TestNothingLandsInALogThatWasLeft: its gateways would forget what no task reads.
func TestNothingLandsInALogThatWasLeft(t *testing.T) {
	var left error
	log := &taking{}
	r := &reserved{Log: log, fs: &fixed{free: 100}, now: time.Now, left: func() error { return left }}
	if err := r.Append(t.Context(), landing.Landed{}); err != nil || log.n != 1 {
		t.Fatalf("%d appended, %v", log.n, err)
	}
	left = checkpoint.ErrMoved
	if err := r.Append(t.Context(), landing.Landed{}); !errors.Is(err, checkpoint.ErrMoved) || log.n != 1 {
		t.Errorf("%d appended, %v", log.n, err)
	}
}
