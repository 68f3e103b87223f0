package s3_test

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// TestACompletionThatAKillCutIsFinished: versitygw that is killed while it
// completes an upload confirms the next completion and has done nothing, also when it
// was killed again while it completed that.
func TestACompletionThatAKillCutIsFinished(t *testing.T) {
	for kills := 1; kills <= 3; kills++ {
		t.Run(fmt.Sprint(kills), func(t *testing.T) { completionCut(t, kills) })
	}
}

func completionCut(t *testing.T, kills int) {
	server := s3test.Start(t)
	l := openLake(t, s3test.Config(server.URL), "lake")
	rows := []byte("rows")
	part := md5.Sum(rows)
	etag := fmt.Sprintf("%x-1", md5.Sum(part[:]))
	staged := stage(t, l, "t/task-0000-1", rows)
	for range kills {
		server.Interrupt(t, etag)
	}
	if held, err := l.Holds(t.Context(), staged); !held || err != nil {
		t.Errorf("cut short: held %v, %v", held, err)
	}
	lost := staged
	lost.Target, lost.Name = "t/task-0000-9", strings.Replace(staged.Name, "-0000-1", "-0000-9", 1)
	if held, err := l.Holds(t.Context(), lost); held || err != nil {
		t.Errorf("nowhere: held %v, %v", held, err)
	}
	for range 2 {
		if err := l.Publish(t.Context(), staged); err != nil {
			t.Fatal(err)
		}
		f, err := l.Open(t.Context(), staged.Target)
		if err != nil {
			t.Fatalf("published and not there: %v", err)
		}
		if have := make([]byte, f.Size()); f.Size() != int64(len(rows)) {
			t.Errorf("%d bytes", f.Size())
		} else if _, err := f.ReadAt(have, 0); err != nil || string(have) != string(rows) {
			t.Errorf("%q %v", have, err)
		}
	}
	// Killed after the file was placed: what the upload left goes, and nothing else.
	left, other := stage(t, l, staged.Target, rows), stage(t, l, staged.Target, rows)
	if err := l.Remove(t.Context(), other.Name); err != nil {
		t.Fatal(err)
	}
	server.Interrupt(t, etag)
	if err := l.Publish(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	if uploads := server.Uploads(t); len(uploads) > 0 {
		t.Errorf("left %v", uploads)
	}
}

// TestAnAnswerIsNotBelieved: a store that confirms and does not show the file has
// published nothing, however often it is asked.
func TestAnAnswerIsNotBelieved(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		id := r.URL.Query().Get("uploadId")
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(id, ".inprogress"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<Error><Code>NoSuchUpload</Code></Error>")
		case r.Method == http.MethodPost && id != "":
			_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>e</ETag></CompleteMultipartUploadResult>")
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPut:
			w.Header().Set("ETag", `"e"`)
		case strings.Contains(r.URL.Path, "/t/"):
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	cfg := s3test.Config(s.URL)
	cfg.ReadOnly = true // no rules
	l, err := s3.OpenLake(t.Context(), cfg, s3test.At("x"))
	if err != nil {
		t.Fatal(err)
	}
	staged := stage(t, l, "t/task-0000-1", []byte("rows"))
	for range 2 {
		if err := l.Publish(t.Context(), staged); !errors.Is(err, s3.ErrUnseen) {
			t.Errorf("got %v", err)
		}
	}
}

// TestAStoreThatSaysNoLength: what goes on and on is not read to its end.
func TestAStoreThatSaysNoLength(t *testing.T) {
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "HEAD") {
			return
		}
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"e"`)
		piece := make([]byte, 1<<16)
		for sent.Load() < 1<<30 && r.Context().Err() == nil {
			n, err := w.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	cfg := s3test.Config(s.URL)
	cfg.ReadOnly = true // no rules
	store, err := s3.OpenStore(t.Context(), cfg, s3test.At("x"))
	if err != nil {
		t.Fatal(err)
	}
	if data, _, err := store.Read(t.Context(), "HEAD"); err == nil || sent.Load() > 1<<26 {
		t.Errorf("%d of %d bytes, %v", len(data), sent.Load(), err)
	}
}
