//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"landfall/cmd/internal/testport"
)

// root is the module's folder, seen from here.
const root = "../../.."

// tools are the programs under test.
type tools struct {
	edge, engine string
	err          error
}

// programs builds the daemons once, with failpoints and without cgo. They stay
// in tmp/, where go build finds them up to date the next time.
var programs = sync.OnceValue(func() tools {
	dir, err := filepath.Abs(filepath.Join(root, "tmp", "crashtest"))
	if err != nil {
		return tools{err: err}
	}
	build := exec.Command("go", "build", "-trimpath", "-tags", "failpoint", "-o", dir+"/", "./cmd/landfall-edge", "./cmd/landfall-engine")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return tools{err: fmt.Errorf("build with failpoints: %w\n%s", err, out)}
	}
	return tools{edge: filepath.Join(dir, "landfall-edge"), engine: filepath.Join(dir, "landfall-engine")}
})

func binaries(t *testing.T) tools {
	t.Helper()
	p := programs()
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p
}

// seed gives LANDFALL_SEED or a fresh one, and prints it.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64() % 1_000_000
	if text := os.Getenv("LANDFALL_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("LANDFALL_SEED: %v", err)
		}
	}
	fmt.Printf("crashtest %s: LANDFALL_SEED=%d repeats this plan\n", t.Name(), s)
	return s
}

// rounds is how often the kill matrix is run over: 1, in a soak 10.
func rounds() int {
	if os.Getenv("LANDFALL_SOAK") == "1" {
		return 10
	}
	return 1
}

// workdir gives an empty folder, kept under LANDFALL_KEEP when that is set.
func workdir(t *testing.T) string {
	t.Helper()
	keep := os.Getenv("LANDFALL_KEEP")
	if keep == "" {
		return t.TempDir()
	}
	dir := filepath.Join(keep, filepath.FromSlash(t.Name())+"-"+strconv.FormatInt(time.Now().Unix(), 10))
	makeDirs(t, dir)
	fmt.Printf("crashtest %s: keeping %s\n", t.Name(), dir)
	return dir
}

func makeDirs(t *testing.T, dirs ...string) {
	t.Helper()
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freePort gives a loopback address nobody listens on, for TCP or UDP.
func freePort(t *testing.T) string {
	t.Helper()
	return testport.Take(t)
}
