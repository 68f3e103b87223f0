package seglog

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// marksLedger is what marks may be after a crash: each no older than what was
// acknowledged, and no newer than what was tried.
type marksLedger struct {
	n     int
	acked map[string]int
	tried map[string]int
}

// append adds a group with three marks, some of a source that comes and goes.
func (l *marksLedger) append(s *Store, owners []string) error {
	l.n++
	var b record.Builder
	fill(&b, fmt.Sprintf("group %d %02000d", l.n, 0))
	marks := map[string]int{"/own": l.n}
	for i, owner := range owners {
		marks[fmt.Sprintf("%s/%d", owner, (l.n+i)%5)] = l.n
	}
	for name, n := range marks {
		if err := b.Annotate(record.Mark{Name: name, Value: []byte(strconv.Itoa(n))}.Annotation()); err != nil {
			return err
		}
	}
	maps.Copy(l.tried, marks)
	if _, err := s.Append(&b); err != nil {
		return err
	}
	maps.Copy(l.acked, marks)
	return nil
}

// check reads all marks. Where no file could fail to be written, those of a source
// that is not there are set aside.
func (l *marksLedger) check(s *Store, owners []string, faultless bool) error {
	marks := s.Marks()
	for name, n := range l.acked {
		there := ownerOf(name) == ""
		for _, o := range owners {
			there = there || o == ownerOf(name)
		}
		got, err := strconv.Atoi(string(marks[name]))
		switch {
		case faultless && !there && marks[name] != nil:
			return fmt.Errorf("mark %s of nobody is there", name)
		case there && (err != nil || got < n || got > l.tried[name]):
			return fmt.Errorf("mark %s is %q, acknowledged %d, tried %d", name, marks[name], n, l.tried[name])
		}
	}
	for name := range marks {
		if _, ok := l.tried[name]; !ok {
			return fmt.Errorf("mark %s was never given", name)
		}
	}
	return nil
}

var marksLives = [][]string{{"ais", "plant"}, {"ais"}, {"ais", "plant"}, {"plant"}}

func marksConfig(fsys *faultfs.FS, inline int, owners []string) Config {
	cfg := testConfig(fsys, "/data/log")
	cfg.SegmentBytes, cfg.inlineMarks, cfg.markPart = MinSegmentBytes, inline, 30
	cfg.MarkOwner, cfg.Owners = ownerOf, owners
	return cfg
}

// scenario lives four times; what fails is tried again with another group.
func (l *marksLedger) scenario(fsys *faultfs.FS, inline int) error {
	for _, owners := range marksLives {
		s, err := openRetry(marksConfig(fsys, inline, owners))
		if err != nil {
			return nil
		}
		if err := l.check(s, owners, false); err != nil {
			return err
		}
		for g := range 5 {
			_ = l.append(s, owners)
			if log, ok := s.Active(); ok && g == 3 {
				_ = s.Release(log, s.app.next)
			}
		}
		_ = s.Close() // it may not close well: that is the point
	}
	return nil
}

// TestMarksUnderFaults meets each operation with each fault and each loss of power,
// with marks in headers, in files, and changing between them, while a source goes
// and comes back.
func TestMarksUnderFaults(t *testing.T) {
	for _, inline := range []int{1, 60} {
		t.Run(strconv.Itoa(inline), func(t *testing.T) {
			t.Parallel()
			clean := faultfs.New()
			if err := newMarksLedger().scenario(clean, inline); err != nil {
				t.Fatal(err)
			}
			operations := clean.Count(faultfs.OpMutating)
			step := 6 // each operation meets a mode at least
			if os.Getenv("LANDFALL_SOAK") != "" {
				step = 1
			}
			for i, mode := range faultfs.Modes() {
				for n := 1 + i%step; n <= operations; n += step {
					losses := faultfs.Losses()
					marksUnderFault(t, inline, n, mode, losses[(n+i)%len(losses)])
				}
			}
		})
	}
}

func newMarksLedger() *marksLedger {
	return &marksLedger{acked: map[string]int{}, tried: map[string]int{}}
}

func marksUnderFault(t *testing.T, inline, n int, mode faultfs.Mode, loss faultfs.Loss) {
	t.Helper()
	fsys, l := faultfs.New(), newMarksLedger()
	fsys.Script(faultfs.Fault{On: faultfs.OpMutating, N: n, Mode: mode})
	err := l.scenario(fsys, inline)
	fsys.Crash(loss, uint64(n))
	for _, owners := range [][]string{{"ais"}, {"ais", "plant"}, {"ais", "plant"}} {
		if err != nil {
			break
		}
		var s *Store
		if s, err = Open(marksConfig(fsys, inline, owners)); err != nil {
			break
		}
		if err = l.check(s, owners, true); err == nil && s.Stats().UnreadableMeta > 0 {
			err = errors.New("damage where there is none")
		}
		for range 3 {
			err = errors.Join(err, l.append(s, owners))
		}
		err = errors.Join(err, l.check(s, owners, true), s.Close())
		fsys.Crash(faultfs.LoseAll, 0)
	}
	if err != nil {
		t.Errorf("operation %d, %s, %s: %v", n, mode, loss, err)
	}
}
