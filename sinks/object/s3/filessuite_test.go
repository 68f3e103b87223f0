package s3_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/objecttest"
	"landfall/sinks/object/s3/s3test"
)

// inBucket is a lake in a real store, below a prefix of its own.
type inBucket struct {
	server *s3test.Server
	prefix string
}

func (w *inBucket) Files(t testing.TB) object.Files {
	return openLake(t, s3test.Config(w.server.URL), w.prefix)
}

func (w *inBucket) ReadsStaged() bool { return false }

func (w *inBucket) ChangeStaged(t testing.TB, staged stream.Staged, change func([]byte) []byte) {
	w.server.ChangeStaged(t, staged.Name, change)
}

func (w *inBucket) ChangePublished(t testing.TB, staged stream.Staged, change func([]byte) []byte) {
	w.server.Change(t, w.prefix+"/"+staged.Target, change)
}

func TestFilesSuite(t *testing.T) {
	server, worlds := s3test.Start(t), 0
	objecttest.Run(t, func(testing.TB) objecttest.World {
		worlds++
		return &inBucket{server, fmt.Sprintf("suite%03d", worlds)}
	})
}

// TestAPartThatChangesOnItsWayIsRefused: the store compares each part with the
// MD5 and the SHA-256 that go with it.
func TestAPartThatChangesOnItsWayIsRefused(t *testing.T) {
	server := s3test.Start(t)
	flip := true
	url, ca := server.Edit(t, func(r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPut && len(body) > 0 {
			if flip {
				body[0]++
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
	})
	cfg := s3test.Config(url)
	cfg.TLS, cfg.Attempts = s3test.Trust(ca), 2
	l := openLake(t, cfg, "lake")
	for _, flip = range []bool{true, false} {
		f, err := l.Create(t.Context(), "_staging/task-0000/claim/x", "t/task-0000-1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("rows")); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); (err != nil) != flip {
			t.Errorf("changed %t: %v", flip, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnETagOfOtherBytesIsRefused: a store whose ETags are MD5s is held to them,
// and one that refuses the parts of the manifest has a damaged upload.
func TestAnETagOfOtherBytesIsRefused(t *testing.T) {
	var etag func(r *http.Request) string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<Error><Code>InvalidPart</Code></Error>")
		case r.Method == http.MethodPut:
			w.Header().Set("ETag", `"`+etag(r)+`"`)
		case strings.Contains(r.URL.Path, "/t/"):
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	md5Of := func(r *http.Request) string {
		sum, _ := base64.StdEncoding.DecodeString(r.Header.Get("Content-Md5"))
		return hex.EncodeToString(sum)
	}
	random := func(*http.Request) string { return "00112233445566778899aabbccddeeff" }
	for _, c := range []struct {
		name  string
		etags []func(*http.Request) string
		fails bool
	}{
		{"MD5s", []func(*http.Request) string{md5Of, md5Of}, false},
		{"a bucket that encrypts", []func(*http.Request) string{random, random}, false},
		{"another MD5", []func(*http.Request) string{md5Of, random}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := s3test.Config(s.URL)
			cfg.ReadOnly, cfg.Attempts = true, 1 // no rules
			l := openLake(t, cfg, "x")
			var err error
			for _, etag = range c.etags {
				var f object.StagedFile
				if f, err = l.Create(t.Context(), "_staging/task-0000/claim/x", "t/task-0000-1"); err != nil {
					t.Fatal(err)
				}
				_, _ = f.Write([]byte("rows"))
				err = f.Sync()
				_ = f.Close()
			}
			if (err != nil) != c.fails {
				t.Errorf("got %v", err)
			}
		})
	}
	cfg := s3test.Config(s.URL)
	cfg.ReadOnly = true
	etag = md5Of
	l := openLake(t, cfg, "x")
	staged := stage(t, l, "t/task-0000-1", []byte("rows"))
	var damaged *stream.DamagedError
	if err := l.Publish(t.Context(), staged); !errors.As(err, &damaged) || damaged.Where != staged.Name {
		t.Errorf("other parts: %v", err)
	}
}
