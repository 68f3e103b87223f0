package traffic

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"landfall/decoders/aissim"
)

func harbour(t *testing.T, receivers int) *aissim.Harbour {
	t.Helper()
	h, err := aissim.New(aissim.Config{Seed: 1, Start: 1_700_000_000_000_000, Receivers: make([]aissim.Receiver, receivers), LostFragments: 0.2, Noise: 0.1, Unique: true})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// memory keeps lines and refuses every refuse-th.
type memory struct {
	lines  []string
	refuse int
	calls  int
}

func (m *memory) Send(_ context.Context, line []byte) error {
	if m.calls++; m.refuse > 0 && m.calls%m.refuse == 0 {
		return errors.New("no room")
	}
	m.lines = append(m.lines, string(line))
	return nil
}

func (m *memory) Close(context.Context) error { return nil }

func TestPlayObservesEveryLine(t *testing.T) {
	outs := []*memory{{}, {refuse: 3}}
	got := map[Fate][]string{}
	report, err := Play(t.Context(), harbour(t, 3), []Output{outs[0], outs[1]}, Options{Lines: 3000, Observe: func(l *aissim.Line, f Fate) error {
		got[f] = append(got[f], string(l.Text))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if report.Sent+report.Dropped != 3000 || report.Lost == 0 || report.Dropped == 0 {
		t.Errorf("report %+v", report)
	}
	sent := slices.Concat(outs[0].lines, outs[1].lines)
	slices.Sort(sent)
	slices.Sort(got[FateSent])
	if !slices.Equal(sent, got[FateSent]) || uint64(len(got[FateLost])) != report.Lost || uint64(len(got[FateDropped])) != report.Dropped {
		t.Error("what was observed is not what was sent")
	}
	if len(outs[1].lines) < len(outs[0].lines) {
		t.Errorf("the last output did not take the third receiver's lines: %d and %d", len(outs[0].lines), len(outs[1].lines))
	}
}

func TestPlayEndsAtATime(t *testing.T) {
	m := &memory{}
	last := int64(0)
	until := int64(1_700_000_000_000_000 + 10e6)
	if _, err := Play(t.Context(), harbour(t, 1), []Output{m}, Options{Until: until, Observe: func(l *aissim.Line, _ Fate) error {
		last = l.At
		return nil
	}}); err != nil || last >= until || last < until-5e6 {
		t.Errorf("last line at %d, %v", last, err)
	}
}

func TestStreamConnectsAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	out := DialTCP(ln.Addr().String())
	seen := make(chan string, 100)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			seen <- line
			_ = conn.Close() // one line a connection
		}
	}()
	for range 2 {
		for i := 0; ; i++ {
			_ = out.Send(t.Context(), []byte("line"))
			if !waitUntil(t.Context(), time.Now().Add(10*time.Millisecond)) || i > 1000 {
				t.Fatal("not connected")
			}
			if len(seen) > 0 {
				break
			}
		}
		if line := <-seen; line != "line\r\n" {
			t.Errorf("got %q", line)
		}
	}
	if err := out.Close(t.Context()); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// gateway is the other end of the acknowledged protocol: it takes some lines,
// acknowledges fewer, and breaks the connection, again and again.
func gateway(ln net.Listener, take int) chan []string {
	result := make(chan []string, 1)
	go func() {
		var lines []string
		var first string
		last := uint64(0)
		for {
			conn, err := ln.Accept()
			if err != nil {
				result <- lines
				return
			}
			r := bufio.NewReader(conn)
			hello, _ := r.ReadString('\n')
			if first == "" {
				first = hello
			}
			if !strings.HasPrefix(hello, "HELLO pilot-1 2 ") || hello != first {
				lines = append(lines, "bad hello "+hello)
			}
			_, _ = fmt.Fprintf(conn, "LAST %d 64\n", last) // it acknowledges nothing
			for range take {
				frame, err := r.ReadString('\n')
				if err != nil {
					break
				}
				number, text, _ := strings.Cut(strings.TrimSuffix(frame, "\n"), " ")
				n, _ := strconv.ParseUint(number, 10, 64)
				if n <= last { // a repeat
					_, _ = fmt.Fprintf(conn, "ACK %d\n", n)
				}
				if n != last+1 {
					continue
				}
				last = n
				lines = append(lines, text)
				switch {
				case r.Buffered() == 0:
					_, _ = fmt.Fprintf(conn, "ACK %d\n", n)
				case n%7 == 0:
					_, _ = fmt.Fprintf(conn, "ACK %d\n", n-2)
				}
			}
			_, _ = fmt.Fprintf(conn, "ACK %d\n", last)
			_ = conn.Close()
		}
	}()
	return result
}

func TestAckedSendsEachLineOnceOverBrokenConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := gateway(ln, 400)
	out := DialAcked(ln.Addr().String(), "pilot-1")
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprintf("line %d", i))
		if err := out.Send(t.Context(), []byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if got := <-taken; !slices.Equal(got, want) {
		t.Errorf("got %d lines, want %d", len(got), len(want))
	}
}

func TestAckedSaysWhatWasNotAcknowledged(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	out := DialAcked(ln.Addr().String(), "x")
	if err := out.Send(t.Context(), []byte("a")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := out.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 lines") {
		t.Errorf("got %v", err)
	}
}

func TestPTYCarriesBytesAsTheyAre(t *testing.T) {
	out, device, err := OpenPTY()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Send(t.Context(), []byte("!AIVDM\x03\x11,1")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := f.Read(buf)
	if err != nil || !bytes.Equal(buf[:n], []byte("!AIVDM\x03\x11,1\r\n")) {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	full := false
	for range 10_000 {
		if out.Send(t.Context(), bytes.Repeat([]byte("x"), 80)) != nil {
			full = true
			break
		}
	}
	if !full {
		t.Error("a line that nobody reads never filled")
	}
	_ = f.Close()
	if err := out.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
