package tampertest

import (
	"path"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
)

// TestRepairKeepsWhatTheLandingLogHeldBack: a manifest that is made again keeps the
// landing log from the first block that was passed over, as the state says it; where
// that is lost too, the result says what is assumed.
func TestRepairKeepsWhatTheLandingLogHeldBack(t *testing.T) {
	l := goOnBench(t, shared.good(t, 3_000)).Lake
	last := l.lastBlock(t)
	missing, err := record.Parse(nextBlock(t, &last))
	must(t, err)
	w := l.open(t)
	kept := landing.Landed{Gateway: Gateways()[0], LandedAt: logBegin(LogsPerGateway), Keeps: true, Block: nextBlock(t, &missing)}
	must(t, w.log.Append(t.Context(), kept))
	must(t, w.kept.Append(t.Context(), kept))
	w.run(t, 1, 10_000)
	w.close(t)
	_, before := l.Head(t, Task(1))
	if before.Hold == nil {
		t.Fatal("nothing is held back")
	}
	folder := path.Join("_checkpoint", Task(1).String())
	for what, lost := range map[string][]string{"the manifest": {"manifest"}, "the manifest and the state": {"manifest", "state"}} {
		t.Run(what, func(t *testing.T) {
			b := NewBench(t, l)
			for _, name := range lost {
				b.Remove(path.Join(folder, name))
			}
			code, r := b.repairs(fromLanding)
			if code != 0 || len(r.Left) > 0 {
				t.Fatalf("exit code %d: %+v", code, r.Result)
			}
			_, m := b.Head(t, Task(1))
			held, assumed := m.Hold != nil && *m.Hold == *before.Hold, false
			for _, a := range r.Actions {
				assumed = assumed || strings.Contains(a.Detail, "assumed that it held back nothing")
			}
			if stateIsThere := len(lost) == 1; held != stateIsThere || assumed == stateIsThere {
				t.Errorf("held back: %v, was %v; assumed: %v; %+v", m.Hold, before.Hold, assumed, r.Actions)
			}
		})
	}
}
