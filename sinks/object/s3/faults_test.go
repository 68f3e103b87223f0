package s3_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/engine/checkpoint"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// TestSelfTestOfALake leaves nothing, and passes when any one request fails
// without an answer or with one that is wrong.
func TestSelfTestOfALake(t *testing.T) {
	server, script := s3test.Start(t), &s3test.Script{}
	l := openLake(t, s3test.Config(server.Proxy(t, script)), "lake")
	script.Reset()
	if notes, err := l.SelfTest(t.Context()); err != nil || len(notes) > 0 {
		t.Fatalf("%v %v", notes, err)
	}
	requests := len(script.Requests())
	for k := 1; k <= requests; k++ {
		for _, o := range []s3test.Outcome{s3test.Refused, s3test.Lost} {
			script.Fail(k, o, false)
			if _, err := l.SelfTest(t.Context()); err != nil {
				t.Errorf("request %d %s: %v", k, o, err)
			}
		}
	}
	script.Reset()
	if left := server.Objects(t, ""); len(left) > 2*requests { // of runs whose removal was cut
		t.Errorf("left %d objects: %v", len(left), left)
	}
}

// TestWhatKilledSelfTestsLeaveGoes: uploads and an object, when they are old; what
// another engine's self-test works with stays.
func TestWhatKilledSelfTestsLeaveGoes(t *testing.T) {
	server, script := s3test.Start(t), &s3test.Script{}
	plain := openLake(t, s3test.Config(server.URL), "lake")
	for k := 1; ; k++ { // killed after each request
		l := openLake(t, s3test.Config(server.Proxy(t, script)), "lake")
		script.Fail(k, s3test.Works, true)
		if _, err := l.SelfTest(t.Context()); err == nil {
			break
		}
		script.Reset()
	}
	uploads := func() int {
		names, err := plain.List(t.Context(), "_staging/selftest/")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	left, objects := uploads(), len(server.Objects(t, "_selftest/"))
	if left < 5 || objects == 0 {
		t.Fatalf("%d uploads and %d objects are left", left, objects)
	}
	mine := stage(t, plain, "record/task-0000-1", []byte("rows"))
	for _, test := range []struct {
		later time.Duration
		left  bool
	}{{0, true}, {59 * time.Minute, true}, {2 * time.Hour, false}} {
		plain.At(func() time.Time { return time.Now().Add(test.later) })
		if notes, err := plain.SelfTest(t.Context()); err != nil || len(notes) > 0 {
			t.Fatal(notes, err)
		}
		if u, o := uploads(), len(server.Objects(t, "_selftest/")); test.left != (u == left && o == objects) || !test.left && u+o > 0 {
			t.Errorf("%s later: %d uploads and %d objects", test.later, u, o)
		}
	}
	if there, err := plain.Exists(t.Context(), mine.Name); err != nil || !there {
		t.Errorf("what a task staged: %v, %v", there, err)
	}
}

// TestAStoreThatShowsStagedFilesIsUnfit: uploads that are seen before they are
// completed would be read by everybody.
func TestAStoreThatShowsStagedFilesIsUnfit(t *testing.T) {
	server := s3test.Start(t)
	if err := openStore(t, server.URL, "").Create(t.Context(), "seen", nil); err != nil {
		t.Fatal(err)
	}
	url, ca := server.Edit(t, func(r *http.Request) {
		if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/_selftest/") {
			r.URL.Path = "/" + s3test.Bucket + "/seen"
		}
	})
	cfg := s3test.Config(url)
	cfg.TLS = s3test.Trust(ca)
	if _, err := openLake(t, cfg, "lake").SelfTest(t.Context()); !errors.Is(err, object.ErrUnfit) {
		t.Errorf("got %v", err)
	}
}

// TestUploadsThatAreNotListedAreANote: nothing is lost, but nobody collects.
func TestUploadsThatAreNotListedAreANote(t *testing.T) {
	url, ca := s3test.Start(t).Edit(t, func(r *http.Request) {
		if q := r.URL.Query(); q.Has("uploads") && r.Method == http.MethodGet {
			q.Set("prefix", "nothing")
			r.URL.RawQuery = q.Encode()
		}
	})
	cfg := s3test.Config(url)
	cfg.TLS = s3test.Trust(ca)
	notes, err := openLake(t, cfg, "lake").SelfTest(t.Context())
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "stale_uploads_expiry") {
		t.Errorf("got %v, %v", notes, err)
	}
}

