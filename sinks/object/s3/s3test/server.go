package s3test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"landfall/edge/durable"
)

// Server is a store. Its methods belong to one goroutine.
type Server struct {
	URL string

	binary, address, dir string
	process              *exec.Cmd // nil: killed
}

// impatient makes the client not wait after its one attempt, which it does even
// where no other follows.
var impatient = sync.OnceFunc(func() { minio.DefaultRetryUnit = time.Millisecond })

// Start starts a store of its own, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New(t)
	t.Cleanup(s.Kill)
	s.Restart(t)
	return s
}

// New makes a store of its own with the bucket in it, which runs when somebody
// starts what Command gives.
func New(t testing.TB) *Server {
	t.Helper()
	return NewIn(t, t.TempDir())
}

// NewIn is New with the data in a folder that is left behind.
func NewIn(t testing.TB, dir string) *Server {
	t.Helper()
	s, err := Make(t.Context(), dir)
	if err != nil {
		missing(t, "no S3 store to test against: %v", err)
	}
	return s
}

// Make is NewIn outside tests. Errors: the program or its folder cannot be made.
func Make(ctx context.Context, dir string) (*Server, error) {
	impatient()
	binary, err := build(ctx)
	if err != nil {
		return nil, err
	}
	address, err := free()
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + address, binary: binary, address: address, dir: dir}
	return s, durable.MkdirAllSync(durable.OS{}, s.Folder()) // what makes a bucket here
}

// Command is the program that is the store, and its arguments.
func (s *Server) Command() (string, []string) {
	return s.binary, []string{"--port", s.address, "--access", AccessKey, "--secret", SecretKey, "posix", s.dir}
}

// Folder is where the store keeps the bucket: an object is a file below it.
func (s *Server) Folder() string { return filepath.Join(s.dir, Bucket) }

// Kill ends the store with SIGKILL.
func (s *Server) Kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// Restart starts a store that was killed, and waits for it.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Run starts a store that does not run, and waits for it. It ends with this
// process at the latest.
func (s *Server) Run(ctx context.Context) error {
	path, args := s.Command()
	process := exec.Command(path, args...)
	process.SysProcAttr = dieWithParent()
	if err := process.Start(); err != nil {
		return fmt.Errorf("start versitygw: %w", err)
	}
	s.process = process
	client, err := s.open()
	if err != nil {
		return err
	}
	return await(ctx, func(ctx context.Context) error {
		_, err := client.ListBuckets(ctx)
		return err
	})
}

func (s *Server) open() (*minio.Client, error) {
	return minio.New(s.address, &minio.Options{Creds: Credentials(), Region: "us-east-1", MaxRetries: 1})
}

func (s *Server) client(t testing.TB) *minio.Client {
	t.Helper()
	client, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// await asks until there is an answer.
func await(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("versitygw does not answer: %w", err)
		}
	}
}

// Objects gives the keys of the objects that hold part in their key.
func (s *Server) Objects(t testing.TB, part string) []string {
	t.Helper()
	var keys []string
	for o := range s.client(t).ListObjects(t.Context(), Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if strings.Contains(o.Key, part) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// Object gives the first of them, which has to be there.
func (s *Server) Object(t testing.TB, part string) string {
	t.Helper()
	keys := s.Objects(t, part)
	if len(keys) == 0 {
		t.Fatalf("no object %s", part)
	}
	return keys[0]
}

// Remove removes an object.
func (s *Server) Remove(t testing.TB, key string) {
	t.Helper()
	if err := s.client(t).RemoveObject(t.Context(), Bucket, key, minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Interrupt leaves the uploads of which nothing is completed as a store does that
// is killed while it completes them: named as being completed, by nobody. etag is
// what the finished file would have.
func (s *Server) Interrupt(t testing.TB, etag string) {
	t.Helper()
	for _, dir := range s.Uploads(t) {
		if err := (durable.OS{}).Rename(dir, dir+"."+etag+".inprogress"); err != nil {
			t.Fatal(err)
		}
	}
}

// Uploads gives the folders of all uploads that are not completed.
func (s *Server) Uploads(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.Folder(), ".sgwtmp", "multipart", "*", "*-*"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// Change changes the bytes of an object where the store keeps them; what else it
// knows of the object stays.
func (s *Server) Change(t testing.TB, key string, change func([]byte) []byte) {
	t.Helper()
	s.change(t, filepath.Join(s.Folder(), filepath.FromSlash(key)), change)
}

// ChangeStaged changes the first part of an upload, by its name in manifests.
func (s *Server) ChangeStaged(t testing.TB, name string, change func([]byte) []byte) {
	t.Helper()
	id, err := base64.RawURLEncoding.DecodeString(strings.Split(name, "/")[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range s.Uploads(t) {
		if filepath.Base(dir) == string(id) {
			s.change(t, filepath.Join(dir, "1"), change)
			return
		}
	}
	t.Fatalf("no upload %s", id)
}

func (s *Server) change(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	fsys := durable.OS{}
	data, err := durable.ReadFile(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fsys.OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	data = change(data)
	if err = f.Truncate(int64(len(data))); err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
