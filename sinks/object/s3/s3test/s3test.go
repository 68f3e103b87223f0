// Package s3test starts a real S3 store, versitygw, for tests, and a proxy
// before it that fails requests on script.
//
// In:  the Go module proxy, from which versitygw is built once; a Script.
// Out: a store on loopback with one bucket; the requests as they were met.
//
// Invariants
//
//  1. A test without the store is skipped and says why; with CI=true it fails.
//  2. A request that meets Refused or Cut never reaches the store; one that
//     meets Late500 or Lost has its whole effect there.
//
// For tests only. A Script may be used from many goroutines; the numbers of
// requests then depend on their order.
package s3test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"landfall/sinks/object/s3"
)

// version of versitygw; changing it builds another.
const version = "v1.8.0"

const (
	// Bucket is the one that is there.
	Bucket = "landfall"
	// AccessKey and SecretKey are the store's only ones.
	AccessKey, SecretKey = "landfall-test", "landfall-test-secret"
)

// buildScript builds versitygw $1 into the folder $2, once, whichever processes
// ask at a time.
const buildScript = `
mkdir -p "$2"
exec 9>"$2/.lock"
flock 9
[ -x "$2/versitygw" ] || CGO_ENABLED=0 GOBIN="$2" GOFLAGS=-mod=mod go install "github.com/versity/versitygw/cmd/versitygw@$1"
`

// Server is a running store.
type Server struct {
	URL string
	dir string
}

// Start starts a store of its own, which ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir()}
	binary := build(t)
	address := free(t)
	s.URL = "http://" + address
	server := exec.Command(binary, "--port", address, "posix", s.dir)
	server.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	if err := server.Start(); err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	s.makeBucket(t)
	return s
}

// build gives the binary.
func build(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		missing(t, "no cache directory for the S3 store: %v", err)
	}
	dir := filepath.Join(cache, "landfall-test-bin", "versitygw-"+version)
	if out, err := exec.CommandContext(t.Context(), "sh", "-euc", buildScript, "build", version, dir).CombinedOutput(); err != nil {
		missing(t, "the S3 store versitygw %s cannot be built: %v\n%s", version, err, out)
	}
	return filepath.Join(dir, "versitygw")
}

// missing skips the test, or fails it in CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func free(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// makeBucket waits for the store by asking it for the bucket until it answers.
func (s *Server) makeBucket(t testing.TB) {
	t.Helper()
	client, err := minio.New(s.URL[len("http://"):], &minio.Options{Creds: Credentials(), Region: "us-east-1", MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := client.MakeBucket(ctx, Bucket, minio.MakeBucketOptions{})
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("versitygw does not answer: %v", err)
		}
	}
}

// Credentials of the store.
func Credentials() *credentials.Credentials {
	return credentials.NewStaticV4(AccessKey, SecretKey, "")
}

// Config reaches the store at an URL: the server's or a proxy's. Steps that are
// repeated are repeated at once.
func Config(url string) s3.Config {
	return s3.Config{Endpoint: url, Credentials: Credentials(), Timeout: 20 * time.Second}
}

// At gives a place in the bucket.
func At(prefix string) s3.Location { return s3.Location{Bucket: Bucket, Prefix: prefix} }

// String names a request in tests.
func name(n int, r *http.Request) string {
	return fmt.Sprintf("request %d, %s %s", n, r.Method, r.URL)
}
