package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/replay"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// replayFlags are replay's settings.
type replayFlags struct {
	lake, checkpoints, gateway, baseTime string
	config                               string // of an engine whose landing log is a topic; empty: straight into the lake
	again, asJSON, quiet                 bool
	epochRecords                         int
	s3                                   s3Flags
	version                              string
	logger                               func(io.Writer) (*slog.Logger, error)
	log                                  *slog.Logger
}

// replayed is the result for one file.
type replayed struct {
	File       string  `json:"file"`
	Task       string  `json:"task"`
	Records    uint64  `json:"records"` // read in this run; 0 when the file was there already
	Rows       uint64  `json:"rows"`
	Epoch      uint64  `json:"epoch"`
	Seconds    float64 `json:"seconds"`
	WasThere   bool    `json:"was_there"` // committed to its end before this run
	Duplicates uint64  `json:"duplicates"`
}

func replayCommand(version string) *cobra.Command {
	c := &cobra.Command{Use: "replay FILE…", Short: "Backfills a lake from recorded NMEA, plain or .gz", Args: cli.MinArgs(1),
		Long: "Reads each file through the same code as the gateway and the engine. Exit 0 only when everything is published.\n" +
			"A replay that was killed continues where it was; the same content again adds nothing; the same content with other\n" +
			"settings, or one that begins as another and goes on otherwise, is refused, unless --again says that it is meant.\n\n" +
			"With --config the files are landed in the topic of that configuration (landing.kafka), beside what gateways send, and\n" +
			"the engines that share it make the rows: replay waits until they have published all of it."}
	f := replayFlags{version: version}
	c.Flags().StringVar(&f.lake, "lake", "", "`DIR` of the tables, or s3://bucket/prefix; this or --config")
	c.Flags().StringVarP(&f.config, "config", "c", "", "configuration `FILE` of engines whose landing log is a Kafka topic: land there, and wait for them")
	c.Flags().StringVar(&f.checkpoints, "checkpoint", "", "`DIR` of the checkpoints, or s3://bucket/prefix; default: _checkpoint below the lake")
	f.s3 = newS3Flags(c)
	c.Flags().StringVar(&f.gateway, "gateway", "replay", "`NAME` of the gateway under which the records land")
	c.Flags().StringVar(&f.baseTime, "base-time", "", "event time (RFC 3339) of records before the first time in the file")
	c.Flags().BoolVar(&f.again, "again", false, "land the same content once more under these settings")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object a file")
	c.Flags().BoolVar(&f.quiet, "quiet", false, "no progress bar")
	c.Flags().IntVar(&f.epochRecords, "epoch-records", 0, "end an epoch after this many records; 0: the engine's default")
	f.logger = cli.LogFlags(c, "warn")
	c.RunE = func(c *cobra.Command, files []string) error { return f.run(c, files) }
	return c
}

// where makes sure that one way into a lake is named, and nothing of the other.
func (f *replayFlags) where(c *cobra.Command) error {
	if (f.lake == "") == (f.config == "") {
		return cli.Fail(cli.ExitUsage, errors.New("replay: --lake, or --config of an engine with a topic, one of them"))
	}
	for _, own := range []string{"checkpoint", "epoch-records", "s3-endpoint", "s3-region", "s3-ca-file"} {
		if f.config != "" && c.Flags().Changed(own) {
			return cli.Fail(cli.ExitUsage, fmt.Errorf("replay: --%s is the configuration's to say", own))
		}
	}
	return nil
}

