// Package audit is the proof: it reads a lake and says, log by log, whether
// every captured record is there exactly once with all that was made of it.
//
// In:  the Parquet files of a lake; the checkpoints of its tasks with their
// ledgers, which say what has to be there; if given, the gateways' own logs and
// what gateways say of their logs and were told of the ledger (edge/tips), and the
// result of an earlier audit.
// RunTopics does the same with Kafka topics, as a reader of committed messages
// sees them.
// Out: a Result: Exact at its Level, what stands against it, and what was not
// checked.
//
// Levels
//
//	offsets  lineage columns: each offset below where the checkpoints say that its
//	         log was taken has one row of record or stands in loss, and its typed rows
//	files    the ledger: every file, none besides, sizes, rows, footers, checksums of
//	         pages; the digest of the raw bytes of each log in each epoch; table log
//	bytes    the SHA-256 of every file
//	values   every record decoded again; each typed column that is a function of the
//	         record alone
//
// Invariants
//
//  1. The order in which files are found does not matter, nor how rows are
//     spread over the files of an epoch.
//  2. Memory does not grow with rows: a log takes a hundred bytes for each
//     16,384 offsets, a bitmap of 2 KiB for those of which some are missing so
//     far, and another for those that rows of window and late name; a ledger takes
//     a hundred bytes an epoch and a log that it advanced, and three hundred a file.
//     At level values a row of one epoch takes a hundred bytes more. What is wrong
//     is named one by one up to a bound for each kind.
//  3. Counts of offsets are exact. Typed rows are compared as multisets by
//     128-bit sums of keyed hashes, so a wrong row passes with a chance of
//     2^-128 for each run's random key. Raw bytes are compared by record.Digest,
//     a sum of 64-bit hashes: no accident passes, and records with the same sum can
//     be computed: level bytes finds them where the ledger was not forged too, and
//     with tips that name an entry of it, up to that entry, where it was.
//  4. What cannot be read is an error or a Finding, never passed over. Damage of
//     what is audited, checkpoints included, is a Finding.
//  5. Nothing is exact by itself: without checkpoints, or tips of every gateway,
//     nothing says what has to be there. Tips without a ledger say nothing of files:
//     the level is offsets then, with the digests that tips tell.
//
// It uses the code of formats, and none that makes rows or writes files: edge/record
// (Opening, Digest), edge/seglog for reading a gateway's log, edge/tips, engine/ledger,
// engine/checkpoint for HEAD and manifests, engine/state for the entries of a state
// object, engine/table for names and types, engine/parquetfile, which shares no code
// with what writes the files. At level values the caller passes in a Decoder, which is
// the code that made the rows: it finds what changed since, not what was decoded
// wrongly from the start. Run may be called from many goroutines.
package audit

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/table"
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
	// Checkpoints holds the tasks' HEADs, manifests, state and ledgers; nil: every
	// file counts, nothing says what has to be there, and the lake is not exact.
	Checkpoints checkpoint.Store
	// Level is how much is checked. Empty: LevelFiles, but LevelOffsets where a
	// task has no ledger.
	Level Level
	// Decode makes typed rows of records again. Required at LevelValues.
	Decode Decoder
	// EdgeLogs are gateways' log directories, to be compared byte by byte; none:
	// no comparison. They are not changed and not locked; where an edge runs on one
	// and removes what is being read, it is read again.
	EdgeLogs []string
	// Tips are documents of gateways (edge/tips): the lake has to hold exactly the
	// logs that they name. None: no comparison.
	Tips []TipsFile
	// TipsCA are the roots that vouch for who signed them; nil: that is not checked.
	TipsCA *x509.CertPool
	// TipsCRL are the revocation lists of those roots, whose signatures the caller has
	// checked; none: revocation is not checked, which a note says.
	TipsCRL []*x509.RevocationList
	// Since is the result of an earlier audit: what it read is not read again, and
	// has to be what the ledger was then. nil: everything is read.
	Since *Result
	// Progress is told how far the audit is; nil: nothing is.
	Progress *Progress
}

