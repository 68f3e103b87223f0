//go:build failpoint

package failpoint

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

var armed = sync.OnceValue(parse)

type point struct {
	mu   sync.Mutex
	name string
	left int
	log  string
	hang bool
}

func parse() *point {
	name, count, ok := strings.Cut(os.Getenv("LANDFALL_FAILPOINT"), "=")
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 {
		return nil
	}
	return &point{name: name, left: n, log: os.Getenv("LANDFALL_FAILPOINT_LOG"), hang: os.Getenv("LANDFALL_FAILPOINT_ACT") == "hang"}
}

// Hit marks a named step. In a process started with
// LANDFALL_FAILPOINT=name=N the N-th hit of that name appends the name to the
// file LANDFALL_FAILPOINT_LOG, if set, and ends the process with SIGKILL; with
// LANDFALL_FAILPOINT_ACT=hang it never returns instead.
func Hit(name string) {
	p := armed()
	if p == nil || p.name != name {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left--; p.left > 0 {
		return
	}
	if p.log != "" {
		if f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
			_, _ = f.WriteString(name + "\n")
			_ = f.Close()
		}
	}
	if !p.hang {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	select {}
}

// Content marks a step at which a process dies of what it reads: one whose environment
// has LANDFALL_POISON ends itself with SIGKILL when p holds that text; with
// LANDFALL_POISON_ACT=stack the Go runtime ends it, with what nobody can recover from.
func Content(p []byte) {
	if text := poison(); text == "" || !bytes.Contains(p, []byte(text)) {
		return
	}
	if os.Getenv("LANDFALL_POISON_ACT") == "stack" {
		debug.SetMaxStack(1 << 20)
		overflow(0)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// overflow takes all of the stack.
func overflow(n int) int { return n + overflow(n+1) }

var poison = sync.OnceValue(func() string { return os.Getenv("LANDFALL_POISON") })

// Often returns few: how many times something happens, or how many seconds pass, until
// a step is due, in a build that tests kill. In any other it returns n.
func Often(_, few int) int { return few }
