package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// followedBytes is how many bytes the limit writes between two syncs: a group of the
// gateway's, as it is configured where nothing is said.
const followedBytes = 64 << 10

// following measures a file that is followed, at full speed, into C1. The limit is
// reading the same file and writing its bytes to another one, synced as often. Beside
// it, in turn, the same of Config.EdgeBefore, an older gateway.
func following(ctx context.Context, cfg Config) ([]row, error) {
	path := filepath.Join(cfg.Dir, "ais.log")
	n, err := simulateWhole(path, cfg.Sentences)
	if err != nil {
		return nil, err
	}
	var ours, cpu, bare, ratio, before, than, cpuBefore []float64
	for i := range min(cfg.Rounds, 5) {
		a, spent, err := follow(ctx, cfg, cfg.Edge, path, fmt.Sprint("ours-", i), n)
		if err != nil {
			return nil, err
		}
		b, err := copySynced(path, filepath.Join(cfg.Dir, "copy"))
		if err != nil {
			return nil, err
		}
		ours, cpu, bare, ratio = append(ours, a), append(cpu, spent), append(bare, float64(n)/b.Seconds()), append(ratio, a*b.Seconds()/float64(n))
		if len(cfg.EdgeBefore) == 0 {
			continue
		}
		o, spent, err := follow(ctx, cfg, cfg.EdgeBefore, path, fmt.Sprint("before-", i), n)
		if err != nil {
			return nil, err
		}
		before, than, cpuBefore = append(before, o), append(than, a/o), append(cpuBefore, spent)
	}
	rows := []row{{
		what: fmt.Sprintf("a followed file of %d sentences into C1", n), ours: rate(median(ours), "sentences"),
		limit: rate(median(bare), "sentences") + " reading it and writing its bytes, 64 KiB a sync", ratio: fmt.Sprintf("%.0f%%", 100*median(ratio)),
	}, {
		what: "the same, CPU time of the gateway, start and end included", ours: fmt.Sprintf("%.2f µs a sentence", 1e6*median(cpu)),
	}}
	if len(before) > 0 {
		rows[1].limit = fmt.Sprintf("%.2f µs of %s", 1e6*median(cpuBefore), filepath.Base(cfg.EdgeBefore[0]))
		rows = append(rows, row{
			what: "the same, beside an older gateway", ours: rate(median(ours), "sentences"),
			limit: rate(median(before), "sentences") + " of " + filepath.Base(cfg.EdgeBefore[0]), ratio: fmt.Sprintf("%.2f x", median(than)),
		})
	}
	return rows, nil
}

// simulateWhole writes about n sentences of which each is a message, so that there are
// as many records.
func simulateWhole(path string, n int) (int, error) {
	all := path + ".all"
	if _, err := simulate(all, n); err != nil {
		return 0, err
	}
	from, err := os.ReadFile(all)
	if err != nil {
		return 0, fmt.Errorf("read simulated traffic: %w", err)
	}
	written := 0
	var to bytes.Buffer
	for line := range bytes.Lines(from) {
		if bytes.Contains(line, []byte("!AIVDM,1,1,")) {
			_, _ = to.Write(line) // never fails
			written++
		}
	}
	if err := errors.Join(os.WriteFile(path, to.Bytes(), 0o600), os.Remove(all)); err != nil {
		return 0, fmt.Errorf("write simulated traffic: %w", err)
	}
	return written, nil
}

// follow runs a gateway over the file until it has captured n records, and returns
// how many a second, and its CPU time for each.
func follow(ctx context.Context, cfg Config, edge []string, path, name string, n int) (perSecond, cpu float64, err error) {
	status, err := freeAddress()
	if err != nil {
		return 0, 0, err
	}
	dir := filepath.Join(cfg.Dir, name)
	config := dir + ".yaml"
	text := fmt.Sprintf("gateway: bench\ndata_dir: %s\nstatus: %s\ndrain_timeout: 0s\nlog: {reserve: 0B}\nforward: {url: \"http://127.0.0.1:9/\"}\nsources:\n  - {name: file, file: {path: %q, follow: true}}\n",
		dir, status, path)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, 0, fmt.Errorf("measure a followed file: %w", err)
	}
	cfg.Edge = edge
	perSecond, cpu, err = edgeLife(ctx, cfg, config, status, uint64(n))
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return 0, 0, fmt.Errorf("measure a followed file: %w", err)
	}
	return perSecond, cpu, nil
}

// copySynced copies a file, and makes each part durable before it reads the next.
func copySynced(from, to string) (time.Duration, error) {
	f, err := os.Open(from)
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { _ = f.Close() }()
	w, err := os.Create(to)
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	r, p, begin := bufio.NewReaderSize(f, followedBytes), make([]byte, followedBytes), time.Now()
	for err == nil {
		var n int
		if n, err = io.ReadFull(r, p); n > 0 {
			_, errWrite := w.Write(p[:n])
			if errWrite = errors.Join(errWrite, w.Sync()); errWrite != nil {
				err = errWrite
			}
		}
	}
	took := time.Since(begin)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err := errors.Join(err, w.Close(), os.Remove(to)); err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	return took, nil
}
