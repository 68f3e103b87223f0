package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/engine/stream"
)

func TestEpochsFollowEachOther(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	var history []Manifest
	history = append(history, c.Manifest())
	for i := range int64(7) {
		if err := commit(t, c, i+1); err != nil {
			t.Fatal(err)
		}
		history = append(history, c.Manifest())
	}
	closed(t, c)
	d := claim(t, config(store, s))
	history = append(history, d.Manifest())
	if err := errors.Join(CheckHistory(history), CheckLedger(t.Context(), store, history)); err != nil {
		t.Fatal(err)
	}
	m := d.Manifest()
	if m.Epoch != 7 || m.Position.Offset != 7 || m.Claim == c.ClaimID() || len(m.Unpublished) == 0 {
		t.Fatalf("claimed %+v", m)
	}
	var state []string
	for data, err := range d.State(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		state = append(state, string(data))
	}
	if want := len(m.State); len(state) != want || state[want-1] != "7" {
		t.Fatalf("state %v", state)
	}
	if st := d.Stats(); st.Published != 7 || st.Committed != 7 || st.Backlog != 0 {
		t.Fatalf("stats %+v", st)
	}
	closed(t, d)
	if n := len(store.names(t)); n != 2+len(m.State)+7 { // HEAD, manifest, state, an entry an epoch
		t.Fatalf("objects left: %v", store.names(t))
	}
	// The second claim repeats what the last manifest did not know published.
	if got := strings.Join(s.seen(), " "); !strings.HasPrefix(got, "1 2 3 4 5 6 7 ") || !strings.HasSuffix(got, " 7") {
		t.Fatalf("published %s", got)
	}
	if err := commit(t, d, 8); !errors.Is(err, ErrClosed) {
		t.Fatalf("commit after close: %v", err)
	}
}