func TestTLS(t *testing.T) {
	url, ca := s3test.Start(t).TLS(t)
	cfg := s3test.Config(url)
	if _, err := s3.OpenStore(t.Context(), cfg, s3test.At("x")); err == nil || !s3.Transient(err) {
		t.Errorf("a certificate that nobody vouches for: %v", err)
	}
	cfg.TLS = s3test.Trust(ca)
	store, err := s3.OpenStore(t.Context(), cfg, s3test.At("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := object.SelfTest(t.Context(), store); err != nil {
		t.Error(err)
	}
}

// TestARequestWithoutAnAnswerEnds in its own time, and is not taken for the end
// of its caller's; what it did is found by reading.
func TestARequestWithoutAnAnswerEnds(t *testing.T) {
	server := s3test.Start(t)
	for _, o := range []s3test.Outcome{s3test.Ignored, s3test.Unanswered} {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			script := &s3test.Script{}
			cfg := s3test.Config(server.Proxy(t, script))
			cfg.Timeout = time.Second
			unanswered(t, cfg, script, o)
		})
	}
}

func unanswered(t *testing.T, cfg s3.Config, script *s3test.Script, o s3test.Outcome) {
	at := s3test.At(o.String())
	store, err := s3.OpenStore(t.Context(), cfg, at)
	if err != nil {
		t.Fatal(err)
	}
	script.Fail(1, o, false)
	err = store.Create(t.Context(), "x", []byte("1"))
	if !errors.Is(err, s3.ErrNoAnswer) || errors.Is(err, context.DeadlineExceeded) || !s3.Transient(err) {
		t.Errorf("create gave %v", err)
	}
	_, _, err = store.Read(t.Context(), "x")
	if done := err == nil; done != (o == s3test.Unanswered) {
		t.Errorf("read gave %v", err)
	}
	script.Fail(1, o, false)
	if _, _, err := store.Read(t.Context(), "x"); !errors.Is(err, s3.ErrNoAnswer) {
		t.Errorf("read gave %v", err)
	}
	script.Fail(1, o, false)
	if _, err := store.List(t.Context(), ""); !errors.Is(err, s3.ErrNoAnswer) {
		t.Errorf("list gave %v", err)
	}
	script.Fail(1, o, false)
	ended, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := store.Read(ended, "x"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, s3.ErrNoAnswer) {
		t.Errorf("the caller's time: %v", err)
	}
	script.Reset()
	lake, err := s3.OpenLake(t.Context(), cfg, at)
	if err != nil {
		t.Fatal(err)
	}
	staged := stage(t, lake, "t/task-0000-1", []byte("rows"))
	script.Fail(2, o, false) // completion; the target is read before and after
	err = lake.Publish(t.Context(), staged)
	if done := err == nil; done != (o == s3test.Unanswered) {
		t.Errorf("publish gave %v", err)
	}
	if err := lake.Publish(t.Context(), staged); err != nil {
		t.Errorf("published again: %v", err)
	}
}

// conflicting is a bucket that says, for the first so many conditional writes,
// that they met others, and then takes them.
func conflicting(t *testing.T, times int32) string {
	t.Helper()
	var met atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method != http.MethodPut {
			return
		}
		if met.Add(1) <= times {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "<Error><Code>ConditionalRequestConflict</Code></Error>")
			return
		}
		w.Header().Set("ETag", `"e"`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestAWriteThatMetAnotherIsMadeAgain: S3 answers 409 to one of two conditional
// writes at a time without having looked at its condition.
func TestAWriteThatMetAnotherIsMadeAgain(t *testing.T) {
	for times, want := range map[int32]bool{1: true, 100: false} {
		cfg := s3test.Config(conflicting(t, times))
		cfg.ReadOnly = true // no rules
		store, err := s3.OpenStore(t.Context(), cfg, s3test.At("x"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := store.Swap(t.Context(), "HEAD", "a", []byte("b"))
		if (err == nil) != want || err != nil && errors.Is(err, checkpoint.ErrChanged) || err == nil && v != "e" {
			t.Errorf("%d conflicts: %q %v", times, v, err)
		}
	}
}

// TestExistsOfManyUploads: one of two uploads of one target.
func TestExistsOfManyUploads(t *testing.T) {
	l := openLake(t, s3test.Config(s3test.Start(t).URL), "lake")
	a, b := stage(t, l, "t/task-0000-1", []byte("a")), stage(t, l, "t/task-0000-1", []byte("b"))
	if err := l.Remove(t.Context(), a.Name); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{a.Name: false, b.Name: true, a.Target: false, "_staging/task-0000/claim/x.staged": false} {
		if there, err := l.Exists(t.Context(), name); err != nil || there != want {
			t.Errorf("%s: %v %v", name, there, err)
		}
	}
}

// TestAListingIsAskedForAgain where the store had an error of its own, which passes.
func TestAListingIsAskedForAgain(t *testing.T) {
	script := &s3test.Script{}
	store, err := s3.OpenStore(t.Context(), s3test.Config(s3test.Start(t).Proxy(t, script)), s3test.At("again"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Create(t.Context(), "x", []byte("1")); err != nil {
		t.Fatal(err)
	}
	script.Fail(1, s3test.Refused, false)
	if names, err := store.List(t.Context(), ""); err != nil || len(names) != 1 {
		t.Errorf("got %v, %v", names, err)
	}
}
