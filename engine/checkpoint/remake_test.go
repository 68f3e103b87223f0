package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"landfall/engine/stream"
)

// TestDamagedOutputsAreMadeAgain: staged and not visible yet, found by Publish;
// visible, found when it is read back. Nobody else notices.
func TestDamagedOutputsAreMadeAgain(t *testing.T) {
	for what, spoil := range map[string]func(s *contentSink){
		"staged": func(s *contentSink) {
			s.shows = func(target string) { // the other one of its epoch is visible then
				if target == "visible/2a" {
					s.damage("/2b")
				}
			}
		},
		"visible": func(s *contentSink) {
			s.shows = func(target string) {
				if target == "visible/2b" {
					s.damage("visible/2b")
				}
			}
		},
		"gone": func(s *contentSink) {
			s.shows = func(target string) {
				if target == "visible/2a" {
					s.lose("/2b")
				}
			}
		},
		"both": func(s *contentSink) {
			s.shows = func(target string) {
				if target == "visible/2a" {
					s.damage("visible/2a")
					s.damage("/2b")
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			store, s, r := newMemory(), newContentSink(), &remaker{}
			cfg := contentConfig(store, s, r)
			cfg.Release = func(_ context.Context, below stream.Position) error {
				if s.Verify(t.Context(), nil) != nil || strings.Contains(s.seen(), "?") {
					t.Errorf("released below %d with damage visible: %s", below.Offset, s.seen())
				}
				return nil
			}
			spoil(s)
			c := claim(t, cfg)
			history := []Manifest{c.Manifest()}
			for _, offset := range []int64{10, 20, 30} {
				if err := commitContent(t, c, offset); err != nil {
					t.Fatal(err)
				}
				history = append(history, c.Manifest())
			}
			closed(t, c)
			if got := s.seen(); got != "a:up to 10 a:up to 20 a:up to 30 b:up to 10 b:up to 20 b:up to 30" {
				t.Errorf("visible: %s", got)
			}
			if len(r.asked) != 1 || r.asked[0].Epoch != 2 || r.asked[0].From.Offset != 10 || r.asked[0].To.Offset != 20 || r.state[0] != "10" {
				t.Errorf("made again: %+v with state %q", r.asked, r.state)
			}
			if st := c.Stats(); st.Remade != 1 || st.Damaged == 0 || st.PublishError != "" || st.Published != 3 {
				t.Errorf("stats %+v", st)
			}
			if n := c.Stats().Retries; what != "gone" && n != 0 {
				t.Errorf("damage was tried again %d times", n)
			}
			requireLedger(t, store, history)
			s.shows = nil
			closed(t, claim(t, cfg))
			if left := s.left(); len(left) != 0 {
				t.Errorf("left staged: %v", left)
			}
		})
	}
}

// troubledSink cannot show one of its outputs for some attempts, for a reason that
// passes.
type troubledSink struct {
	*contentSink
	target   string
	attempts int
}

func (s *troubledSink) Publish(ctx context.Context, staged []stream.Staged) error {
	var errs []error
	for _, o := range staged {
		if o.Target == s.target && s.attempts > 0 {
			s.attempts--
			errs = append(errs, fmt.Errorf("publish %s: %w", o.Target, errLost))
			continue
		}
		errs = append(errs, s.contentSink.Publish(ctx, []stream.Staged{o}))
	}
	return errors.Join(errs...)
}

// TestTroubleBesideDamageIsNoDamage: an output that cannot be made visible at the
// moment is not missing; it is tried again, and only the other one is made again.
func TestTroubleBesideDamageIsNoDamage(t *testing.T) {
	for what, spoil := range map[string]func(s *contentSink){
		"damaged": func(s *contentSink) { s.damage("/1a") },
		"gone":    func(s *contentSink) { s.lose("/1a") },
	} {
		t.Run(what, func(t *testing.T) {
			store, s, r := newMemory(), newContentSink(), &remaker{}
			cfg := contentConfig(store, s, r)
			killedBeforePublishing(t, cfg, 10)
			spoil(s)
			cfg.Sinks = []stream.Sink{&troubledSink{s, "visible/1b", 1000}}
			if _, err := Claim(t.Context(), cfg); !errors.Is(err, errLost) || errors.Is(err, stream.ErrDamaged) {
				t.Errorf("while it lasts: %v", err)
			}
			if len(r.asked) != 0 {
				t.Errorf("made again %d times while it lasts", len(r.asked))
			}
			cfg.Sinks = []stream.Sink{&troubledSink{s, "visible/1b", 1}}
			c := claim(t, cfg)
			closed(t, c)
			if st := c.Stats(); st.Damaged != 1 || st.Remade != 1 || st.PublishError != "" {
				t.Errorf("stats %+v", st)
			}
			if got := s.seen(); got != "a:up to 10 b:up to 10" {
				t.Errorf("visible: %s", got)
			}
		})
	}
}

// TestDamageStaysInTheStatus while other outputs are read back.
func TestDamageStaysInTheStatus(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	s.shows = func(target string) {
		if target == "visible/1a" {
			s.damage("visible/1a")
		}
	}
	said := ""
	var c *Committer
	cfg.Remake = func(ctx context.Context, again Remaking) error {
		said = c.Stats().PublishError
		return r.remake(ctx, again)
	}
	c = claim(t, cfg)
	if err := commitContent(t, c, 10); err != nil {
		t.Fatal(err)
	}
	closed(t, c)
	if !strings.Contains(said, "visible/1a") {
		t.Errorf("the status said %q", said)
	}
}

// TestDamagedOutputOfARepair: it was not made of the landing log, and what is said
// is that, not that a manifest is gone.
func TestDamagedOutputOfARepair(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	c := claim(t, cfg)
	if err := commitContent(t, c, 10); err != nil {
		t.Fatal(err)
	}
	closed(t, c)
	const data = "a:repaired"
	broken := cfg
	broken.Sinks = []stream.Sink{&troubledSink{s, "visible/1a", 1000}}
	err := Repair(t.Context(), broken, nil, func(_ context.Context, claim stream.ClaimID, _ *Manifest) (Repairing, error) {
		o := stream.Staged{Sink: "content", Table: "record", Name: "staged/" + string(claim) + "/1a", Target: "visible/1a", Rows: 1, Bytes: int64(len(data)), SHA256: sumOf(data)}
		s.staged[o.Name] = data
		delete(s.visible, o.Target)
		return Repairing{Note: "made again", Staged: []stream.Staged{o}}, nil
	})
	if !errors.Is(err, errLost) {
		t.Fatalf("repaired with %v", err)
	}
	s.damage("/1a")
	for range 2 {
		_, err := Claim(t.Context(), cfg)
		if !errors.Is(err, stream.ErrDamaged) || !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "a repair made the output") {
			t.Errorf("claimed with %v", err)
		}
	}
}

