package enginecli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/kafka"
	"landfall/engine/server"
	"landfall/engine/stream"
)

// topicFlags say which blocks of a landing log on Kafka inspect prints.
type topicFlags struct {
	config        string
	partition     int
	offset, limit int64
}

func newTopicFlags(c *cobra.Command) *topicFlags {
	f := &topicFlags{}
	c.Flags().StringVarP(&f.config, "config", "c", "", "print landed blocks of the Kafka topic of this configuration `FILE`")
	c.Flags().IntVar(&f.partition, "partition", 0, "of the topic, the partition `N`")
	c.Flags().Int64Var(&f.offset, "offset", -1, "of the topic, begin at this Kafka `OFFSET`; default: what is not released yet")
	c.Flags().Int64Var(&f.limit, "limit", 20, "of the topic, print `N` blocks at most; 0: to the end")
	return f
}

// landedBlock is one landed block of a topic, as JSON.
type landedBlock struct {
	Offset   int64         `json:"offset"` // in the partition
	LandedAt string        `json:"landed_at"`
	Gateway  string        `json:"gateway"`
	Log      string        `json:"log"`
	First    record.Offset `json:"first"`
	End      record.Offset `json:"end"`
	Bytes    int           `json:"bytes"`
	Conflict bool          `json:"conflict"`
}

// print reads the topic from an offset to where it ends now. It makes no topic,
// and is no member of the group.
func (f *topicFlags) print(ctx context.Context, w io.Writer, asJSON bool) error {
	cfg, file, err := load(f.config)
	if err != nil {
		return err
	}
	if !cfg.Landing.Kafka.Used() {
		return file.Locate(&config.FieldError{Key: "landing.kafka", Got: "no topic", Want: "one; of a directory name the segments"})
	}
	log, err := openExisting(ctx, &cfg.Landing.Kafka)
	if err != nil {
		return file.Locate(err)
	}
	return errors.Join(f.read(ctx, w, log, asJSON), log.Close())
}

func openExisting(ctx context.Context, c *server.KafkaConfig) (*kafka.Log, error) {
	k, err := c.LogConfig(durable.OS{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	if k.ID, err = kafka.Check(ctx, k); err != nil {
		return nil, server.KafkaProblem(err)
	}
	if k.ID == "" {
		return nil, cli.Fail(cli.ExitNoInput, fmt.Errorf("inspect: there is no topic %s", k.Topic))
	}
	return kafka.Open(ctx, k)
}

func (f *topicFlags) read(ctx context.Context, w io.Writer, log *kafka.Log, asJSON bool) error {
	if f.partition < 0 || f.partition >= log.Partitions() {
		return cli.Fail(cli.ExitUsage, fmt.Errorf("--partition: %d of %d", f.partition, log.Partitions()))
	}
	from, end, err := log.Bounds(ctx, f.partition)
	if err != nil {
		return err
	}
	if !asJSON {
		_, _ = fmt.Fprintf(w, "topic id %s, partition %d: offsets %d to %d; what lies below is published and released\n", log.ID(), f.partition, from.Offset, end.Offset)
	}
	if f.offset >= 0 {
		from.Offset = f.offset
	}
	r, err := log.Reader(f.partition, from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for n := int64(0); from.Offset < end.Offset && (f.limit <= 0 || n < f.limit); n++ {
		var l landing.Landed
		if l, from, err = next(ctx, r); err != nil {
			return err
		}
		if err := printLanded(w, l, from, asJSON); err != nil {
			return err
		}
	}
	return nil
}

// next gives up when nothing comes although the end is not reached: what is left
// are records that are no landed blocks.
func next(ctx context.Context, r landing.Reader) (landing.Landed, stream.Position, error) {
	patient, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	l, after, err := r.Next(patient)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("inspect: no landed block came in %s, and the partition does not end here: %w", checkPatience, err)
	}
	return l, after, err
}

func printLanded(w io.Writer, l landing.Landed, after stream.Position, asJSON bool) error {
	h, err := record.ParseHeader(l.Block)
	if err != nil {
		_, err = fmt.Fprintf(w, "%d landed %s from %s: %v\n", after.Offset-1, cli.Time(l.LandedAt), l.Gateway, err)
		return err
	}
	if asJSON {
		return cli.JSON(w, landedBlock{
			Offset: after.Offset - 1, LandedAt: cli.Time(l.LandedAt), Gateway: l.Gateway, Log: h.Log.String(), First: h.First, End: h.End(), Bytes: h.Length, Conflict: l.Conflict,
		})
	}
	_, err = fmt.Fprintf(w, "%d landed %s from %s: log %s [%d, %d) %d bytes, conflict %v\n", after.Offset-1, cli.Time(l.LandedAt), l.Gateway, h.Log, h.First, h.End(), h.Length, l.Conflict)
	return err
}
