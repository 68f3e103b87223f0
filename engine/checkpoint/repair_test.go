package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// again is an output in the place of an epoch's.
func again(epoch string) Repairing {
	return Repairing{
		Note:    "made again",
		Staged:  []stream.Staged{{Sink: "fake", Table: "record", Name: "repair-" + epoch, Target: epoch, SHA256: hashA, Bytes: 3}},
		Removed: []ledger.File{{Sink: "fake", Table: "record", Name: epoch, SHA256: hashA}},
	}
}

func repairWith(t *testing.T, cfg Config, r Repairing) error {
	t.Helper()
	return Repair(t.Context(), cfg, nil, func(context.Context, stream.ClaimID, *Manifest) (Repairing, error) { return r, nil })
}

// TestRepairIsAnEntry: what was made again is published and stands in the
// ledger; the checkpoint is the same but for that, and tasks go on from it.
func TestRepairIsAnEntry(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 3, &history)
	closed(t, c)
	before := c.Manifest()
	published := len(s.seen())
	var told Manifest
	cfg := config(store, s)
	cfg.Decoder = "of the repair"
	err := Repair(t.Context(), cfg, nil, func(_ context.Context, claim stream.ClaimID, m *Manifest) (Repairing, error) {
		if told = *m; claim == m.Claim {
			t.Error("it works under the claim of another")
		}
		return again("2"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), store, c.cfg.Task)
	if err != nil {
		t.Fatal(err)
	}
	history = append(history, m)
	if told.Claim != before.Claim || m.Epoch != before.Epoch || m.Position != before.Position || !slices.Equal(m.State, before.State) || m.Claim == before.Claim {
		t.Errorf("repaired %+v\nof %+v", m, before)
	}
	if got := s.seen()[published:]; !slices.Equal(got, []string{"2"}) {
		t.Errorf("published %v", got)
	}
	entry := newestEntry(t, store, &m)
	if entry.Decoder != cfg.Decoder || m.Decoder != before.Decoder {
		t.Errorf("the entry names decoder %q, the manifest %q", entry.Decoder, m.Decoder)
	}
	want := again("2")
	if entry.Kind != ledger.KindRepair || entry.Number != 4 || entry.Note != want.Note || !slices.Equal(entry.Removed, want.Removed) ||
		!slices.Equal(entry.Files, ledgerFiles(want.Staged)) || entry.Claim != m.Claim || entry.Epoch != 3 || entry.Position != m.Position {
		t.Errorf("entry %+v", entry)
	}
	d := claim(t, config(store, s))
	history = append(history, d.Manifest())
	epochs(t, d, 5, &history)
	closed(t, d)
	requireLedger(t, store, history)
}

func newestEntry(t *testing.T, store Store, m *Manifest) ledger.Entry {
	t.Helper()
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), m.TaskID().String(), *m.Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		return one.Entry
	}
	t.Fatal("no entry")
	return ledger.Entry{}
}

// TestRepairFences: an engine that runs is refused at its next commit.
func TestRepairFences(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 2, &history)
	if err := repairWith(t, config(store, s), again("1")); err != nil {
		t.Fatal(err)
	}
	if err := commit(t, c, 3); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the engine commits: %v", err)
	}
	_ = c.Close(t.Context())
}

// TestRepairIsFenced: a claim between reading HEAD and moving it ends the
// repair, and nothing of it counts.
func TestRepairIsFenced(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 2, &history)
	closed(t, c)
	err := Repair(t.Context(), config(store, s), nil, func(context.Context, stream.ClaimID, *Manifest) (Repairing, error) {
		closed(t, claim(t, config(store, s)))
		return again("1"), nil
	})
	if !errors.Is(err, stream.ErrFenced) {
		t.Errorf("repaired: %v", err)
	}
	m, err := Load(t.Context(), store, c.cfg.Task)
	if err != nil || m.Ledger.Number != 2 {
		t.Errorf("ledger at %d, %v", m.Ledger.Number, err)
	}
}