// TestSinkThatPublishesAnEpochAsAWhole gets every output from the new ones, also
// those whose damage it had not come to.
func TestSinkThatPublishesAnEpochAsAWhole(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	killedBeforePublishing(t, contentConfig(store, s, r), 10)
	if n := s.damage("/1"); n != 2 {
		t.Fatalf("%d outputs damaged", n)
	}
	cfg := contentConfig(store, s, r)
	cfg.Sinks = []stream.Sink{wholeSink{s}}
	closed(t, claim(t, cfg))
	if got := s.seen(); got != "a:up to 10 b:up to 10" || len(r.asked) != 1 {
		t.Errorf("visible: %s; made again %d times", got, len(r.asked))
	}
}

// wholeSink is no Replacer, reads nothing back and stops at the first output that
// is damaged.
type wholeSink struct{ sink *contentSink }

func (w wholeSink) Name() string { return w.sink.Name() }

func (w wholeSink) Begin(task stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	return w.sink.Begin(task, claim, epoch)
}

func (w wholeSink) Publish(ctx context.Context, staged []stream.Staged) error {
	for _, o := range staged {
		if err := w.sink.Publish(ctx, []stream.Staged{o}); err != nil {
			return err
		}
	}
	return nil
}

func (w wholeSink) Verify(context.Context, []stream.Staged) error { return nil }

func (w wholeSink) Collect(ctx context.Context, task stream.TaskID, keep map[string]bool, alive func() error) error {
	return w.sink.Collect(ctx, task, keep, alive)
}

// killedBeforePublishing commits epochs that nobody publishes, and ends.
func killedBeforePublishing(t *testing.T, cfg Config, offsets ...int64) {
	t.Helper()
	cfg.PublishBacklog = len(offsets)
	gate := make(chan struct{})
	cfg.Sinks = []stream.Sink{gatedSink{cfg.Sinks[0].(*contentSink), gate}}
	c := claim(t, cfg)
	for _, offset := range offsets {
		if err := commitContent(t, c, offset); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	if err := c.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("closed with %v", err)
	}
}

