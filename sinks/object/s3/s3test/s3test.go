// Package s3test starts a real S3 store, versitygw, for tests and the scale
// demo, and for tests a proxy before it that fails requests on script, or
// changes them.
//
// In:  the Go module proxy, from which versitygw is built once; a Script.
// Out: a store on loopback with one bucket; the requests as they were met.
//
// Invariants
//
//  1. A test without the store is skipped and says why; with CI=true it fails.
//  2. A request that meets Refused, Cut, Ignored or Unkept never reaches the store; one
//     that meets Late500, Lost or Unanswered has its whole effect there.
//  3. A store that is killed and started again keeps its data and its URL.
//
// Nothing the engine ships imports it. A Script may be used from many goroutines; the numbers of
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

// build gives the binary.
func build(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory for the S3 store: %w", err)
	}
	dir := filepath.Join(cache, "landfall-test-bin", "versitygw-"+version)
	if out, err := exec.CommandContext(ctx, "sh", "-euc", buildScript, "build", version, dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("the S3 store versitygw %s cannot be built: %w\n%s", version, err, out)
	}
	return filepath.Join(dir, "versitygw"), nil
}

// missing skips the test, or fails it in CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Credentials of the store.
func Credentials() *credentials.Credentials {
	return credentials.NewStaticV4(AccessKey, SecretKey, "")
}

// CredentialsIn writes the store's keys into a file in dir, in the form that S3's
// tools share, and gives its path.
func CredentialsIn(dir string) (string, error) {
	file := filepath.Join(dir, "s3-credentials")
	keys := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", AccessKey, SecretKey)
	return file, os.WriteFile(file, []byte(keys), 0o600)
}

// Known has the store's keys lie where S3's tools look for them, for the time of
// the test, and nowhere else.
func Known(t testing.TB) {
	t.Helper()
	file, err := CredentialsIn(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	for name := s3.Secret(); name != ""; name = s3.Secret() {
		t.Setenv(name, "")
	}
}

// Config reaches the store at an URL: the server's or a proxy's. Steps are
// repeated once, and at once.
func Config(url string) s3.Config {
	return s3.Config{Endpoint: url, Credentials: Credentials(), Timeout: 20 * time.Second, Attempts: 2, Backoff: time.Millisecond}
}

// At gives a place in the bucket.
func At(prefix string) s3.Location { return s3.Location{Bucket: Bucket, Prefix: prefix} }

// String names a request in tests.
func name(n int, r *http.Request) string {
	return fmt.Sprintf("request %d, %s %s", n, r.Method, r.URL)
}
