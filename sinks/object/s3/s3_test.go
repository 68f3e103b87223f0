package s3_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

func openStore(t *testing.T, url, prefix string) *s3.Store {
	t.Helper()
	s, err := s3.OpenStore(t.Context(), s3test.Config(url), s3test.At(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openLake(t testing.TB, cfg s3.Config, prefix string) *s3.Lake {
	t.Helper()
	l, err := s3.OpenLake(t.Context(), cfg, s3test.At(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stage stages content and gives what a manifest would say of it.
func stage(t *testing.T, l *s3.Lake, target string, content []byte) stream.Staged {
	t.Helper()
	sum := sha256.Sum256(content)
	staged := stream.Staged{Name: "_staging/task-0000/claim/x", Target: target, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content))}
	f, err := l.Create(t.Context(), staged.Name, target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Place(&staged)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return staged
}

func read(t *testing.T, l *s3.Lake, name string) []byte {
	t.Helper()
	f, err := l.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, f.Size())
	if _, err := f.ReadAt(data, 0); err != nil && len(data) > 0 {
		t.Fatal(err)
	}
	return data
}

func TestSelfTestAndManySwaps(t *testing.T) {
	server := s3test.Start(t)
	store := openStore(t, server.URL, "a/b")
	if err := object.SelfTest(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if left, err := store.List(t.Context(), ""); err != nil || len(left) != 0 {
		t.Fatalf("self-test left %v, %v", left, err)
	}
	at, err := store.Swap(t.Context(), "HEAD", "", []byte("0"))
	if err != nil {
		t.Fatal(err)
	}
	for round := 1; round <= 20; round++ { // of each round one wins
		var wg sync.WaitGroup
		won := make([]checkpoint.Version, 16)
		for i := range won {
			wg.Go(func() {
				v, err := store.Swap(t.Context(), "HEAD", at, fmt.Appendf(nil, "%d by %d", round, i))
				if err == nil {
					won[i] = v
				}
			})
		}
		wg.Wait()
		data, version, err := store.Read(t.Context(), "HEAD")
		if err != nil {
			t.Fatal(err)
		}
		winners := 0
		for i, v := range won {
			if v != "" {
				winners++
				if v != version || string(data) != fmt.Sprintf("%d by %d", round, i) {
					t.Fatalf("round %d: %d won with %s, but %q is there as %s", round, i, v, data, version)
				}
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d winners", round, winners)
		}
		at = version
	}
}

// refused asks until there is an answer: versitygw closes the connection after
// it has refused a condition, which the next request may meet.
func refused(t *testing.T, want error, step func() error) {
	t.Helper()
	var err error
	for range 5 {
		if err = step(); err == nil || errors.Is(err, want) {
			break
		}
	}
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestStoreAnswersAsPromised(t *testing.T) {
	ctx := t.Context()
	store := openStore(t, s3test.Start(t).URL, "")
	if err := store.Create(ctx, "x/1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	refused(t, checkpoint.ErrExist, func() error { return store.Create(ctx, "x/1", []byte("one")) })
	refused(t, checkpoint.ErrChanged, func() error {
		_, err := store.Swap(ctx, "x/2", "0cc175b9c0f1b6a831c399e269772661", nil)
		return err
	})
	if err := store.Create(ctx, "x/2", nil); err != nil { // empty
		t.Fatal(err)
	}
	if data, _, err := store.Read(ctx, "x/2"); err != nil || len(data) != 0 {
		t.Errorf("empty: %q %v", data, err)
	}
	if names, err := store.List(ctx, "x/"); err != nil || strings.Join(names, " ") != "x/1 x/2" {
		t.Errorf("list: %v %v", names, err)
	}
	for range 2 {
		if err := store.Delete(ctx, "x/1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := store.Read(ctx, "x/1"); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Errorf("read after delete: %v", err)
	}
}

func TestPublishIsRepeatableAndNeverReplaces(t *testing.T) {
	ctx, server := t.Context(), s3test.Start(t)
	l := openLake(t, s3test.Config(server.URL), "lake")
	staged := stage(t, l, "table/dt=2024-01-01/task-0000-1", []byte("rows"))
	names, err := l.List(ctx, "table/")
	if err != nil || len(names) != 0 {
		t.Fatalf("visible before publishing: %v %v", names, err)
	}
	if names, err := l.List(ctx, "_staging/task-0000/"); err != nil || len(names) != 1 || names[0] != staged.Name {
		t.Fatalf("staged: %v %v", names, err)
	}
	for range 3 {
		if err := l.Publish(ctx, staged); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, l, staged.Target); string(got) != "rows" {
		t.Fatalf("published %q", got)
	}
	// Staged again under the same target by another claim: the same rows are
	// done and leave nothing; others are refused and touch nothing.
	if err := l.Publish(ctx, stage(t, l, staged.Target, []byte("rows"))); err != nil {
		t.Fatal(err)
	}
	if left, err := l.List(ctx, "_staging/task-0000/"); err != nil || len(left) != 0 {
		t.Fatalf("left: %v %v", left, err)
	}
	if err := l.Publish(ctx, stage(t, l, staged.Target, []byte("other"))); !errors.Is(err, object.ErrContent) {
		t.Fatalf("other content: %v", err)
	}
	if got := read(t, l, staged.Target); string(got) != "rows" {
		t.Fatalf("replaced by %q", got)
	}
	gone := stage(t, l, "table/dt=2024-01-01/task-0000-2", []byte("x"))
	if there, err := l.Exists(ctx, gone.Name); err != nil || !there {
		t.Fatalf("staged, but not there: %v", err)
	}
	if err := l.Remove(ctx, gone.Name); err != nil {
		t.Fatal(err)
	}
	if there, err := l.Exists(ctx, gone.Name); err != nil || there {
		t.Fatalf("aborted, but there: %v", err)
	}
	if err := l.Publish(ctx, gone); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Fatalf("aborted: %v", err)
	}
}

func TestManyPartsReadBackByPieces(t *testing.T) {
	server := s3test.Start(t)
	cfg := s3test.Config(server.URL)
	cfg.PartBytes = 5 << 20
	l := openLake(t, cfg, "lake")
	content := make([]byte, 12<<20+17)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	staged := stage(t, l, "t/task-0000-1", content)
	if n := len(strings.Fields(staged.Parts)); n != 3 {
		t.Fatalf("%d parts", n)
	}
	if err := l.Publish(t.Context(), staged); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, l, staged.Target), content) {
		t.Fatal("read back differently")
	}
	f, err := l.Open(t.Context(), staged.Target)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 1<<20 - 3, 5<<20 - 1, len(content) - 9} {
		p := make([]byte, 9)
		if n, err := f.ReadAt(p, int64(at)); n != 9 || err != nil || !bytes.Equal(p, content[at:at+9]) {
			t.Fatalf("at %d: %d %v", at, n, err)
		}
	}
}

// TestTwoPublishersAtOnce: what one of them finds half done it finds done later,
// as the engine asks again.
func TestTwoPublishersAtOnce(t *testing.T) {
	l := openLake(t, s3test.Config(s3test.Start(t).URL), "")
	for n := range 10 {
		staged := stage(t, l, fmt.Sprintf("t/task-0000-%d", n), []byte("rows"))
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				for attempt := 1; attempt == 1 || errs[i] != nil && attempt <= 5; attempt++ {
					errs[i] = l.Publish(t.Context(), staged)
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if have := read(t, l, staged.Target); string(have) != "rows" {
			t.Fatalf("published %q", have)
		}
	}
}

// TestATargetThatAppearsMeanwhileIsNotReplaced: between the look at a target and
// the completion of the upload somebody else publishes it.
func TestATargetThatAppearsMeanwhileIsNotReplaced(t *testing.T) {
	server, script := s3test.Start(t), &s3test.Script{}
	l := openLake(t, s3test.Config(server.Proxy(t, script)), "lake")
	direct := openLake(t, s3test.Config(server.URL), "lake")
	for same, want := range map[bool]error{true: nil, false: object.ErrContent} {
		target := fmt.Sprintf("t/task-0000-%t", same)
		late, first := stage(t, l, target, []byte("rows")), stage(t, l, target, []byte("rows"))
		if !same {
			first = stage(t, l, target, []byte("others"))
		}
		script.Reset()
		script.Before(2, func() {
			if err := direct.Publish(t.Context(), first); err != nil {
				t.Error(err)
			}
		})
		if err := l.Publish(t.Context(), late); !errors.Is(err, want) {
			t.Errorf("same %t: %v", same, err)
		}
		if got := string(read(t, l, target)); same && got != "rows" || !same && got != "others" {
			t.Errorf("same %t: replaced by %q", same, got)
		}
	}
}

func TestWrongSecretAndAbsentBucketAreRefused(t *testing.T) {
	server := s3test.Start(t)
	cfg := s3test.Config(server.URL)
	if _, err := s3.OpenStore(t.Context(), cfg, s3.Location{Bucket: "elsewhere"}); err == nil {
		t.Error("a bucket that is not there was opened")
	}
	cfg.Credentials = credentials.NewStaticV4(s3test.AccessKey, "wrong", "")
	if _, err := s3.OpenStore(t.Context(), cfg, s3test.At("x")); err == nil {
		t.Error("a wrong secret was taken")
	}
}

// TestCredentialsAreReadFromFiles: where S3's tools share them, and never from the
// environment itself.
func TestCredentialsAreReadFromFiles(t *testing.T) {
	server := s3test.Start(t)
	s3test.Known(t)
	cfg := s3test.Config(server.URL)
	cfg.Credentials = nil
	if _, err := s3.OpenStore(t.Context(), cfg, s3test.At("x")); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": s3test.AccessKey, "AWS_SECRET_ACCESS_KEY": s3test.SecretKey,
		"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
	} {
		t.Setenv(name, value)
	}
	cfg.Credentials = nil
	if _, err := s3.OpenStore(t.Context(), cfg, s3test.At("x")); !errors.Is(err, s3.ErrCredentials) {
		t.Errorf("keys of the environment: %v", err)
	}
	if got := s3.Secret(); got != "AWS_SECRET_ACCESS_KEY" {
		t.Errorf("the secret of the environment: %q", got)
	}
}

func TestLocations(t *testing.T) {
	for text, want := range map[string]s3.Location{
		"s3://b": {Bucket: "b"}, "s3://b/": {Bucket: "b"}, "s3://b.c/x/y/": {Bucket: "b.c", Prefix: "x/y"},
	} {
		if got, err := s3.ParseLocation(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "s3://", "s3:///x", "S3://b", "s3://B/x", "s3://b//x", "s3://b/../x", "/b/x"} {
		if got, err := s3.ParseLocation(text); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