// Progress is how far an audit is. It may be read from any goroutine.
type Progress struct {
	Files atomic.Int64  // read
	Of    atomic.Int64  // files to read; 0: not known yet
	Rows  atomic.Uint64 // read, in all tables; some more than once
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	if c.Lake == "" {
		return errors.New("audit: Lake is missing")
	}
	if c.Level != "" && c.Level.number() < 0 {
		return fmt.Errorf("audit: Level is %q, want one of %v", c.Level, Levels())
	}
	if c.Level == LevelValues && c.Decode == nil {
		return errors.New("audit: level values needs Decode")
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
	a := newAudit(c)
	a.ended = ctx.Err
	if err := a.run(ctx); err != nil {
		return nil, fmt.Errorf("audit %s: %w", c.Lake, err)
	}
	return a.result, nil
}

// audit is one run.
type audit struct {
	Config
	ended       func() error // whether the run is to end: Err of its context
	key         hashKey
	level       Level // that is checked
	logs        map[logKey]*logState
	tasks       map[string]*taskState
	expected    map[string]*expectedFile // files that ledgers name, by name
	gone        map[string]bool          // files that are found missing already
	unpublished map[string]bool          // files of epochs that are not wholly published
	unproven    []string                 // what gateways have and the lake has not yet
	edge        *edgeLogs
	result      *Result
	found       findings
	fed         *feeding // which landing log feeds the lake; nil: nothing says so

	tipsOf   []*gatewayTips
	anchors  map[string][]*anchorOf  // ledger entries that tips name, by task, the newest first
	suspects map[suspectKey]*suspect // stretches that were read once more
	// gatewayOf says under which gateway's name a log is; nil: not needed yet.
	gatewayOf map[string]string

	topics bool // topics are audited, not a lake
	// anchored says that checkpoints say of every log how far it came, so that
	// one that they do not name is none.
	anchored bool
	file     lakeFile // that is being read
	group    *group   // of the epoch that is being read
	values   *values  // of it; nil: they are not compared
	// undecoded counts the epochs whose values another decoder made, by its version.
	undecoded map[string]int
	gaps      map[gapSource]uint64 // that sources of files declared
	// corrupt counts the rows of record whose bytes are said to be no record.
	corrupt uint64
	decoded map[table.Name][]string // columns that Decode names, by table
}

func newAudit(c Config) *audit {
	a := &audit{
		Config: c, ended: context.Background().Err, key: newHashKey(), level: c.Level, logs: make(map[logKey]*logState), tasks: make(map[string]*taskState),
		expected: make(map[string]*expectedFile), gone: make(map[string]bool), unpublished: make(map[string]bool), undecoded: make(map[string]int), anchors: make(map[string][]*anchorOf), gaps: make(map[gapSource]uint64), group: &group{}, result: &Result{Lake: c.Lake},
	}
	if a.Progress == nil {
		a.Progress = new(Progress)
	}
	if a.level == "" {
		a.level = LevelFiles
	}
	return a
}

// logKey names a log: a gateway's name and the log's id as they stand in the
// columns.
type logKey struct{ gateway, log string }

func (a *audit) log(k logKey) *logState {
	l, ok := a.logs[k]
	if !ok {
		l = newLogState(k)
		if a.edge != nil {
			l.edge = a.edge.logs[k.log]
		}
		a.logs[k] = l
	}
	return l
}

// run looks at the checkpoints before it lists the files and again after.
func (a *audit) run(ctx context.Context) error {
	if a.Files == nil {
		if _, err := a.FS.Stat(a.Lake); err != nil {
			return err
		}
		a.Files = directory{a.FS, a.Lake}
	}
	if len(a.EdgeLogs) > 0 {
		var err error
		if a.edge, err = openEdgeLogs(ctx, a.Config); err != nil {
			return err
		}
		defer func() { _ = a.edge.Close() }()
	}
	a.readTips()
	var err error
	if a.fed, err = a.feeding(ctx); err != nil {
		return err
	}
	first, err := a.heads(ctx)
	if err != nil {
		return err
	}
	files, err := a.listFiles(ctx, table.Names())
	if err != nil {
		return err
	}
	objects, err := a.objects(ctx)
	if err != nil {
		return err
	}
	second, err := a.heads(ctx)
	if err != nil {
		return err
	}
	if err := a.anchor(ctx, files, objects, first, second); err != nil {
		return err
	}
	a.checkSince()
	a.goOn()
	if files, err = a.published(ctx, files); err != nil {
		return err
	}
	a.Progress.Of.Store(int64(len(files)))
	if err := a.readAll(ctx, files); err != nil {
		return err
	}
	if a.edge != nil {
		if err := a.compareEdge(ctx); err != nil {
			return err
		}
	}
	if err := a.narrow(ctx, files); err != nil {
		return err
	}
	a.conclude()
	return nil
}
