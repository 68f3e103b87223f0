package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/source"
)

// shortFS gives a file in small reads, so that a small file has many batches.
type shortFS struct {
	durable.FS
	bytes int
}

func (s shortFS) Open(name string) (durable.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return shortFile{f, s.bytes}, nil
}

type shortFile struct {
	durable.File
	bytes int
}

func (s shortFile) ReadAt(p []byte, off int64) (int, error) {
	return s.File.ReadAt(p[:min(len(p), s.bytes)], off)
}

func logConfig(fs durable.FS) seglog.Config {
	return seglog.Config{FS: fs, Dir: "log", SegmentBytes: seglog.MinSegmentBytes}
}

// readLogs gives every captured record of every log, and fails on any gap.
func readLogs(t *testing.T, fs durable.FS) (all []kept) {
	t.Helper()
	store, err := seglog.Open(logConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, info := range store.Logs() {
		r, err := store.Reader(info.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		for {
			item, err := r.Next()
			if errors.Is(err, io.EOF) || errors.Is(err, seglog.ErrCaughtUp) {
				break
			}
			if err != nil || item.IsGap() {
				t.Fatalf("log %s: gap %+v, %v", info.ID, item.Gap, err)
			}
			all = append(all, decode(t, &item.Block)...)
		}
		r.Close()
	}
	return all
}

// runOnce opens the log on fs and captures from src until it ends, ctx does or
// the power goes.
func runOnce(t *testing.T, ctx context.Context, fs *faultfs.FS, src Source) {
	t.Helper()
	store, err := seglog.Open(logConfig(fs))
	if err != nil {
		if fs.Crashed() {
			return
		}
		t.Fatal(err)
	}
	defer store.Close()
	l, err := NewLive(LiveConfig{
		Log: store, Clock: clock.NewSystem(clock.BootID{3}), Sources: []Source{src}, GroupBytes: 700,
		Fatal: func(error) bool { return fs.Crashed() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(ctx); err != nil && !fs.Crashed() && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// TestFileCrashedAnywhere cuts the power at every operation on the log's files,
// with each loss in turn, then again early in the second run; in the end every
// sentence of the file is in the log exactly once.
func TestFileCrashedAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	lines := dirtyLines(rng, 400)
	want := map[string]int{}
	for _, l := range lines {
		pieces(want, l)
	}
	input := faultfs.New()
	f, err := input.Create("ais.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(strings.Join(lines, "\r\n"))); err != nil {
		t.Fatal(err)
	}
	newSource := func() Source {
		s, err := source.NewFile(source.FileConfig{
			Options: source.Options{Name: "f", Clock: clock.NewSystem(clock.BootID{3})},
			FS:      shortFS{input, 300}, Path: "ais.log",
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	crashes, cuts := 0, 0
	for n := 1; ; n++ {
		loss := faultfs.Losses()[n%len(faultfs.Losses())]
		mode := []faultfs.Mode{faultfs.CrashBefore, faultfs.CrashAfter}[n%2]
		fs := faultfs.New()
		for run, at := range []int{n, 1 + n%37} {
			fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: at, Mode: mode})
			runOnce(t, t.Context(), fs, newSource())
			if fs.Crashed() {
				crashes++
			} else if run == 0 {
				cuts = n
			}
			fs.Crash(loss, uint64(n))
		}
		runOnce(t, t.Context(), fs, newSource())
		if got := recorded(readLogs(t, fs)); !maps.Equal(got, want) {
			t.Fatalf("crash %s operation %d, %s: %s", mode, n, loss, difference(got, want))
		}
		if cuts > 0 {
			break
		}
	}
	if crashes < 40 {
		t.Errorf("only %d crashes", crashes)
	}
	t.Logf("%d crashes, each record exactly once", crashes)
}

func difference(got, want map[string]int) string {
	var b strings.Builder
	for l, n := range want {
		if got[l] != n {
			fmt.Fprintf(&b, "%q %d times, want %d; ", l, got[l], n)
		}
	}
	for l, n := range got {
		if want[l] == 0 {
			fmt.Fprintf(&b, "%q %d times, want 0; ", l, n)
		}
	}
	return b.String()
}

// TestFileWriteErrors fails each operation once without a power cut: capture
// goes on by itself, and every sentence is there once.
func TestFileWriteErrors(t *testing.T) {
	var lines []string
	for i := range 60 {
		lines = append(lines, sentence(fmt.Sprintf("AIVDM,1,1,,A,15M%05d,0", i)))
	}
	for n := 1; n < 60; n += 6 {
		fs, input := faultfs.New(), faultfs.New()
		f, err := input.Create("ais.log")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(strings.Join(lines, "\n"))); err != nil {
			t.Fatal(err)
		}
		s, err := source.NewFile(source.FileConfig{
			Options: source.Options{Name: "f", Clock: clock.NewSystem(clock.BootID{3})},
			FS:      shortFS{input, 300}, Path: "ais.log",
		})
		if err != nil {
			t.Fatal(err)
		}
		store, err := seglog.Open(logConfig(fs))
		if err != nil {
			t.Fatal(err)
		}
		fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n, Mode: faultfs.Modes()[n/6%6]})
		l, err := NewLive(LiveConfig{Log: store, Clock: clock.NewSystem(clock.BootID{3}), Sources: []Source{s}, GroupBytes: 700})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.Close()
		fs.Crash(faultfs.LoseAll, 1)
		if got := recorded(readLogs(t, fs)); len(got) != len(lines) {
			t.Fatalf("operation %d: %d lines of %d", n, len(got), len(lines))
		}
	}
}

// sender sends numbered lines until all are acknowledged, over as many
// connections as it takes.
func sender(ctx context.Context, addr func() string, hello string, lines []string) error {
	acked := 0
	for acked < len(lines) {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d acknowledged: %w", acked, len(lines), ctx.Err())
		}
		conn, err := net.Dial("tcp", addr())
		if err != nil {
			continue
		}
		acked = sendOver(conn, hello, lines, acked)
		conn.Close()
	}
	return nil
}

// sendOver sends the lines after acked, at most eight on the way, and gives the
// number acknowledged when the connection broke or all are. In version 2 of the
// protocol LAST acknowledges nothing.
func sendOver(conn net.Conn, hello string, lines []string, acked int) int {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "HELLO %s\n", hello)
	r := bufio.NewReader(conn)
	var verb string
	var n int
	if line, err := r.ReadString('\n'); err != nil {
		return acked
	} else if _, err := fmt.Sscan(line, &verb, &n); err != nil || verb != "LAST" {
		return acked
	}
	if hello == "ship" {
		acked = max(acked, n)
	}
	for next := acked + 1; acked < len(lines); {
		for ; next <= len(lines) && next <= acked+8; next++ {
			fmt.Fprintf(conn, "%d %s\n", next, lines[next-1])
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return acked
		}
		if _, err := fmt.Sscan(line, &verb, &n); err != nil || verb != "ACK" {
			return acked
		}
		acked = max(acked, n)
	}
	return acked
}

// TestAckedCrashedAnywhere: a sender that waits for acknowledgement, over real
// sockets, and a gateway that loses power at every few operations: each line is
// in the log exactly once.
func TestAckedCrashedAnywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	lines := dirtyLines(rng, 60)
	want := map[string]int{}
	for _, l := range lines {
		pieces(want, l)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	crashes := 0
	for seed := range 16 {
		fs := faultfs.New()
		hello := []string{"ship", "ship 2 life-1"}[seed%2]
		var addr atomic.Value
		addr.Store("127.0.0.1:1")
		sent := make(chan error, 1)
		go func() { sent <- sender(ctx, func() string { return addr.Load().(string) }, hello, lines) }()
		for run, all := 0, false; !all; run++ {
			if run < 5 {
				fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: 3 + (seed*7+run*13)%40, Mode: faultfs.CrashAfter})
			}
			s, err := source.NewAcked(source.AckedConfig{
				Options: source.Options{Name: "k", Clock: clock.NewSystem(clock.BootID{3})}, Listen: "127.0.0.1:0",
			})
			if err != nil {
				t.Fatal(err)
			}
			running, stop := context.WithCancel(ctx)
			done := make(chan struct{})
			go func() { runOnce(t, running, fs, s); close(done) }()
			go func() {
				if a := s.Addr(running); a != nil {
					addr.Store(a.String())
				}
			}()
			select {
			case <-done:
				crashes++
			case err := <-sent:
				if err != nil {
					t.Fatal(err)
				}
				all = true
				fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: 1, Mode: faultfs.CrashBefore}) // nothing after the last ACK is needed
			}
			stop()
			<-done
			fs.Crash(faultfs.Losses()[(seed+run)%len(faultfs.Losses())], uint64(seed))
		}
		// What was waiting for partners becomes records at the next start.
		finish := scripted{"other", func(context.Context, source.Sink) error { return nil }}
		runOnce(t, ctx, fs, finish)
		if got := recorded(readLogs(t, fs)); !maps.Equal(got, want) {
			t.Fatalf("seed %d: %s", seed, difference(got, want))
		}
	}
	if crashes < 16 {
		t.Errorf("only %d crashes", crashes)
	}
	t.Logf("%d crashes, each line exactly once", crashes)
}