// TestRepairEndsAnywhere: after a crash at each step the next repair, or the
// next claim, leaves the same outputs visible.
func TestRepairEndsAnywhere(t *testing.T) {
	for _, end := range []struct {
		op, part string
		entry    bool // the repair happened all the same
	}{
		{"create", "/ledger/", false}, {"create", "/manifest/", false}, {"swap", "/HEAD", false}, {"publish", "", true},
	} {
		t.Run(end.op+" "+end.part, func(t *testing.T) {
			store, s := newMemory(), &sink{}
			c := claim(t, config(store, s))
			history := []Manifest{c.Manifest()}
			epochs(t, c, 3, &history)
			closed(t, c)
			crashAt(store, end.op, end.part)
			if end.op == "publish" {
				s.publish = func() error { return stream.ErrFenced }
			}
			if err := repairWith(t, config(store, s), again("2")); err == nil {
				t.Fatal("repaired")
			}
			store.failWith(nil)
			s.publish = nil
			m, err := Load(t.Context(), store, c.cfg.Task)
			if err != nil || (m.Ledger.Number == 4) != end.entry {
				t.Fatalf("ledger at %d, %v", m.Ledger.Number, err)
			}
			if end.entry {
				history = append(history, m)
			} else {
				if err := repairWith(t, config(store, s), again("2")); err != nil {
					t.Fatal(err)
				}
				m, err = Load(t.Context(), store, c.cfg.Task)
				if err != nil {
					t.Fatal(err)
				}
				history = append(history, m)
			}
			published := len(s.seen())
			d := claim(t, config(store, s))
			history = append(history, d.Manifest())
			closed(t, d)
			if got := s.seen()[published:]; !slices.Contains(got, "2") {
				t.Errorf("the next claim published %v", got)
			}
			if got := ledgerObjects(t, store); got != "1 2 3 4" {
				t.Errorf("ledger: %s", got)
			}
			requireLedger(t, store, history)
		})
	}
}

// TestRepairTakesThePlaceOfWhatWaits: an output that waits to be published and
// is made again is published once, with the new bytes.
func TestRepairTakesThePlaceOfWhatWaits(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 2, &history)
	closed(t, c)
	newest := c.Manifest().Staged[0].Target
	if err := repairWith(t, config(store, s), again(newest)); err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), store, c.cfg.Task)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, p := range m.Pending() {
		for _, o := range p.Staged {
			if o.Target == newest {
				if names++; !strings.HasPrefix(o.Name, "repair-") {
					t.Errorf("%s is to be published as %s", o.Name, newest)
				}
			}
		}
	}
	if names != 1 {
		t.Errorf("%s is named %d times", newest, names)
	}
}

func TestRepairRefuses(t *testing.T) {
	store, s := newMemory(), &sink{}
	if err := repairWith(t, config(store, s), again("1")); !errors.Is(err, ErrNotExist) {
		t.Errorf("without HEAD: %v", err)
	}
	c := claim(t, config(store, s))
	if err := commit(t, c, 1); err != nil {
		t.Fatal(err)
	}
	closed(t, c)
	if err := repairWith(t, config(store, s), Repairing{}); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	if m, err := Load(t.Context(), store, c.cfg.Task); err != nil || m.Claim != c.ClaimID() {
		t.Errorf("nothing to do moved HEAD: %v", err)
	}
	cfg := config(store, s)
	cfg.Schema = 0
	if err := repairWith(t, cfg, again("1")); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer schema: %v", err)
	}
	old := c.Manifest()
	old.Format, old.Ledger = 2, nil
	writeHead(t, store, old)
	if err := repairWith(t, config(store, s), again("1")); !errors.Is(err, ErrNoLedger) {
		t.Errorf("without a ledger: %v", err)
	}
}

// writeHead puts a manifest and the HEAD that names it.
func writeHead(t *testing.T, store *memory, m Manifest) {
	t.Helper()
	data := encoded(t, m)
	name := manifestName(m.TaskID(), m.Epoch, m.Claim)
	store.replace(name, data)
	head, err := Head{Format: m.Format, Manifest: name, SHA256: hash(data), Claim: m.Claim, Epoch: m.Epoch}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	store.replace(headName(m.TaskID()), head)
}

