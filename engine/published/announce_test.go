package published

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
)

var update = flag.Bool("update", false, "write new golden files; only for a new format version")

func fullProgress() Progress {
	return Progress{
		Format: 1, Task: "5f-c-0002", Claim: "0123456789abcdef0123456789abcdef",
		Ledger: &ledger.Tip{Name: "5f-c-0002/ledger/x", Number: 7, SHA256: strings.Repeat("a", 64)},
		Wanted: []Wanted{{Gateway: "aurora", Log: strings.Repeat("ab", 16), From: 120}},
	}
}

func TestProgressFormatIsFrozen(t *testing.T) {
	empty := Progress{Format: 1, Task: "a-0000", Claim: fullProgress().Claim}
	for name, p := range map[string]Progress{"progress-v1.json": fullProgress(), "progress-v1-empty.json": empty} {
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "formats", name)
		if *update {
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, data) {
			t.Errorf("%s: written differently today:\n%s", name, data)
		}
		back, err := DecodeProgress(want)
		if again, encErr := back.Encode(); err != nil || encErr != nil || !bytes.Equal(again, want) {
			t.Errorf("%s: read differently today: %+v, %v, %v", name, back, err, encErr)
		}
		if name == "progress-v1.json" && !reflect.DeepEqual(back, p) {
			t.Errorf("%s: %+v", name, back)
		}
	}
}

func TestDecodeProgressIsStrict(t *testing.T) {
	full := fullProgress()
	data, err := full.Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	for name, c := range map[string]struct {
		old, with string
		want      error
	}{
		"newer":         {`"format":1`, `"format":2,"shiny":1`, checkpoint.ErrVersion},
		"no format":     {`"format":1,`, ``, checkpoint.ErrCorrupt},
		"unknown field": {`"task"`, `"shiny":1,"task"`, checkpoint.ErrCorrupt},
		"no task":       {`5f-c-0002",`, `",`, checkpoint.ErrCorrupt},
		"bad claim":     {`0123456789abcdef0123`, `X`, checkpoint.ErrCorrupt},
		"entry 0":       {`"number":7`, `"number":0`, checkpoint.ErrCorrupt},
		"bad hash":      {`aaaa"`, `aa"`, checkpoint.ErrCorrupt},
		"bad log":       {`abab"`, `ab"`, checkpoint.ErrCorrupt},
		"no gateway":    {`"aurora"`, `""`, checkpoint.ErrCorrupt},
		"more after":    {"}]}\n", "}]}{}", checkpoint.ErrCorrupt},
		"no JSON":       {good, "x", checkpoint.ErrCorrupt},
	} {
		if _, err := DecodeProgress([]byte(strings.Replace(good, c.old, c.with, 1))); !errors.Is(err, c.want) || !strings.Contains(good, c.old) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	many := fullProgress()
	many.Wanted = make([]Wanted, maxWanted+1)
	if _, err := many.Encode(); err == nil {
		t.Error("encoded what would not be read")
	}
}

func FuzzProgress(f *testing.F) {
	p := fullProgress()
	data, err := p.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodeProgress(data)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrCorrupt) && !errors.Is(err, checkpoint.ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if _, err := p.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAnAnnouncerWritesWhatChanges: at its beginning, with each change, again after
// a failure, once more at its end, and never twice the same.
func TestAnAnnouncerWritesWhatChanges(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	var swaps, fail atomic.Int64
	hook := &hooked{Store: w.store, before: func(string) error {
		swaps.Add(1)
		if fail.Add(-1) >= 0 {
			return errDown
		}
		return nil
	}}
	c.announcer.Store, c.announcer.Backoff = hook, time.Nanosecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.announcer.Run(ctx)
	}()
	written := func() Progress {
		data, _, err := w.store.Read(t.Context(), checkpoint.ProgressName(w.id))
		if errors.Is(err, checkpoint.ErrNotExist) {
			return Progress{}
		}
		p, err := DecodeProgress(data)
		if err != nil {
			t.Error(err)
		}
		return p
	}
	w.until("the claim is told", func() bool { return written().Claim == c.ClaimID() })
	fail.Store(1)
	c.commit(offsets{logA: 10})
	w.until("the epoch is told", func() bool { p := written(); return p.Ledger != nil && p.Ledger.Number == 1 })
	w.own.Want(w.id, "g", logB, 3)
	w.until("a hole is told", func() bool { return len(written().Wanted) == 1 && written().Wanted[0].From == record.Offset(3) })
	before := swaps.Load()
	w.own.Want(w.id, "g", logB, 3)
	w.own.Filled(w.id, "g", logA)
	cancel()
	<-ended
	if n := swaps.Load(); n != before {
		t.Errorf("%d swaps for nothing", n-before)
	}
	if swaps.Load() < 4 {
		t.Errorf("%d swaps", swaps.Load())
	}
	c.die()
}