// rotatedInput is a folder in which a file was rotated twice since the first line
// was read, and one of the files between was removed.
func rotatedInput(t *testing.T, put func(fs *faultfs.FS, name string, lines ...string)) (first, then *faultfs.FS) {
	t.Helper()
	first = faultfs.New()
	put(first, "ais.log", sentence("AIVDM,1,1,,A,15M00001,0"))
	then = first.Clone()
	if err := then.Rename("ais.log", "ais.log.4"); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"ais.log.2", "ais.log.1", "ais.log"} {
		var lines []string
		for j := range 20 {
			lines = append(lines, sentence(fmt.Sprintf("AIVDM,1,1,,A,15M0%d%03d,0", i+1, j)))
		}
		put(then, name, lines...)
	}
	return first, then
}

// TestRotatedFilesCrashedAnywhere cuts the power at every operation on the log while
// rotated files are read: every sentence is in the log once, and so is the gap.
func TestRotatedFilesCrashedAnywhere(t *testing.T) {
	first, then := rotatedInput(t, func(fs *faultfs.FS, name string, lines ...string) {
		f, err := fs.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
			t.Fatal(err)
		}
	})
	newSource := func(input durable.FS) Source {
		s, err := source.NewFile(source.FileConfig{Options: source.Options{Name: "f", Clock: clock.NewSystem(clock.BootID{3})}, FS: input, Path: "ais.log"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for n := 1; ; n++ {
		fs := faultfs.New()
		runOnce(t, t.Context(), fs, newSource(first))
		fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n, Mode: []faultfs.Mode{faultfs.CrashBefore, faultfs.CrashAfter}[n%2]})
		runOnce(t, t.Context(), fs, newSource(then))
		crashed := fs.Crashed()
		fs.Crash(faultfs.Losses()[n%len(faultfs.Losses())], uint64(n))
		runOnce(t, t.Context(), fs, newSource(then))
		sentences, gaps := 0, 0
		for _, r := range readLogs(t, fs) {
			switch r.Kind {
			case record.KindReading:
				gaps++
			case record.KindAIS:
				sentences++
			}
		}
		if sentences != 61 || gaps != 1 {
			t.Fatalf("operation %d: %d sentences and %d gaps, want 61 and 1", n, sentences, gaps)
		}
		if !crashed {
			t.Logf("%d crashes", n-1)
			return
		}
	}
}