// TestHeadIsFoundAgain: the newest manifest that is whole, and only where there
// is no doubt.
func TestHeadIsFoundAgain(t *testing.T) {
	task := stream.TaskID{Landing: "l"}
	for what, tt := range map[string]struct {
		damage func(t *testing.T, store *memory, m *Manifest)
		want   error // nil: HEAD is as before
	}{
		"HEAD gone":    {func(t *testing.T, store *memory, _ *Manifest) { must(t, store.Delete(t.Context(), headName(task))) }, nil},
		"HEAD damaged": {func(_ *testing.T, store *memory, _ *Manifest) { store.replace(headName(task), []byte("{")) }, nil},
		"a manifest of a commit that did not end": {func(t *testing.T, store *memory, m *Manifest) {
			must(t, store.Delete(t.Context(), headName(task)))
			old := *m
			old.Epoch, old.Claim = m.Epoch-1, claimA
			store.replace(manifestName(task, old.Epoch, old.Claim), encoded(t, old))
		}, nil},
		"two manifests of one epoch": {func(t *testing.T, store *memory, m *Manifest) {
			must(t, store.Delete(t.Context(), headName(task)))
			other := *m
			other.Claim = claimA
			store.replace(manifestName(task, other.Epoch, other.Claim), encoded(t, other))
		}, ErrCorrupt},
		"HEAD names another": {func(t *testing.T, store *memory, m *Manifest) {
			store.replace(manifestName(task, m.Epoch, m.Claim), []byte("{"))
		}, ErrCorrupt},
		"state gone": {func(t *testing.T, store *memory, m *Manifest) {
			must(t, store.Delete(t.Context(), headName(task)))
			must(t, store.Delete(t.Context(), m.State[0].Name))
		}, ErrNotExist},
		"a ledger entry gone": {func(t *testing.T, store *memory, m *Manifest) {
			must(t, store.Delete(t.Context(), headName(task)))
			must(t, store.Delete(t.Context(), m.Ledger.Name))
		}, ErrNotExist},
	} {
		t.Run(what, func(t *testing.T) {
			store := newMemory()
			c := claim(t, config(store, &sink{}))
			history := []Manifest{c.Manifest()}
			epochs(t, c, 3, &history)
			closed(t, c)
			m := c.Manifest()
			before := slices.Clone(store.content(headName(task)))
			tt.damage(t, store, &m)
			found, err := FindHead(t.Context(), store, task, unseen)
			if tt.want != nil {
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				return
			}
			if err == nil {
				err = RestoreHead(t.Context(), store, task, found)
			}
			if err != nil || string(store.content(headName(task))) != string(before) {
				t.Errorf("%v; HEAD %s, want %s", err, store.content(headName(task)), before)
			}
			if err := RestoreHead(t.Context(), store, task, found); !errors.Is(err, ErrChanged) {
				t.Errorf("restored over another: %v", err)
			}
		})
	}
}

