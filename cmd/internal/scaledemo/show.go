package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"landfall/cmd/internal/child"
	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/traffic"
	"landfall/decoders/aissim"
	"landfall/edge/agent"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/sinks/object/s3/s3test"
	"landfall/sinks/sinktest"
)

// playAndKill plays traffic until an engine was killed and came back, and for as
// long as was asked for.
func (f *fleet) playAndKill(ctx context.Context) error {
	playing, stop := context.WithCancel(ctx)
	defer stop()
	var show sync.WaitGroup
	var showErr error
	show.Go(func() {
		defer stop()
		from := time.Now()
		if showErr = f.takeover(playing); showErr == nil {
			cli.Pause(playing, time.Until(from.Add(f.duration)))
		}
	})
	report, err := f.play(playing)
	show.Wait()
	closing, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for i, o := range f.outputs {
		if cerr := o.Close(closing); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, fmt.Errorf("end the radio of %s: %w", gatewayNames()[i], cerr))
		}
	}
	if err := errors.Join(showErr, err); err != nil {
		return err
	}
	f.say("traffic ended: %d lines sent", report.Sent)
	return nil
}

func (f *fleet) play(ctx context.Context) (traffic.Report, error) {
	config := aissim.Config{Seed: 1, Start: time.Now().UnixMicro(), Ships: 200, BaseStations: 2, AtoNs: 6, Rate: f.rate, Tag: aissim.TagMillis, Noise: 0.005, Disorder: 0.01}
	for _, name := range gatewayNames() {
		config.Receivers = append(config.Receivers, aissim.Receiver{Name: name, Hears: 0.9})
	}
	h, err := aissim.New(config)
	if err != nil {
		return traffic.Report{}, err
	}
	f.say("traffic flows: 200 ships, about %.0f lines/s to %d gateways, which forward to %d ingests", f.rate, len(f.gateways), len(f.ingests))
	return traffic.Play(ctx, h, f.outputs, traffic.Options{Paced: true})
}

// epochs gives the newest committed epoch of each partition, by its manifest.
func (f *fleet) epochs(ctx context.Context) map[int]stream.Epoch {
	out := map[int]stream.Epoch{}
	tasks, err := checkpoint.Tasks(ctx, f.manifests)
	if err != nil {
		return out
	}
	for _, id := range tasks {
		if m, err := checkpoint.Load(ctx, f.manifests, id); err == nil {
			out[int(id.Partition)] = m.Epoch
		}
	}
	return out
}

// takeover lets all partitions commit that have gateways, kills the engine that
// has most of them, waits until the others commit there, and starts it again.
func (f *fleet) takeover(ctx context.Context) error {
	busy := map[int]stream.Epoch{}
	for _, name := range gatewayNames() {
		busy[landing.Partition(name, partitions)] = 0
	}
	if err := f.untilCommitted(ctx, busy); err != nil {
		return fmt.Errorf("wait for the first epochs: %w", err)
	}
	f.say("the partitions that these gateways lie in, %s, are committed to %s every 2 s", list(slices.Collect(maps.Keys(busy))), lake)
	var victim *child.Child
	var lost []int
	for name, owned := range f.owners(ctx, f.engines) {
		owned = slices.DeleteFunc(owned, func(p int) bool { _, ok := busy[p]; return !ok })
		if i := slices.IndexFunc(f.engines, func(c *child.Child) bool { return c.Name == name }); len(owned) > len(lost) {
			victim, lost = f.engines[i], owned
		}
	}
	if victim == nil {
		return errors.New("no engine says that it works on any of them")
	}
	before := f.epochs(ctx)
	victim.Kill()
	killed := time.Now()
	f.say("killed %s (SIGKILL) with records in flight on partitions %s; nobody may take them for %s", victim.Name, list(lost), session)
	wanted := map[int]stream.Epoch{}
	for _, p := range lost {
		wanted[p] = before[p]
	}
	if err := f.untilCommitted(ctx, wanted); err != nil {
		return fmt.Errorf("wait for commits on the partitions of %s: %w", victim.Name, err)
	}
	f.say("%.1f s after the kill each of them was committed again, by others", time.Since(killed).Seconds())
	if err := f.untilShared(ctx, slices.DeleteFunc(slices.Clone(f.engines), func(c *child.Child) bool { return c == victim })); err != nil {
		return err
	}
	if err := victim.Start(); err != nil {
		return err
	}
	f.say("started %s again, process %d", victim.Name, victim.Process())
	return f.untilShared(ctx, f.engines)
}

// untilCommitted waits until some partitions have committed beyond epochs.
func (f *fleet) untilCommitted(ctx context.Context, beyond map[int]stream.Epoch) error {
	return until(ctx, waitLimit, func() bool {
		now := f.epochs(ctx)
		for p, e := range beyond {
			if now[p] <= e {
				return false
			}
		}
		return true
	})
}

// drain stops the gateways, which forward what they have, waits until the
// engines have committed everything, and stops the rest.
func (f *fleet) drain(ctx context.Context) error {
	for _, c := range f.gateways {
		if err := child.Await(ctx, c, waitLimit, "runs", func(*agent.Status) bool { return true }); err != nil {
			return err
		}
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	f.say("gateways drained and stopped")
	for _, c := range f.engines {
		err := child.Await(ctx, c, waitLimit, "has committed everything", func(s *server.Status) bool {
			for _, t := range s.Tasks {
				if t.Behind != 0 || t.State != server.TaskRunning {
					return false
				}
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, c := range append(f.ingests, f.engines...) {
		if err := c.Stop(ctx); err != nil {
			return err
		}
	}
	f.say("engines committed, published and stopped")
	return nil
}

// countSQL asks another program for what the audit counted.
const countSQL = `SELECT count(*), count(DISTINCT (_gateway, _log, _offset)), count(DISTINCT _gateway) FROM '%s/record/*/*.parquet'`

// prove runs the audit of bucket and topics as a user would, and has DuckDB
// count.
func (f *fleet) prove(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"audit", "--lake", lake, "--s3-endpoint", f.store.URL, "--s3-credentials-file", f.keys, "--kafka-config", f.path(f.engines[0].Name + ".yaml")}
	for _, name := range gatewayNames() {
		args = append(args, "--edge-log", f.path(name, "log"))
	}
	_, _ = fmt.Fprintf(f.out, "\nlandfall-engine %s\n\n", strings.Join(args, " "))
	audit := exec.CommandContext(ctx, self, append([]string{engineVerb}, args...)...)
	audit.Stdout, audit.Stderr = f.out, f.out
	if err := audit.Run(); err != nil {
		return cli.Fail(cli.ExitData, fmt.Errorf("the audit is not exact: %w", err))
	}
	_, _ = fmt.Fprintln(f.out)
	sql := fmt.Sprintf(countSQL, f.path("store", s3test.Bucket, "lake"))
	rows, err := sinktest.Query(ctx, sql)
	if errors.Is(err, sinktest.ErrMissing) {
		f.say("DuckDB was not asked: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	f.say("DuckDB, on the files in the store's directory: %s records, %s different ones, of %s gateways", rows[0][0], rows[0][1], rows[0][2])
	if rows[0][0] != rows[0][1] {
		return cli.Fail(cli.ExitData, errors.New("DuckDB finds a record twice"))
	}
	return nil
}
