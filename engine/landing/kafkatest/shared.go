package kafkatest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// shared is the broker of a test binary, once somebody has asked for it.
var shared struct {
	sync.Mutex
	dir     string // empty: nobody has asked
	cluster *Cluster
	err     error
}

// Shared gives one broker for every test of a package that only needs topics of
// its own: starting one takes seconds. The package's TestMain calls CloseShared.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.dir == "" {
		if shared.dir, shared.err = os.MkdirTemp("", "landfall-kafka-"); shared.err == nil {
			shared.cluster, shared.err = Start(context.Background(), Config{Dir: filepath.Join(shared.dir, "kafka")})
		}
	}
	need(t, shared.err)
	return shared.cluster
}

// CloseShared ends that broker, if there is one, and removes what it wrote.
func CloseShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster != nil {
		_ = shared.cluster.Close() // never fails
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir) // in the system's folder for such
	}
}
