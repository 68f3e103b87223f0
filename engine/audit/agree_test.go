package audit

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// TestStateIsThatOfTheLedger: a state that remembers the logs otherwise than the
// ledger took them is found, whichever way it differs.
func TestStateIsThatOfTheLedger(t *testing.T) {
	other := func(l *task.KnownLog) { l.ID[15]++ }
	for name, change := range map[string]func(logs []task.KnownLog) []task.KnownLog{
		"less far":      func(logs []task.KnownLog) []task.KnownLog { logs[0].Next--; return logs },
		"farther":       func(logs []task.KnownLog) []task.KnownLog { logs[0].Next++; return logs },
		"other records": func(logs []task.KnownLog) []task.KnownLog { logs[0].Digest.Value++; return logs },
		"a log less":    func(logs []task.KnownLog) []task.KnownLog { return logs[1:] },
		"a log more": func(logs []task.KnownLog) []task.KnownLog {
			more := logs[0]
			other(&more)
			return append(logs, more)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := ledgered(t, nil, nil)
			m, err := checkpoint.Load(t.Context(), w.store, testTask)
			check(t, err)
			was, err := stateLogs(t.Context(), w.store, &m)
			check(t, err)
			var logs []task.KnownLog
			for id, l := range was {
				logs = append(logs, task.KnownLog{ID: id, Gateway: l.gateway, Next: record.Offset(l.next), Digest: ais.Opt[record.Digest]{Value: l.digest, Valid: l.known}})
			}
			s := state.New()
			check(t, task.KeepKnown(s, change(logs), nil))
			data, _ := s.Snapshot()
			m.State = []checkpoint.StateObject{{Name: "test-0000/state/other", SHA256: ledger.Hash(data), Bytes: int64(len(data))}}
			check(t, w.store.Create(t.Context(), m.State[0].Name, data))
			writeHead(t, w.store, m)
			wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelOffsets}), Finding{Kind: KindState, Task: "test-0000", File: "test-0000/state"})
		})
	}
}

// TestManifestIsThatOfTheLedger: a manifest that was changed beside its ledger, with a
// HEAD that fits, is found.
func TestManifestIsThatOfTheLedger(t *testing.T) {
	for name, change := range map[string]func(m *checkpoint.Manifest){
		"final":    func(m *checkpoint.Manifest) { m.Final = true },
		"position": func(m *checkpoint.Manifest) { m.Position = stream.Position{Log: "a", Offset: 7} },
		"decoder":  func(m *checkpoint.Manifest) { m.Decoder += "0" },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := ledgered(t, nil, nil)
			m, err := checkpoint.Load(t.Context(), w.store, testTask)
			check(t, err)
			change(&m)
			writeHead(t, w.store, m)
			wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelOffsets}), Finding{Kind: KindHead, Task: "test-0000", File: "test-0000/HEAD"})
		})
	}
}

// TestTheObjectsOfAStateFollowEachOther, from the oldest that the newest needs.
func TestTheObjectsOfAStateFollowEachOther(t *testing.T) {
	at := func(sequence, needs uint64) state.Description {
		return state.Description{Sequence: sequence, Needs: needs}
	}
	for _, c := range []struct {
		objects []state.Description
		whole   bool
	}{
		{nil, true},
		{[]state.Description{at(7, 7)}, true},
		{[]state.Description{at(6, 2), at(7, 6)}, true},
		{[]state.Description{at(7, 6)}, false},
		{[]state.Description{at(6, 6), at(7, 7)}, false},
		{[]state.Description{at(5, 5), at(7, 5)}, false},
	} {
		if err := checkChain(c.objects); (err == nil) != c.whole || err != nil && !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("%+v: %v", c.objects, err)
		}
	}
}

