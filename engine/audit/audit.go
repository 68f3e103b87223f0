// Package audit is the proof: it reads a lake and says, log by log, whether
// every captured offset is there exactly once and every record has its rows.
//
// In:  the Parquet files of a lake, of which it reads the lineage columns
// only; the tasks' checkpoints, which say how far the lake is published; if
// given, the edge's own log, which it compares byte by byte.
// RunTopics does the same with Kafka topics, as a reader of committed messages
// sees them.
// Out: a Result: Exact, and what stands against it.
//
// Invariants
//
//  1. The order in which files are found does not matter, nor how rows are
//     spread over them.
//  2. Memory does not grow with rows: a log takes a hundred bytes for each
//     16,384 offsets, and a bitmap of 2 KiB for those of which some are
//     missing so far, and another for those that rows of window and late name.
//     These are made of other rows: they count for none, and each has to name a
//     record that is there.
//  3. Counts of offsets are exact. Typed rows are compared as multisets by
//     128-bit sums of keyed hashes, so a wrong row passes with a chance of
//     2^-128 for each run's random key.
//  4. What cannot be read is an error or a Problem, never passed over.
//
// It shares no code with the writers of what it reads. Run may be called from
// many goroutines.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
)

// Config says what to audit.
type Config struct {
	// FS is the file system; nil: durable.OS.
	FS durable.FS
	// Lake is the directory of the tables, or the name of what Files reads.
	// Required.
	Lake string
	// Files reads the tables where Lake is no directory; nil: Lake in FS.
	Files Files
	// Checkpoints holds the tasks' manifests; nil: every file counts, and the
	// result says that it is not known how far the lake is published.
	Checkpoints checkpoint.Store
	// EdgeLogs are gateways' log directories, to be compared byte by byte; none:
	// no comparison. They are not changed and not locked; an edge that runs on
	// one may remove what is being read, which is an error.
	EdgeLogs []string
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	if c.Lake == "" {
		return errors.New("audit: Lake is missing")
	}
	return nil
}

// Run audits a lake. An error says that the audit could not be made; what is
// wrong with the lake stands in the Result.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.FS == nil {
		c.FS = durable.OS{}
	}
	a := &audit{Config: c, logs: make(map[logKey]*logState), final: make(map[string]bool), key: newHashKey(), result: &Result{Lake: c.Lake}}
	if err := a.run(ctx); err != nil {
		return nil, fmt.Errorf("audit %s: %w", c.Lake, err)
	}
	return a.result, nil
}

// audit is one run.
type audit struct {
	Config
	key    hashKey
	logs   map[logKey]*logState
	final  map[string]bool // tasks whose landing log ended and is wholly published
	edge   *edgeLogs
	result *Result
}

// logKey names a log: a gateway's name and the log's id as they stand in the
// columns.
type logKey struct{ gateway, log string }

func (a *audit) log(k logKey) *logState {
	l, ok := a.logs[k]
	if !ok {
		l = &logState{}
		if a.edge != nil {
			l.edge = a.edge.logs[k.log]
		}
		a.logs[k] = l
	}
	return l
}

func (a *audit) problem(format string, args ...any) {
	a.result.Problems = append(a.result.Problems, fmt.Sprintf(format, args...))
}

// run looks at the checkpoints before it lists the files and again after.
func (a *audit) run(ctx context.Context) error {
	if a.Files == nil {
		if _, err := a.FS.Stat(a.Lake); err != nil {
			return err
		}
		a.Files = directory{a.FS, a.Lake}
	}
	first, err := a.heads(ctx)
	if err != nil {
		return err
	}
	files, err := a.listFiles(ctx)
	if err != nil {
		return err
	}
	second, err := a.heads(ctx)
	if err != nil {
		return err
	}
	files = a.published(ctx, files, first, second)
	if len(a.EdgeLogs) > 0 {
		if a.edge, err = openEdgeLogs(a.Config); err != nil {
			return err
		}
		defer func() { _ = a.edge.Close() }()
	}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.read(ctx, f); err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, checkpoint.ErrNotExist) {
				return fmt.Errorf("%s was removed meanwhile: %w", f.name, err)
			}
			a.problem("%s cannot be read: %v", f.name, err)
		}
	}
	a.result.Files = len(files)
	if a.edge != nil {
		if err := a.compareEdge(ctx); err != nil {
			return err
		}
	}
	a.conclude()
	return nil
}
