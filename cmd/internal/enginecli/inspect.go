package enginecli

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/inspect"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/server"
	"landfall/engine/state"
)

func inspectCommand() *cobra.Command {
	c := &cobra.Command{Use: "inspect [FILE…]", Short: "Prints manifests, HEADs, state objects and segments of the landing log as text"}
	checkpoints := c.Flags().String("checkpoint", "", "print the current manifest of every task in this `DIR`, or s3://bucket/prefix")
	remote := newS3Flags(c)
	records := c.Flags().Bool("records", false, "of a segment, print each landed block too")
	asJSON := c.Flags().Bool("json", false, "of a segment, print a JSON object a block")
	topic := newTopicFlags(c)
	c.RunE = func(c *cobra.Command, files []string) error {
		if *checkpoints == "" && len(files) == 0 && topic.config == "" {
			return cli.Fail(cli.ExitUsage, fmt.Errorf("name a file, --checkpoint DIR, or --config FILE of a landing log on Kafka"))
		}
		if topic.config != "" {
			if err := topic.print(c.Context(), c.OutOrStdout(), *asJSON); err != nil {
				return err
			}
		}
		if *checkpoints != "" {
			if err := current(c.Context(), c.OutOrStdout(), *checkpoints, remote.config()); err != nil {
				return err
			}
		}
		for _, name := range files {
			if server.IsBucket(name) {
				if err := stored(c.Context(), c.OutOrStdout(), name, remote.config()); err != nil {
					return err
				}
				continue
			}
			if err := one(c.OutOrStdout(), name, inspect.Options{Records: *records, JSON: *asJSON, Payload: landed}); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

// current prints the manifest that HEAD of each task names.
func current(ctx context.Context, w io.Writer, dir string, remote server.S3Config) error {
	if !server.IsBucket(dir) {
		if err := present(dir); err != nil {
			return err
		}
	}
	store, err := place{checkpoints: dir, s3: remote}.openStore(ctx, true)
	if err != nil {
		return err
	}
	tasks, err := checkpoint.Tasks(ctx, store)
	if err != nil {
		return err
	}
	for _, id := range tasks {
		m, err := checkpoint.Load(ctx, store, id)
		if err != nil {
			return err
		}
		if err := cli.JSON(w, m); err != nil {
			return err
		}
	}
	return nil
}

// stored prints one object of a bucket.
func stored(ctx context.Context, w io.Writer, name string, remote server.S3Config) error {
	dir, base := path.Split(name)
	store, err := place{checkpoints: dir, s3: remote}.openStore(ctx, true)
	if err != nil {
		return err
	}
	data, _, err := store.Read(ctx, base)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	return objectText(w, name, data)
}

// one prints one file by what it holds.
func one(w io.Writer, name string, o inspect.Options) error {
	f, err := durable.OS{}.Open(name)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	first := make([]byte, 4)
	_, _ = f.ReadAt(first, 0) // an empty file holds no blocks
	if err := f.Close(); err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	if first[0] != '{' && !state.IsObject(first) {
		return inspect.File(durable.OS{}, name, w, o)
	}
	data, err := durable.ReadFile(durable.OS{}, name)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	return objectText(w, name, data)
}

// objectText prints a state object, a manifest or a HEAD.
func objectText(w io.Writer, name string, data []byte) error {
	if state.IsObject(data) {
		d, err := state.Describe(data)
		if err != nil {
			return fmt.Errorf("inspect %s: %w", name, err)
		}
		return cli.JSON(w, d)
	}
	if m, err := checkpoint.DecodeManifest(data); err == nil {
		return cli.JSON(w, m)
	}
	h, err := checkpoint.DecodeHead(data)
	if err != nil {
		return fmt.Errorf("inspect %s: neither a manifest nor a HEAD: %w", name, err)
	}
	return cli.JSON(w, h)
}

// landed describes one payload of the landing log.
func landed(off record.Offset, payload []byte) (string, error) {
	l, err := landing.DecodeLanded(payload)
	if err != nil {
		return fmt.Sprintf("%d opening of this log", off), nil
	}
	h, err := record.ParseHeader(l.Block)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d landed %s from %s: log %s [%d, %d) %d bytes, conflict %v, keeps %v",
		off, cli.Time(l.LandedAt), l.Gateway, h.Log, h.First, h.End(), h.Length, l.Conflict, l.Keeps), nil
}
