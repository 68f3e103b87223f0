package kafkatest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Shared is one broker for every test of a package that only needs topics of
// its own: starting one takes seconds. The zero Shared is ready; the package's
// TestMain closes it.
type Shared struct {
	mu      sync.Mutex
	dir     string   // empty: nobody has asked; guarded by mu
	cluster *Cluster // guarded by mu
	err     error    // guarded by mu
}

// Cluster gives the broker, and starts it for whoever asks first.
func (s *Shared) Cluster(t testing.TB) *Cluster {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		if s.dir, s.err = os.MkdirTemp("", "landfall-kafka-"); s.err == nil {
			s.cluster, s.err = Start(context.Background(), Config{Dir: filepath.Join(s.dir, "kafka")})
		}
	}
	need(t, s.err)
	return s.cluster
}

// Close ends the broker, if there is one, and removes what it wrote.
func (s *Shared) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != nil {
		_ = s.cluster.Close() // never fails
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // in the system's folder for such
	}
}