func TestClaimRefusesAnotherIdentity(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	if err := commit(t, c, 1); err != nil {
		t.Fatal(err)
	}
	closed(t, c)
	for field, change := range map[string]func(*Config){
		"partitions": func(c *Config) { c.Partitions = 8 },
		"gateway":    func(c *Config) { c.Params = map[string]string{"gateway": "borealis"} },
		"base_time":  func(c *Config) { c.Params = map[string]string{"gateway": "aurora", "base_time": "1"} },
		"sink":       func(c *Config) { c.Sinks = nil },
	} {
		cfg := config(store, s)
		change(&cfg)
		_, err := Claim(t.Context(), cfg)
		var id *IdentityError
		if !errors.As(err, &id) || !errors.Is(err, ErrIdentity) || id.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	cfg := config(store, s)
	cfg.Schema = 0
	if _, err := Claim(t.Context(), cfg); !errors.Is(err, ErrVersion) {
		t.Errorf("newer schema: %v", err)
	}
	cfg = config(store, s)
	cfg.Params = nil
	closed(t, claim(t, cfg))
	if m, err := Load(t.Context(), store, cfg.Task); err != nil || m.Params["gateway"] != "aurora" {
		t.Errorf("without params: %v %v", m.Params, err)
	}
}

func TestClaimRefusesDamage(t *testing.T) {
	for name, damage := range map[string]func(m *memory, manifest string){
		"HEAD garbage":      func(m *memory, _ string) { m.put("l-0000/HEAD", []byte("?")) },
		"manifest missing":  func(m *memory, name string) { delete(m.objects, name) },
		"manifest replaced": func(m *memory, name string) { m.put(name, []byte("{}")) },
	} {
		store := newMemory()
		c := claim(t, config(store, &sink{}))
		if err := commit(t, c, 1); err != nil {
			t.Fatal(err)
		}
		closed(t, c)
		damage(store, manifestName(c.cfg.Task, 1, c.ClaimID()))
		if _, err := Claim(t.Context(), config(store, &sink{})); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHeadVouchesForItsManifest: one that is whole and describes itself as HEAD
// does, but is not the one that HEAD names, is refused by everybody who reads it.
func TestHeadVouchesForItsManifest(t *testing.T) {
	for what, change := range map[string]func(m *Manifest){
		"position":  func(m *Manifest) { m.Position.Offset = 0 },
		"state":     func(m *Manifest) { m.State = nil },
		"ledger":    func(m *Manifest) { m.Ledger.SHA256 = hashB },
		"published": func(m *Manifest) { m.Staged, m.Unpublished = nil, nil },
	} {
		t.Run(what, func(t *testing.T) {
			store := newMemory()
			c := claim(t, config(store, &sink{}))
			if err := commit(t, c, 1); err != nil {
				t.Fatal(err)
			}
			m := c.Manifest()
			closed(t, c)
			change(&m)
			store.put(manifestName(c.cfg.Task, 1, c.ClaimID()), encoded(t, m))
			if _, err := Load(t.Context(), store, c.cfg.Task); !errors.Is(err, ErrCorrupt) {
				t.Errorf("loaded with %v", err)
			}
			if _, err := Claim(t.Context(), config(store, &sink{})); !errors.Is(err, ErrCorrupt) {
				t.Errorf("claimed with %v", err)
			}
		})
	}
}

func TestStateIsVerified(t *testing.T) {
	store := newMemory()
	c := claim(t, config(store, &sink{}))
	if err := commit(t, c, 1); err != nil {
		t.Fatal(err)
	}
	closed(t, c) // it publishes and collects beside us until then
	name := c.Manifest().State[0].Name
	store.put(name, []byte("other"))
	checked := 0
	for _, err := range c.State(t.Context()) {
		if checked++; !errors.Is(err, ErrCorrupt) {
			t.Errorf("other content: %v", err)
		}
	}
	delete(store.objects, name)
	for _, err := range c.State(t.Context()) {
		if checked++; !errors.Is(err, ErrCorrupt) {
			t.Errorf("missing: %v", err)
		}
	}
	if checked != 2 {
		t.Errorf("%d objects were read, want one each time", checked)
	}
}

// TestCollectorNeverTakesAClaimInProgress: B lists and collects while C has
// created its manifest and not yet moved HEAD to it.
func TestCollectorNeverTakesAClaimInProgress(t *testing.T) {
	for _, at := range []string{"list", "read", "create", "delete", "settle"} {
		for after := range 6 {
			store := newMemory()
			a := claim(t, config(store, &sink{}))
			if err := commit(t, a, 1); err != nil {
				t.Fatal(err)
			}
			closed(t, a)
			calls := 0
			woken := false
			store.fail = func(op, _ string) error {
				if woken || op != at {
					return nil
				}
				if calls++; calls <= after {
					return nil
				}
				woken = true
				if c, err := Claim(context.Background(), config(store, &sink{})); err == nil {
					_ = commit(t, c, 2)
					_ = c.Close(context.Background())
				}
				return nil
			}
			b, err := Claim(t.Context(), config(store, &sink{}))
			if err != nil && !errors.Is(err, stream.ErrFenced) {
				t.Fatalf("%s %d: %v", at, after, err)
			}
			if err == nil {
				_ = b.Close(t.Context())
			}
			store.fail = nil
			d, err := Claim(t.Context(), config(store, &sink{}))
			if err != nil {
				t.Fatalf("%s %d: what HEAD names is gone: %v", at, after, err)
			}
			for _, err := range d.State(t.Context()) {
				if err != nil {
					t.Fatalf("%s %d: %v", at, after, err)
				}
			}
			closed(t, d)
		}
	}
}

// hooked calls before ahead of each swap and delete.
type hooked struct {
	Store
	before func(op string)
}

func (h hooked) Swap(ctx context.Context, name string, old Version, data []byte) (Version, error) {
	h.before("swap")
	v, err := h.Store.Swap(ctx, name, old, data)
	h.before("swapped")
	return v, err
}

func (h hooked) Delete(ctx context.Context, name string) error {
	h.before("delete")
	return h.Store.Delete(ctx, name)
}

// TestCollectorNeverTakesTheNextClaim is the narrowest race: when B has moved
// HEAD, C creates its manifest; B finds HEAD its own and is about to delete;
// C moves HEAD; B deletes. C's manifest must not be what it deletes.
func TestCollectorNeverTakesTheNextClaim(t *testing.T) {
	store := newMemory()
	a := claim(t, config(store, &sink{}))
	closed(t, a)
	created, mayMove, moved := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c := hooked{store, func(op string) {
		switch op {
		case "swap":
			close(created)
			<-mayMove
		case "swapped":
			close(moved)
		}
	}}
	claimed := make(chan error, 1)
	deleting := false
	b := hooked{store, func(op string) {
		switch {
		case op == "swapped":
			go func() {
				next, err := Claim(context.Background(), config(c, &sink{}))
				if err == nil {
					err = next.Close(context.Background())
				}
				claimed <- err
			}()
			<-created
		case op == "delete" && !deleting:
			deleting = true
			close(mayMove)
			<-moved
		}
	}}
	if _, err := Claim(t.Context(), config(b, &sink{})); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("B ended with %v", err)
	}
	if err := <-claimed; err != nil {
		t.Errorf("C ended with %v", err)
	}
	if _, err := Load(t.Context(), store, stream.TaskID{Landing: "l"}); err != nil {
		t.Errorf("what HEAD names: %v", err)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := newMemory(), &sink{}
		gate := make(chan struct{})
		s.publish = func() error { <-gate; return nil }
		cfg := config(store, s)
		cfg.PublishBacklog = 2
		c := claim(t, cfg)
		for i := range int64(2) {
			if err := commit(t, c, i+1); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- commit(t, c, 3) }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("a third epoch was committed while two wait for publishing")
		default:
		}
		if m := c.Stats(); m.Committed != 2 || m.Published != 0 || m.Backlog != 2 {
			t.Errorf("stats %+v", m)
		}
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
		closed(t, c)
		if st := c.Stats(); st.Published != 3 || st.Backlog != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestStatsTellHowPublishingStands: why it does not go on and since when the
// oldest epoch waits, while it does; and after a claim everything is published.
func TestStatsTellHowPublishingStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, s := newMemory(), &sink{}
		cfg := config(store, s)
		cfg.Attempts, cfg.Backoff = 3, time.Minute
		c := claim(t, cfg)
		var back atomic.Bool
		s.publish = func() error {
			if back.Load() {
				return nil
			}
			return errLost
		}
		began := time.Now()
		if err := commit(t, c, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := c.Stats(); st.PublishError != "sink "+s.Name()+": "+errLost.Error() || !st.OldestPending.Equal(began) || st.Published != 0 {
			t.Errorf("stats %+v", st)
		}
		back.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := c.Stats(); st.PublishError != "" || !st.OldestPending.IsZero() || st.Published != 1 {
			t.Errorf("stats %+v", st)
		}
		closed(t, c)
		d := claim(t, cfg)
		if st := d.Stats(); st.Committed != 1 || st.Published != 1 {
			t.Errorf("stats after a claim %+v", st)
		}
		closed(t, d)
	})
}

func TestManifestCarriesWhatIsNotPublished(t *testing.T) {
	store, s := newMemory(), &sink{}
	gate := make(chan struct{})
	s.publish = func() error { <-gate; return stream.ErrFenced }
	c := claim(t, config(store, s))
	for i := range int64(2) {
		if err := commit(t, c, i+1); err != nil {
			t.Fatal(err)
		}
	}
	m := c.Manifest()
	if len(m.Unpublished) != 1 || m.Unpublished[0].Epoch != 1 || len(m.Staged) != 1 {
		t.Fatalf("manifest %+v", m)
	}
	close(gate)
	if err := c.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Fatal(err)
	}
	s.publish = nil
	closed(t, claim(t, config(store, s)))
	if got := strings.Join(s.seen(), " "); got != "1 2" {
		t.Fatalf("recovery published %s", got)
	}
}

func TestRetriesGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		cfg := config(store, &sink{})
		cfg.Attempts, cfg.Backoff = 4, time.Second
		c := claim(t, cfg)
		store.fail = func(op, name string) error {
			if op == "swap" {
				return errLost
			}
			return nil
		}
		begin := time.Now()
		err := commit(t, c, 1)
		if !errors.Is(err, errLost) || !strings.Contains(err.Error(), "after 4 attempts") {
			t.Errorf("gave up with %v", err)
		}
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("waited %v, want 1+2+4 s", took)
		}
		<-c.Failed()
		if c.Err() == nil || commit(t, c, 2) == nil {
			t.Error("goes on after an error")
		}
		_ = c.Close(t.Context())
		store.fail = nil
		d := claim(t, cfg)
		if d.Manifest().Epoch != 0 {
			t.Error("the epoch happened")
		}
		closed(t, d)
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		s.publish = func() error { return errLost }
		cfg := config(newMemory(), s)
		cfg.Attempts, cfg.Backoff = 1000, time.Hour
		c := claim(t, cfg)
		if err := commit(t, c, 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestTasksAndLoad(t *testing.T) {
	store := newMemory()
	if _, err := Load(t.Context(), store, stream.TaskID{Landing: "l"}); !errors.Is(err, ErrNotExist) {
		t.Fatalf("load without HEAD: %v", err)
	}
	for _, p := range []int{0, 3} {
		cfg := config(store, &sink{})
		cfg.Task, cfg.Partitions = stream.TaskID{Landing: "a-b", Partition: p}, 4
		closed(t, claim(t, cfg))
	}
	for _, name := range []string{"HEAD", "x/HEAD", "a-b-0001/state/HEAD", "a-b-000z/HEAD"} {
		store.put(name, nil)
	}
	tasks, err := Tasks(t.Context(), store)
	if err != nil || fmt.Sprint(tasks) != "[a-b-0000 a-b-0003]" {
		t.Fatalf("%v %v", tasks, err)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Store":   func(c *Config) { c.Store = nil },
		"Task":    func(c *Config) { c.Task.Landing = "UPPER" },
		"Sinks":   func(c *Config) { c.Sinks = append(c.Sinks, c.Sinks[0]) },
		"Backoff": func(c *Config) { c.Backoff = -1 },
		"Backlog": func(c *Config) { c.PublishBacklog = stream.MaxBacklog + 1 },
	} {
		cfg := config(newMemory(), &sink{})
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