// TestWhatFeedsTheLake: the lake says which landing log feeds it, and how many
// partitions that has: a task that no manifest knows any more is missed, and an object
// with which no engine would start is found.
func TestWhatFeedsTheLake(t *testing.T) {
	for text, want := range map[string]Finding{
		`{"format":1,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/x"}`: {},
		`{"format":1,"generation":0,"kind":"kafka","id":"test","partitions":0,"place":"t"}`:     {},
		`{"format":1,"generation":0,"kind":"embedded","id":"test","partitions":2,"place":"/x"}`: {Kind: KindHead, Task: "test-0001", File: "test-0001/HEAD"},
		`{"format":1,"generation":0,"kind":"embedded","id":"test","partitions":3,"place":"/x"}`: {Kind: KindHead, Task: "test-0000", File: feedingName},
		`{"format":1,"generation":1,"kind":"embedded","id":"test","partitions":1,"place":"/x"}`: {Kind: KindHead, Task: "test-0000", File: feedingName},
		`{"format":1,"generation":0,"kind":"embedded","id":"x","partitions":1,"place":"/x"}`:    {Kind: KindHead, Task: "x-0000"},
		// While a move that was led elsewhere is under way.
		`{"format":2,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/x","given_up":1}`: {},
		`{"format":2,"generation":0,"kind":"embedded","id":"test","partitions":2,"place":"/x","given_up":1}`: {Kind: KindHead, Task: "test-0001"},
		`{"format":1,"gener`: {Kind: KindHead, File: feedingName},
		`{"format":9,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/x","given_up":1}`: {Kind: KindHead, File: feedingName},
		// A place of several kinds, and what is not as an engine writes it.
		`{"format":1,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/a\u0026\ufffdé"}`: {},
		`{"format":1,"generation":0,"kind":"embeddee","id":"test","partitions":1,"place":"/x"}`:              {Kind: KindHead, File: feedingName},
		`{"format":1,"generation":0,"Kind":"embedded","id":"test","partitions":1,"place":"/x"}`:              {Kind: KindHead, File: feedingName},
		`{"format":1,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/x"} `:             {Kind: KindHead, File: feedingName},
		`{"format":2,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/x"}`:              {Kind: KindHead, File: feedingName},
		`{"format":1,"generation":0,"kind":"embedded","id":"test","partitions":1,"place":"/x","given_up":1}`: {Kind: KindHead, File: feedingName},
	} {
		w, _ := ledgered(t, nil, nil)
		writeFeeding(t, w.store, text)
		r := runAudit(t, Config{Lake: w.dir, Level: LevelOffsets})
		if want == (Finding{}) && !r.Exact {
			t.Errorf("%s: %s", text, listFindings(r))
		}
		if want != (Finding{}) {
			wantFinding(t, r, want)
		}
	}
	w, _ := ledgered(t, nil, nil)
	check(t, w.store.Delete(t.Context(), feedingName))
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelOffsets}), Finding{Kind: KindHead, File: feedingName})
	w, _ = ledgered(t, nil, nil)
	begins := &begins{Store: w.store}
	if r := runAudit(t, Config{Lake: w.dir, Checkpoints: begins, Level: LevelOffsets}); !r.Exact || begins.reads < 2 {
		t.Errorf("a lake that begins meanwhile: %d reads, %s", begins.reads, listFindings(r))
	}
}

// begins is a store in which the object appears that says what feeds the lake.
type begins struct {
	checkpoint.Store
	reads int
}

func (b *begins) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if name == feedingName {
		if b.reads++; b.reads == 1 {
			return nil, "", checkpoint.ErrNotExist
		}
	}
	return b.Store.Read(ctx, name)
}

// TestGatewaysWithoutTipsAreNamed: of a gateway of which no tips are given nobody but
// the lake says that there is one, so that all of its records may be forged.
func TestGatewaysWithoutTipsAreNamed(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	r := runAudit(t, Config{Lake: w.dir, Level: LevelBytes, Tips: anchoredTips(t, anchorAt(t, w.store, 5))})
	text := strings.Join(r.NotChecked, "\n")
	if !strings.Contains(text, "the logs of pier, of which no tips were given") {
		t.Errorf("not checked:\n%s", text)
	}
	if !strings.Contains(text, "set out to forge") {
		t.Errorf("the tips of one gateway vouch for another:\n%s", text)
	}
}

// TestAPipeInAGatewaysLogIsNotOpened: it would never answer.
func TestAPipeInAGatewaysLogIsNotOpened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	check(t, unix.Mkfifo(name, 0o600))
	fsys := durable.ReadOnly(durable.OS{})
	for _, open := range []func(string) (durable.File, error){fsys.Open, fsys.OpenWrite} {
		if _, err := open(name); !errors.Is(err, durable.ErrNoFile) {
			t.Errorf("got %v", err)
		}
	}
}
