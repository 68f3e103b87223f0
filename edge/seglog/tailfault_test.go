package seglog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
)

// takeLast cuts the newest segment of a directory off before its last frame, whoever was
// told of it.
func takeLast(t testing.TB, fsys durable.FS, dir string) gone {
	t.Helper()
	if _, err := fsys.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return gone{}
	}
	names := segmentNames(t, fsys, dir)
	if len(names) == 0 {
		return gone{}
	}
	name := names[len(names)-1]
	_, id, _, _ := parseSegmentName(filepath.Base(name))
	p := readBytes(t, fsys, name)
	frames, offsets := framesOf(t, name, p)
	writeBytes(t, fsys, name, p[:frames[len(frames)-1].at])
	if err := fsys.SyncDir(dir); err != nil {
		t.Fatal(err)
	}
	return gone{filepath.Base(name), id.log, offsets[len(offsets)-1:]}
}

// silence is how many offsets that were durable may vanish untold at one fault: a group,
// with the opening of its log, that became durable after the last marker.
const silence = 3

// TestTailGoneFaultMatrix meets each operation of the scenario with each mode, cuts off
// the last group after the crash, and wants it told as far as the marker covers it, over
// further starts. What the marker does not cover is one group.
func TestTailGoneFaultMatrix(t *testing.T) {
	ops := faultless(t, faultfs.New(), Block)
	step := len(faultfs.Losses())
	if os.Getenv("LANDFALL_SOAK") != "" {
		step = 1
	}
	runs, told, silent := 0, 0, 0
	for _, mode := range faultfs.Modes() {
		for i, loss := range faultfs.Losses() {
			for k := 1 + i%step; k <= ops; k += step {
				l, fsys := newLedger(), faultfs.New()
				cfg := faultConfig(fsys, Block)
				l.off = fsys.Crashed
				fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: k, Mode: mode})
				if err := faultScenario(cfg, l); fatal(err) {
					t.Fatal(err)
				}
				fsys.Crash(loss, uint64(k))
				g := takeLast(t, fsys, cfg.Dir)
				acknowledged := l.forget(g)
				is, err := afterTailGone(cfg, fsys, l, g)
				if err != nil {
					t.Errorf("op %d %s, %s: %s: %v", k, mode, loss, g.name, err)
				}
				runs++
				switch {
				case is:
					told++
				case acknowledged && g.offsets[0].to-g.offsets[0].from > silence:
					t.Errorf("op %d %s, %s: %v of %s vanished untold", k, mode, loss, g.offsets, g.name)
				case acknowledged:
					silent++
				}
			}
		}
	}
	t.Logf("%d runs, in %d the end was missed, in %d a group behind the last marker was not", runs, told, silent)
	if told < runs*9/10 || silent > runs/20 {
		t.Error("too few to show anything")
	}
}

// afterTailGone is three lives without the last group. It returns whether that was told.
func afterTailGone(cfg Config, fsys *faultfs.FS, l *ledger, g gone) (told bool, err error) {
	for life := range 3 {
		s, err := Open(cfg)
		if err != nil {
			return told, fmt.Errorf("open: %w", err)
		}
		for _, loss := range s.TailLosses() {
			if life > 0 && s.Stats().Beheaded == 0 || loss.Log != g.log || loss.From != g.offsets[0].from || loss.To < g.offsets[0].to {
				return told, fmt.Errorf("life %d: told %+v, want %v", life, loss, g.offsets)
			}
			told = true
		}
		for range 3 {
			if err := l.append(s, 3, 800); err != nil {
				return told, err
			}
		}
		if err := l.read(s); err != nil {
			return told, err
		}
		powerCut(fsys, s)
	}
	return told, nil
}
