package tampertest

import (
	"path"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
)

// TestAChangedManifestIsMadeAgain does what docs/operator.md says: with the manifest
// out of the way, repair makes it again from the ledger.
func TestAChangedManifestIsMadeAgain(t *testing.T) {
	l := shared.good(t, 6_000)
	for name, change := range map[string]func(m *checkpoint.Manifest){
		"final":    func(m *checkpoint.Manifest) { m.Final = true },
		"no state": func(m *checkpoint.Manifest) { m.State = nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBench(t, l)
			head, was := b.Head(t, Task(0))
			m := was
			change(&m)
			b.setHead(Task(0), head, m)
			if o := audited(t, b.Lake, audit.LevelOffsets); o.exact {
				t.Fatal("the changed manifest is not found")
			}
			b.Remove(path.Join("_checkpoint", head.Manifest))
			if code, r := b.repairs(fromNothing); code != cli.ExitOK || !r.Audit.Exact {
				t.Fatalf("exit code %d: %+v", code, r)
			}
			if _, now := b.Head(t, Task(0)); now.Final || now.Position != was.Position || len(now.State) == 0 {
				t.Errorf("the manifest is %+v, was %+v", now, was)
			}
		})
	}
}