// gatedSink publishes nothing new: it waits, then says that all is over.
type gatedSink struct {
	*contentSink
	gate chan struct{}
}

func (g gatedSink) Publish(ctx context.Context, staged []stream.Staged) error {
	if g.Verify(ctx, staged) == nil {
		return nil
	}
	<-g.gate
	return stream.ErrFenced
}

// TestClaimMakesDamagedEpochsAgain: killed between C4 and C5, a byte changed,
// started again. Two epochs wait; each is made from the state before it, though
// an attempt that lost its race has left a manifest of the same epoch.
func TestClaimMakesDamagedEpochsAgain(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	killedBeforePublishing(t, cfg, 10, 20)
	stray := manifestAt(t, store, 1)
	stray.Claim = stream.ClaimID(strings.Repeat("0", 32)) // it is listed first
	stray.Position.Offset, stray.State, stray.Staged = 15, nil, nil
	store.put(manifestName(cfg.Task, 1, stray.Claim), encoded(t, stray))
	if n := s.damage("/1a") + s.damage("/2b"); n != 2 {
		t.Fatalf("%d outputs damaged", n)
	}
	c := claim(t, cfg)
	closed(t, c)
	if got := s.seen(); got != "a:up to 10 a:up to 20 b:up to 10 b:up to 20" {
		t.Errorf("visible: %s", got)
	}
	if len(r.asked) != 2 || r.asked[0].From != (stream.Position{}) || r.asked[1].From.Offset != 10 || r.state[0] != "" || r.state[1] != "10" {
		t.Errorf("made again: %+v with state %q", r.asked, r.state)
	}
	if st := c.Stats(); st.Remade != 2 || st.Damaged != 2 || st.Published != 2 {
		t.Errorf("stats %+v", st)
	}
	closed(t, claim(t, cfg)) // the manifest named the damaged ones until now
	if left := s.left(); len(left) != 0 {
		t.Errorf("left staged: %v", left)
	}
}

// manifestAt reads the manifest that committed an epoch.
func manifestAt(t *testing.T, store *memory, epoch stream.Epoch) Manifest {
	t.Helper()
	for _, name := range store.names(t) {
		if !strings.Contains(name, "/manifest/") {
			continue
		}
		m, err := DecodeManifest(store.content(name))
		if err == nil && m.Epoch == epoch && len(m.Staged) > 0 {
			return m
		}
	}
	t.Fatalf("no manifest of epoch %s", epoch)
	return Manifest{}
}

// TestWhatCannotBeMadeAgainStopsTheTask: nothing wrong is published, nothing is
// released, and the error names the file and what to do.
func TestWhatCannotBeMadeAgainStopsTheTask(t *testing.T) {
	for what, spoil := range map[string]func(cfg *Config, store *memory, r *remaker){
		"nothing makes rows":    func(cfg *Config, _ *memory, _ *remaker) { cfg.Remake = nil },
		"another version":       func(_ *Config, _ *memory, r *remaker) { r.other = true },
		"landing log forgot it": func(_ *Config, _ *memory, r *remaker) { r.err = ErrGone },
		"state is gone": func(_ *Config, store *memory, _ *remaker) {
			m := manifestAt(t, store, 1)
			delete(store.objects, m.State[0].Name)
		},
		"manifest is gone": func(cfg *Config, store *memory, _ *remaker) {
			m := manifestAt(t, store, 1)
			delete(store.objects, manifestName(cfg.Task, 1, m.Claim))
		},
	} {
		t.Run(what, func(t *testing.T) {
			store, s, r := newMemory(), newContentSink(), &remaker{}
			cfg := contentConfig(store, s, r)
			released := int64(0)
			cfg.Release = func(_ context.Context, below stream.Position) error { released = below.Offset; return nil }
			killedBeforePublishing(t, cfg, 10, 20)
			s.damage("/2b")
			spoil(&cfg, store, r)
			for range 2 { // the second start is as wise as the first
				_, err := Claim(t.Context(), cfg)
				if !errors.Is(err, stream.ErrDamaged) || !errors.Is(err, ErrGone) || errors.Is(err, stream.ErrFenced) {
					t.Fatalf("claimed with %v", err)
				}
				for _, part := range []string{"2b", "visible/2b", "landfall-engine repair", "epoch 2"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v\ndoes not say %s", err, part)
					}
				}
			}
			if got := s.seen(); got != "a:up to 10 a:up to 20 b:up to 10" {
				t.Errorf("visible: %s", got)
			}
			if released != 0 {
				t.Errorf("released below %d", released)
			}
		})
	}
}

