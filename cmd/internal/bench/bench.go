// Package bench measures the whole chain on the machine it runs on and prints,
// in one table from one run, our figure, the machine's own limit for the same
// work, and a peer where one is installed.
//
// In:  a folder to work in, on the disk to be measured, and how to start this
// binary's daemons as child processes.
// Out: a Markdown table.
//
// Invariants
//
//  1. Ours and the limit are measured in turn, round by round, and a ratio is
//     the median of the rounds' ratios: a machine whose speed drifts does not
//     move it.
//  2. Memory and CPU are the operating system's own account of a child process
//     that does nothing else.
//  3. Nothing is left in the folder.
//
// Run belongs to one goroutine.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Config says where and how much.
type Config struct {
	// Dir is a folder to work in, on the disk to be measured. Required.
	Dir string
	// Edge and Engine start the two daemons' command lines: arguments follow.
	// Required.
	Edge, Engine []string
	// EngineBefore starts an older engine, whose takeover is measured beside; empty:
	// there is none.
	EngineBefore []string
	// EdgeBefore starts an older gateway, which follows a file beside; empty: there is
	// none.
	EdgeBefore []string
	// EdgeProgram is the gateway's own program, whose size is told; empty: it is
	// part of another.
	EdgeProgram string
	// Sentences is how many are replayed. 0: 1,000,000.
	Sentences int
	// Recording is a file of NMEA sentences to be decoded, plain or .gz; empty:
	// simulated ones.
	Recording string
	// Rounds is how often ours and the limit are measured in turn. 0: 7.
	Rounds int
	// IdleSeconds is how long the edge runs at each rate of sentences. 0: 20.
	IdleSeconds int
	// Brief makes floods of a second, as tests need them.
	Brief bool
	// JSON prints a JSON array in place of the table.
	JSON bool
}

// row is one line of the table.
type row struct {
	what, ours, limit, ratio, aim string
}

// MarshalJSON implements json.Marshaler.
func (r row) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"what": r.what, "ours": r.ours, "limit": r.limit, "ratio": r.ratio, "aim": r.aim})
}

// Run measures everything and prints the table.
func Run(ctx context.Context, out io.Writer, cfg Config) error {
	if cfg.Dir == "" || len(cfg.Edge) == 0 || len(cfg.Engine) == 0 {
		return errors.New("bench: Dir, Edge and Engine are required")
	}
	if cfg.Sentences == 0 {
		cfg.Sentences = 1_000_000
	}
	if cfg.Rounds == 0 {
		cfg.Rounds = 7
	}
	if cfg.IdleSeconds == 0 {
		cfg.IdleSeconds = 20
	}
	if !cfg.JSON {
		fmt.Fprintf(out, "%s/%s, %d cores, Go %s, %s\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format(time.DateOnly))
	}
	var rows []row
	for _, part := range []func(context.Context, Config) ([]row, error){
		decoding, capturing, marking, following, messaging, replaying, auditing, checkpointing, recovering, takingOver, keeping, answering, flooding, idling,
	} {
		dir, err := os.MkdirTemp(cfg.Dir, "bench-")
		if err != nil {
			return fmt.Errorf("make a folder to measure in: %w", err)
		}
		c := cfg
		c.Dir = dir
		more, err := part(ctx, c)
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	if cfg.JSON {
		return json.NewEncoder(out).Encode(rows)
	}
	return print(out, rows)
}

func print(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| what\t| ours\t| limit or peer, same run\t| ratio\t| aim\t|")
	fmt.Fprintln(w, "|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range rows {
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t| %s\t|\n", r.what, r.ours, r.limit, r.ratio, r.aim)
	}
	return w.Flush()
}

// median of an odd or even count.
func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// rate gives n a second in words.
func rate(n float64, unit string) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2f M %s/s", n/1e6, unit)
	case n >= 1e3:
		return fmt.Sprintf("%.0f k %s/s", n/1e3, unit)
	}
	return fmt.Sprintf("%.1f %s/s", n, unit)
}

// shell joins a command line for a message.
func shell(args []string) string { return filepath.Base(args[0]) + " " + strings.Join(args[1:], " ") }
