package s3_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// TestTheManualHasEachVerdict: the table of docs/scale.md and Verdicts say the same.
func TestTheManualHasEachVerdict(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(manual), "| answer | S3's code | verdict |")
	table, _, _ = strings.Cut(table, "\n\n")
	told := map[string]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		for code := range strings.SplitSeq(cells[2], ",") {
			told[strings.Trim(code, " `")] = strings.TrimSpace(cells[3])
		}
	}
	for code, v := range s3.Verdicts() {
		if told[code] != v.String() {
			t.Errorf("%s is %q in the manual, not %q", code, told[code], v)
		}
		delete(told, code)
	}
	for code := range told {
		if code != "none" && !strings.HasPrefix(code, "-") && code != "" {
			t.Errorf("%q is in the manual alone", code)
		}
	}
}

// TestEachAnswerHasItsVerdict: of a read, of a conditional write and of opening.
func TestEachAnswerHasItsVerdict(t *testing.T) {
	server := s3test.Start(t)
	for code, want := range s3.Verdicts() {
		var answering atomic.Bool
		url := server.Answer(t, func(*http.Request) (int, string, bool) { return 403, code, answering.Load() })
		cfg := s3test.Config(url)
		cfg.Attempts = 1
		store := openStore(t, url, "x")
		answering.Store(true)
		err := store.Create(t.Context(), "y", nil)
		if got := s3.Judge(err); got != want || !strings.Contains(err.Error(), s3test.Words(code)) || errors.Is(err, object.ErrUnfit) != (want == s3.Never) {
			t.Errorf("%s to a write: %s, want %s: %v", code, got, want, err)
		}
		if _, err := s3.OpenStore(t.Context(), cfg, s3test.At("x")); want != s3.Never && s3.Judge(err) != want || err == nil || !strings.Contains(err.Error(), s3test.Words(code)) {
			t.Errorf("%s to opening: %s, want %s: %v", code, s3.Judge(err), want, err)
		}
	}
}

// TestAStrangersAnswerIsNotTheStores: a balancer that answers 404 while it has no
// store behind it says nothing of objects, with a body and, as to HEAD, without.
func TestAStrangersAnswerIsNotTheStores(t *testing.T) {
	var away atomic.Bool
	url := s3test.Start(t).Answer(t, func(*http.Request) (int, string, bool) { return 404, "", away.Load() })
	store := openStore(t, url, "x")
	cfg := s3test.Config(url)
	cfg.Attempts = 1
	lake := openLake(t, cfg, "x")
	if err := store.Create(t.Context(), "HEAD", nil); err != nil {
		t.Fatal(err)
	}
	away.Store(true)
	if _, _, err := store.Read(t.Context(), "HEAD"); errors.Is(err, checkpoint.ErrNotExist) || !s3.Transient(err) || !strings.Contains(err.Error(), "no backend here") {
		t.Errorf("read: %v", err)
	}
	if there, err := lake.Exists(t.Context(), "record/x"); err == nil || !s3.Transient(err) {
		t.Errorf("exists: %v, %v", there, err)
	}
	away.Store(false)
	if _, _, err := store.Read(t.Context(), "nothing"); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Errorf("the store's own answer: %v", err)
	}
}