// TestMakingAgainLeavesWhatTheManifestNames: what is staged again lies beside it,
// so that whatever comes of it the next claim finds the rest as it was.
func TestMakingAgainLeavesWhatTheManifestNames(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{other: true}
	s.shows = func(string) { s.damage("/1b") }
	c := claim(t, contentConfig(store, s, r))
	if err := commitContent(t, c, 10); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); !errors.Is(err, ErrGone) {
		t.Fatalf("closed with %v", err)
	}
	if got := s.staged["staged/"+string(c.ClaimID())+"/1b"]; got != "?:up to 10" {
		t.Errorf("staged is %q", got)
	}
}

// TestRemakingThatFailsIsTriedAgain: what may pass is no damage.
func TestRemakingThatFailsIsTriedAgain(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	killedBeforePublishing(t, cfg, 10)
	s.damage("/1a")
	r.err = errLost
	if _, err := Claim(t.Context(), cfg); !errors.Is(err, errLost) || errors.Is(err, stream.ErrDamaged) {
		t.Fatalf("claimed with %v", err)
	}
	r.err = nil
	closed(t, claim(t, cfg))
	if got := s.seen(); got != "a:up to 10 b:up to 10" {
		t.Errorf("visible: %s", got)
	}
}

// TestRemakingIsFenced: another claim in the middle of it ends it, whatever it
// found by then.
func TestRemakingIsFenced(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	killedBeforePublishing(t, cfg, 10)
	s.damage("/1a")
	cfg.Remake = func(ctx context.Context, again Remaking) error {
		other := contentConfig(store, s, r)
		closed(t, claim(t, other))
		return ErrGone
	}
	if _, err := Claim(t.Context(), cfg); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("claimed with %v", err)
	}
	if got := s.seen(); got != "a:up to 10 b:up to 10" {
		t.Errorf("visible: %s", got)
	}
}

// TestFencedClaimReplacesNothing: it has made the right bytes, and another claim
// has come meanwhile, which may have put something else there on purpose.
func TestFencedClaimReplacesNothing(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	s.shows = func(target string) {
		if target == "visible/1b" {
			s.damage("visible/1b")
		}
	}
	s.replaced = func() { t.Error("replaced") }
	cfg := contentConfig(store, s, r)
	cfg.Remake = func(ctx context.Context, again Remaking) error {
		moved := manifestAt(t, store, 1)
		moved.Claim = claimA
		data := encoded(t, moved)
		name := manifestName(cfg.Task, 1, claimA)
		store.replace(name, data)
		head, err := Head{Format: Format, Manifest: name, SHA256: hash(data), Claim: claimA, Epoch: 1}.Encode()
		if err != nil {
			return err
		}
		store.replace("l-0000/HEAD", head)
		return r.remake(ctx, again)
	}
	c := claim(t, cfg)
	if err := commitContent(t, c, 10); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("closed with %v", err)
	}
}

// TestNothingIsReleasedBeforeItIsReadBack: nor when reading back does not work.
func TestNothingIsReleasedBeforeItIsReadBack(t *testing.T) {
	store, s := newMemory(), newContentSink()
	cfg := contentConfig(store, s, nil)
	cfg.Sinks = []stream.Sink{unreadable{s}}
	cfg.Release = func(context.Context, stream.Position) error {
		t.Error("released")
		return nil
	}
	c := claim(t, cfg)
	if err := commitContent(t, c, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); !errors.Is(err, errLost) || errors.Is(err, stream.ErrDamaged) {
		t.Errorf("closed with %v", err)
	}
	if st := c.Stats(); st.Retries != 2 || !strings.Contains(st.PublishError, errLost.Error()) {
		t.Errorf("stats %+v", st)
	}
}

// unreadable does not let anything be read back.
type unreadable struct{ *contentSink }

func (unreadable) Verify(context.Context, []stream.Staged) error { return errLost }

// TestDamageThatStaysStopsTheTask: what is damaged again at once is not made
// again for ever.
func TestDamageThatStaysStopsTheTask(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	s.shows = func(string) { s.damage("/1a") }
	s.replaced = func() { s.damage("visible/1a") }
	c := claim(t, contentConfig(store, s, r))
	if err := commitContent(t, c, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); !errors.Is(err, stream.ErrDamaged) && !errors.Is(err, stream.ErrContent) {
		t.Errorf("closed with %v", err)
	}
	if len(r.asked) != 1 {
		t.Errorf("made again %d times", len(r.asked))
	}
}
