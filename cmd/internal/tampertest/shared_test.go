package tampertest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// lakes are made when the first test asks for one like them, and are there for every
// test of the process: a test damages a copy (NewBench), or goes on with one that has
// logs of its own (goOnBench), and changes nothing of the lake itself.
type lakes struct {
	dir string // of all of them; set before the first test

	mu   sync.Mutex
	made map[string]*Lake // guarded by mu
	n    int              // how many were begun; guarded by mu
}

// shared are the lakes of this process.
var shared = lakes{made: map[string]*Lake{}}

// like returns a lake made by a Config that changes no record.
func (l *lakes) like(t testing.TB, c Config) *Lake {
	t.Helper()
	if c.Change != nil {
		t.Fatal("a lake of changed records is its test's own")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprintf("%+v", c)
	if l.made[key] == nil {
		l.n++
		l.made[key] = Make(t, filepath.Join(l.dir, fmt.Sprint("lake-", l.n)), c)
	}
	return l.made[key]
}

// good returns a whole lake of about n records.
func (l *lakes) good(t testing.TB, n int) *Lake {
	t.Helper()
	return l.like(t, Config{Records: n})
}

// unfinished returns a lake of which the last records have not landed.
func (l *lakes) unfinished(t testing.TB, n int) *Lake {
	t.Helper()
	return l.like(t, Config{Records: n, Unfinished: true})
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if shared.dir, err = os.MkdirTemp("", "landfall-tampertest-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(shared.dir) }()
	return m.Run()
}
