package seglog

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"landfall/edge/durable/faultfs"
)

// openRetry opens as a supervisor would: again after an error.
func openRetry(cfg Config) (s *Store, err error) {
	for range 3 {
		if s, err = Open(cfg); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// faultScenario lives twice: it fills several segments, reads, releases, and
// meets a group larger than a segment. It goes on after errors as capture
// would, with other groups.
func faultScenario(cfg Config, l *ledger) error {
	for life := range 2 {
		s, err := openRetry(cfg)
		if err != nil {
			return err
		}
		for g := range 7 {
			size := 500
			if g == 4 {
				size = 9000
			}
			if err := l.append(s, 2, size); fatal(err) {
				return err
			}
			if g == 3 && !l.shed {
				if err := releaseHalf(s, l); fatal(err) {
					return err
				}
			}
		}
		if err := l.read(s); fatal(err) {
			return fmt.Errorf("life %d: %w", life, err)
		}
		_ = s.Close()
	}
	return nil
}

func releaseHalf(s *Store, l *ledger) error {
	log, ok := s.Active()
	if !ok {
		return nil
	}
	logs := s.Logs()
	below := logs[len(logs)-1].End - 1
	l.released[log] = below
	for _, in := range logs[:len(logs)-1] {
		l.released[in.ID] = in.End
		if err := s.Release(in.ID, in.End); err != nil {
			return err
		}
	}
	return s.Release(log, below)
}

func fatal(err error) bool {
	var f fatalError
	return errors.As(err, &f)
}

// afterwards is the life after the crash: what was acknowledged is there, and
// appending goes on and survives again.
func afterwards(cfg Config, fsys *faultfs.FS, l *ledger) error {
	for range 2 {
		s, err := Open(cfg)
		if err != nil {
			return fatalError{fmt.Errorf("open after the crash: %w", err)}
		}
		if err := l.read(s); err != nil {
			return err
		}
		if st := s.Stats(); st.UnreadableMeta+st.CorruptBlocks+st.Beheaded+st.TailLosses > 0 {
			return fatalError{fmt.Errorf("damage where there is none: %+v", st)}
		}
		for range 2 {
			if err := l.append(s, 3, 800); err != nil {
				return fatalError{err}
			}
		}
		if err := l.read(s); err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return fatalError{err}
		}
		fsys.Crash(faultfs.LoseAll, 0)
	}
	return nil
}

type outcome struct{ runs, acked, errors int }

// TestFaultMatrix meets each operation of the scenario with each mode, and
// after it loses power in each way.
func TestFaultMatrix(t *testing.T) {
	for _, policy := range []Policy{Block, ShedOldest} {
		t.Run(policy.String(), func(t *testing.T) { faultMatrix(t, policy) })
	}
}

func faultMatrix(t *testing.T, policy Policy) {
	fsys := faultfs.New()
	ops := faultless(t, fsys, policy)
	t.Logf("%d operations a run", ops)
	step := len(faultfs.Losses()) // each operation meets each mode, in one of the losses
	if os.Getenv("LANDFALL_SOAK") != "" {
		step = 1
	}
	table := map[string]*outcome{}
	for i, mode := range faultfs.Modes() {
		for j, loss := range faultfs.Losses() {
			o := &outcome{}
			for k := 1 + (i+j)%step; k <= ops; k += step {
				o.add(t, policy, faultfs.Fault{On: faultfs.OpAny, N: k, Mode: mode}, loss)
				if mode <= faultfs.NoSpace && k%3 == 0 {
					o.add(t, policy, faultfs.Fault{On: faultfs.OpAny &^ faultfs.OpRead, N: k, Mode: mode, Repeat: true}, loss)
				}
			}
			table[fmt.Sprintf("%s/%s", mode, loss)] = o
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-16s %-10s %6s %8s %8s\n", "mode", "loss", "runs", "acked", "errors")
	for _, mode := range faultfs.Modes() {
		for _, loss := range faultfs.Losses() {
			o := table[fmt.Sprintf("%s/%s", mode, loss)]
			fmt.Fprintf(&out, "%-16s %-10s %6d %8d %8d\n", mode, loss, o.runs, o.acked, o.errors)
		}
	}
	t.Log(out.String())
}

func (o *outcome) add(t *testing.T, policy Policy, f faultfs.Fault, loss faultfs.Loss) {
	t.Helper()
	l := newLedger()
	l.shed = policy == ShedOldest
	fsys := faultfs.New()
	cfg := faultConfig(fsys, policy)
	fsys.Script(f)
	err := faultScenario(cfg, l)
	if !fatal(err) {
		fsys.Crash(loss, uint64(f.N))
		err = afterwards(cfg, fsys, l)
	}
	if err != nil {
		t.Errorf("op %d %s repeat %v, %s: %v", f.N, f.Mode, f.Repeat, loss, err)
	}
	o.runs++
	o.acked += l.appends
	o.errors += l.failed
}

func faultConfig(fsys *faultfs.FS, policy Policy) Config {
	cfg := testConfig(fsys, "/data/log")
	cfg.SegmentBytes, cfg.Policy, cfg.NewLogID, cfg.CapturedRecords, cfg.TailMarker = MinSegmentBytes, policy, testLogIDs(0), true, true
	if policy == ShedOldest {
		cfg.QuotaBytes = 8 * MinSegmentBytes
	}
	return cfg
}

// faultless runs the scenario once and gives the number of its operations.
func faultless(t *testing.T, fsys *faultfs.FS, policy Policy) int {
	t.Helper()
	l := newLedger()
	l.shed = policy == ShedOldest
	cfg := faultConfig(fsys, policy)
	fsys.Script()
	if err := faultScenario(cfg, l); err != nil {
		t.Fatal(err)
	}
	ops := len(fsys.Ops())
	fsys.Crash(faultfs.LoseAll, 0)
	if err := afterwards(cfg, fsys, l); err != nil {
		t.Fatal(err)
	}
	if l.failed > 0 {
		t.Fatalf("%d appends failed without a fault", l.failed)
	}
	return ops
}

// TestServedIsDurable: what a Store serves after the end of a process, with the
// page cache as it was, survives a power loss right after, acknowledged or not.
func TestServedIsDurable(t *testing.T) {
	ops := faultless(t, faultfs.New(), Block)
	for _, mode := range []faultfs.Mode{faultfs.CrashBefore, faultfs.CrashAfter, faultfs.FailNotStored} {
		for k := 1; k <= ops; k++ {
			l, fsys := newLedger(), faultfs.New()
			cfg := faultConfig(fsys, Block)
			// A sync fails; then, or at once, the process ends.
			fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: k, Mode: mode}, faultfs.Fault{On: faultfs.OpMutating, N: k + 1, Mode: faultfs.CrashBefore})
			_ = faultScenario(cfg, l)
			fsys.Restart()
			s, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.read(s); err != nil {
				t.Fatalf("op %d %s: %v", k, mode, err)
			}
			for _, at := range l.served {
				if at.off >= l.released[at.log] {
					l.acked[at] = l.meaning[at]
				}
			}
			_ = s.Close()
			fsys.Crash(faultfs.LoseAll, 0)
			if err := afterwards(cfg, fsys, l); err != nil {
				t.Errorf("op %d %s: %v", k, mode, err)
			}
		}
	}
}
