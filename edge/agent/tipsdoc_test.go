package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// busy is a gateway that captures line after line into small segments until it is
// stopped, twice the same.
func busy(t *testing.T, url string) (c Config, a *Agent, stop func()) {
	t.Helper()
	c = fileGateway(t, 1, url)
	c.Log.SegmentSize, c.Sources[0].File.Follow, c.Sources[0].File.PollInterval = seglog.MinSegmentBytes, true, time.Millisecond
	c.Capture.GroupInterval, c.Forward.Linger = time.Millisecond, 0
	a, stopAgent := running(t, c)
	f, err := os.OpenFile(c.Sources[0].File.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			_, err := fmt.Fprintf(f, "line %d %s\r\n", n, strings.Repeat("x", 300))
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			if err != nil || ctx.Err() != nil {
				written <- errors.Join(err, f.Close())
				return
			}
		}
	}()
	waitFor(t, func() bool { return len(a.store.Logs()) > 0 })
	return c, a, func() {
		cancel()
		if err := <-written; err != nil {
			t.Error(err)
		}
		stopAgent()
	}
}

// TestTipsBesideARunningGateway: while it captures, forwards, and its segments
// come and go, what is read of the running log is an end that the log had, with
// the digest it had there, and never lower than before.
func TestTipsBesideARunningGateway(t *testing.T) {
	for name, url := range map[string]string{"forwards": cloud(t), "keeps everything": "http://" + freeAddress(t)} {
		t.Run(name, func(t *testing.T) {
			c, a, stop := busy(t, url)
			seen, last := map[record.Offset]string{}, record.Offset(0)
			waitFor(t, func() bool {
				body, err := c.Tips(t.Context(), durable.OS{}, "", time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if len(body.Logs) != 1 {
					t.Fatalf("%+v", body)
				}
				tip := body.Logs[0]
				if tip.Closed || tip.End < last || tip.Chain == "" || tip.Digest == "" || tip.Acked > tip.End {
					t.Fatalf("%+v, ended at %d before", tip, last)
				}
				seen[tip.End], last = tip.Digest, tip.End
				return len(seen) >= 20 && a.store.Stats().Segments+int(a.store.Stats().ReleasedSegments) > 5
			})
			stop()
			if name == "keeps everything" {
				checkDigests(t, c, seen)
			}
			body, err := c.Tips(t.Context(), durable.OS{}, "", time.Now())
			if err != nil || len(body.Logs) != 1 || !body.Logs[0].Closed || body.Logs[0].End < last {
				t.Errorf("stopped: %+v, %v", body, err)
			}
		})
	}
}

// checkDigests compares digests with the sums over the log on disk.
func checkDigests(t *testing.T, c Config, seen map[record.Offset]string) {
	t.Helper()
	s, err := seglog.Open(seglog.Config{FS: durable.ReadOnly(durable.OS{}), Dir: c.LogDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	r, err := s.Reader(s.Logs()[0].ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	sum, found := record.Digest(0), 0
	for {
		item, err := r.Next()
		if err != nil || item.IsGap() {
			break
		}
		sum += item.Block.DigestRecords()
		if d, ok := seen[item.Block.End()]; ok {
			if found++; d != sum.String() {
				t.Errorf("D(%d) was said to be %s, want %s", item.Block.End(), d, sum)
			}
		}
	}
	if found != len(seen) {
		t.Errorf("%d of %d ends are ends of blocks", found, len(seen))
	}
}

// TestTipsWithoutAGateway: what is said, and what cannot be.
func TestTipsWithoutAGateway(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t))
	read := func(name string) (logs int, err error) {
		body, err := c.Tips(t.Context(), durable.OS{}, name, time.Unix(5, 0))
		if err == nil && body.MadeAt != 5_000_000 {
			t.Errorf("made at %d", body.MadeAt)
		}
		return len(body.Logs), err
	}
	if _, err := read(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first start: %v", err)
	}
	stopped(t, c, 101)
	p, err := os.ReadFile(c.TipsFile())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := read(""); n != 1 || err != nil {
		t.Errorf("%d logs, %v", n, err)
	}
	if _, err := read("other"); err == nil || !strings.Contains(err.Error(), `"ship"`) {
		t.Errorf("a name it never had: %v", err)
	}
	if err := os.Remove(c.TipsFile()); err != nil {
		t.Fatal(err)
	}
	if n, err := read(""); n != 1 || err != nil {
		t.Errorf("without a book: %d logs, %v", n, err)
	}
	if _, err := os.Stat(c.TipsFile()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made a book: %v", err)
	}
	p[len(p)-3] ^= 1
	if err := os.WriteFile(c.TipsFile(), p, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(""); !errors.Is(err, ErrBookDamaged) {
		t.Errorf("damaged: %v", err)
	}
	c.Gateway = "renamed" // and not started since
	if err := os.Remove(c.TipsFile()); err != nil {
		t.Fatal(err)
	}
	if n, err := read("ship"); n != 1 || err != nil {
		t.Errorf("under the name of before: %d logs, %v", n, err)
	}
	if n, err := read(""); n != 0 || err != nil {
		t.Errorf("under the new name: %d logs, %v", n, err)
	}
}