func (f *replayFlags) run(c *cobra.Command, files []string) error {
	if err := f.where(c); err != nil {
		return err
	}
	if err := wire.CheckGateway(f.gateway); err != nil {
		return cli.Fail(cli.ExitUsage, fmt.Errorf("--gateway: %w", err))
	}
	var err error
	if f.log, err = f.logger(c.ErrOrStderr()); err != nil {
		return err
	}
	base := record.NoTime
	if f.baseTime != "" {
		at, err := time.Parse(time.RFC3339Nano, f.baseTime)
		if err != nil {
			return cli.Fail(cli.ExitUsage, fmt.Errorf("--base-time: %w", err))
		}
		base = record.Micros(at.UnixMicro())
	}
	for _, name := range files { // before anything is made for them
		if _, err := (durable.OS{}).Stat(name); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	if f.config != "" {
		return f.intoTopic(c, files, base)
	}
	if f.checkpoints == "" {
		f.checkpoints = server.Checkpoints(f.lake)
	}
	store, sinks, err := openLake(c.Context(), place{lake: f.lake, checkpoints: f.checkpoints, s3: f.s3.config(), lakeKey: "--lake", storeKey: "--checkpoint",
		everyDate: true}) // nobody else waits for its epochs
	if err != nil {
		return err
	}
	for _, name := range files {
		r, err := f.file(c, name, base, store, sinks)
		if err != nil {
			return fmt.Errorf("replay %s: %w", name, err)
		}
		if err := f.report(c.OutOrStdout(), r); err != nil {
			return err
		}
	}
	return nil
}

// file replays one file and makes sure that it is published to its end.
func (f *replayFlags) file(c *cobra.Command, name string, base record.Micros, store checkpoint.Store, sinks func() ([]stream.Sink, error)) (replayed, error) {
	started := time.Now()
	log, err := f.open(c.Context(), store, name, base, started)
	if err != nil {
		return replayed{}, err
	}
	id := stream.TaskID{Landing: string(log.ID())}
	r := replayed{File: name, Task: id.String()}
	before, err := checkpoint.Load(c.Context(), store, id)
	if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
		return replayed{}, err
	}
	if err != nil { // the first time
		if err := noteReplay(c.Context(), store, log, "", ""); err != nil {
			return replayed{}, refused(err)
		}
	}
	r.WasThere = err == nil && before.Final
	if log, err = landedWhen(c.Context(), store, log); err != nil {
		return replayed{}, err
	}
	made, err := sinks()
	if err != nil {
		return replayed{}, err
	}
	var counters task.Counters
	watched := &watchedLog{Log: log}
	stop := f.bar(c.ErrOrStderr(), name, watched, &counters.Records)
	err = task.Run(c.Context(), task.Config{
		Windows: server.Default().Windows(),
		Log:     watched, Store: store, Sinks: made, Params: log.Params(), Counters: &counters, EpochRecords: f.epochRecords,
		Writer: "landfall-engine replay " + f.version, Logger: f.log,
	})
	stop()
	if err != nil {
		return replayed{}, refused(err)
	}
	f.grown(name, log, watched.reader.Load())
	after, err := checkpoint.Load(context.WithoutCancel(c.Context()), store, id)
	if err != nil {
		return replayed{}, err
	}
	if !after.Final {
		return replayed{}, cli.Fail(cli.ExitUnavailable, errors.New("interrupted; what was read is published, and the same command continues"))
	}
	r.Records, r.Rows, r.Epoch = counters.Records.Load(), counters.Rows.Load(), uint64(after.Epoch)
	r.Duplicates, r.Seconds = counters.Duplicates.Load(), time.Since(started).Seconds()
	return r, nil
}

// refused says what to do about content that landed under other settings.
func refused(err error) error {
	var identity *checkpoint.IdentityError
	if errors.As(err, &identity) {
		return cli.Fail(cli.ExitData, fmt.Errorf("this content is in the lake already under %s %q, not %q; --again lands it once more",
			identity.Field, identity.Have, identity.Want))
	}
	return err
}

func (f *replayFlags) report(w io.Writer, r replayed) error {
	switch {
	case f.asJSON:
		return cli.JSON(w, r)
	case r.WasThere:
		_, err := fmt.Fprintf(w, "%s: was in the lake already, nothing added (task %s)\n", r.File, r.Task)
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %d records, %d rows published in %.1f s, %.0f records/s (task %s)\n", r.File, r.Records, r.Rows, r.Seconds, float64(r.Records)/max(r.Seconds, 1e-3), r.Task)
	return err
}

// watchedLog lets the bar see how far the file is read.
type watchedLog struct {
	*replay.Log
	reader atomic.Pointer[replay.Reader]
}

// Reader implements landing.Log.
func (l *watchedLog) Reader(partition int, from stream.Position) (landing.Reader, error) {
	r, err := l.Log.Reader(partition, from)
	if own, ok := r.(*replay.Reader); ok && err == nil {
		l.reader.Store(own)
	}
	return r, err
}

// barEvery is the time between two drawings of the bar.
const barEvery = 200 * time.Millisecond

// bar draws progress on a terminal until the function it gives is called.
func (f *replayFlags) bar(w io.Writer, name string, log *watchedLog, records *atomic.Uint64) (stop func()) {
	if f.quiet || !cli.IsTerminal(w) {
		return func() {}
	}
	started := time.Now()
	return drawBar(w, func() string {
		r := log.reader.Load()
		if r == nil {
			return ""
		}
		read, size := r.Progress()
		return barLine(filepath.Base(name), read, size, "records", records.Load(), time.Since(started))
	})
}

// drawBar draws what line returns, where that is anything, again and again until
// the function it returns is called.
func drawBar(w io.Writer, line func() string) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(barEvery)
		defer tick.Stop()
		for {
			select {
			case <-end:
				cli.Draw(w, fmt.Sprintf("\r%80s\r", ""))
				return
			case <-tick.C:
				if text := line(); text != "" {
					cli.Draw(w, "\r")
					_, _ = fmt.Fprint(w, text)
				}
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// barLine is one drawing: the share read, and the pace.
func barLine(name string, read, size int64, what string, count uint64, elapsed time.Duration) string {
	const width = 30
	share := float64(read) / float64(max(size, 1))
	full := int(min(max(share, 0), 1) * width)
	return fmt.Sprintf("%-20.20s [%s%s] %3.0f%% %d %s, %.0f/s ", name, strings.Repeat("#", full), strings.Repeat("-", width-full),
		100*share, count, what, float64(count)/max(elapsed.Seconds(), 1e-3))
}