// TestAnOlderManifestIsNotHead: a manifest that is whole is not taken for HEAD's
// beside a newer one that is not, whether that can be read or not.
func TestAnOlderManifestIsNotHead(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, store *memory, m *Manifest){
		"its entry is gone": func(t *testing.T, store *memory, m *Manifest) { must(t, store.Delete(t.Context(), m.Ledger.Name)) },
		"its state is gone": func(t *testing.T, store *memory, m *Manifest) {
			must(t, store.Delete(t.Context(), m.State[len(m.State)-1].Name))
		},
		"it cannot be read": func(_ *testing.T, store *memory, m *Manifest) {
			store.replace(manifestName(m.TaskID(), m.Epoch, m.Claim), []byte("{"))
		},
		"nothing is wrong with it": nil,
	} {
		t.Run(what, func(t *testing.T) {
			store := newMemory()
			c := claim(t, config(store, &sink{}))
			must(t, commit(t, c, 1))
			older := c.Manifest()
			kept := slices.Clone(store.content(manifestName(older.TaskID(), older.Epoch, older.Claim)))
			must(t, commit(t, c, 2))
			closed(t, c)
			newest := c.Manifest()
			if store.content(manifestName(older.TaskID(), older.Epoch, older.Claim)) == nil {
				must(t, store.Create(t.Context(), manifestName(older.TaskID(), older.Epoch, older.Claim), kept))
			}
			for _, o := range older.State {
				if !slices.Contains(newest.State, o) {
					t.Fatal("the older manifest is not whole")
				}
			}
			must(t, store.Delete(t.Context(), headName(c.cfg.Task)))
			if damage != nil {
				damage(t, store, &newest)
			}
			found, err := FindHead(t.Context(), store, c.cfg.Task, unseen)
			if damage == nil && (err != nil || found.Manifest.Epoch != 2) || damage != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("epoch %s, %v", found.Manifest.Epoch, err)
			}
		})
	}
}

// TestEveryBitOfHeadCounts: nothing holds a hash of HEAD, so each single bit has
// to be seen by itself, and so has the number of an earlier format.
func TestEveryBitOfHeadCounts(t *testing.T) {
	store := newMemory()
	c := claim(t, config(store, &sink{}))
	must(t, commit(t, c, 1))
	closed(t, c)
	good := slices.Clone(store.content(headName(c.cfg.Task)))
	for bit := range 8 * len(good) {
		data := slices.Clone(good)
		data[bit/8] ^= 1 << (bit % 8)
		store.replace(headName(c.cfg.Task), data)
		if _, err := Load(t.Context(), store, c.cfg.Task); err == nil {
			t.Errorf("read as HEAD: %s", data)
		}
	}
	for format := range Format {
		data := bytes.Replace(good, fmt.Appendf(nil, `{"format":%d,`, Format), fmt.Appendf(nil, `{"format":%d,`, format), 1)
		store.replace(headName(c.cfg.Task), data)
		if _, err := Load(t.Context(), store, c.cfg.Task); err == nil || bytes.Equal(data, good) {
			t.Errorf("read as HEAD: %s", data)
		}
	}
}

// TestEveryBitOfTheNameInHead: whichever bit of the name, the epoch or the claim
// of the manifest in HEAD is damaged, HEAD is put back as it was. A bit of the hash
// may as well be one of the manifest: nothing is guessed.
func TestEveryBitOfTheNameInHead(t *testing.T) {
	store := newMemory()
	c := claim(t, config(store, &sink{}))
	must(t, commit(t, c, 1))
	closed(t, c)
	good := slices.Clone(store.content(headName(c.cfg.Task)))
	hashAt, hashEnd := bytes.Index(good, []byte(`"sha256":"`)), bytes.Index(good, []byte(`","claim"`))
	version := bytes.IndexByte(good, byte('0'+Format))
	for bit := range 8 * len(good) {
		data := slices.Clone(good)
		data[bit/8] ^= 1 << (bit % 8)
		store.replace(headName(c.cfg.Task), data)
		if _, err := Load(t.Context(), store, c.cfg.Task); err == nil {
			t.Errorf("read as HEAD: %s", data)
		}
		found, err := FindHead(t.Context(), store, c.cfg.Task, unseen)
		if err == nil {
			err = RestoreHead(t.Context(), store, c.cfg.Task, found)
		}
		inHash := bit/8 > hashAt+9 && bit/8 < hashEnd
		switch mended := err == nil && bytes.Equal(store.content(headName(c.cfg.Task)), good); {
		case !mended && !inHash && !(bit/8 == version && errors.Is(err, ErrVersion)):
			t.Errorf("%q: %v, HEAD %s", data, err, store.content(headName(c.cfg.Task)))
		case inHash && err == nil && !mended:
			t.Errorf("%q: guessed %s", data, store.content(headName(c.cfg.Task)))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
