package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"landfall/edge/durable/failpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// ErrGone says that what an epoch was made of is not there any more.
var ErrGone = errors.New("cannot be made again")

// Remaking is an epoch that is to be made again.
type Remaking struct {
	Epoch stream.Epoch
	From  stream.Position // where it began
	// Cut and GivenUp say that From is not where the epoch before ended: the landing log
	// was cut, or what it held back was given up.
	Cut, GivenUp bool
	To           stream.Position // where it ended
	Final        bool            // the landing log ended with it
	// State returns the objects that restore keyed state at From, as
	// Committer.State does.
	State iter.Seq2[[]byte, error]
	// Stage takes the rows. It is sealed, or abandoned, by the caller.
	Stage stream.Stage
}

// damages returns the outputs that an error says are damaged, each once.
func damages(err error) []*stream.DamagedError {
	var all []*stream.DamagedError
	var walk func(error)
	walk = func(err error) {
		if d, ok := err.(*stream.DamagedError); ok { // walked by hand: errors.As finds one of many
			if !isDamaged(all, d.Staged) {
				all = append(all, d)
			}
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, one := range e.Unwrap() {
				walk(one)
			}
		}
	}
	walk(err)
	return all
}

// isDamaged tells whether an output is among the damaged ones.
func isDamaged(damaged []*stream.DamagedError, output stream.Staged) bool {
	return slices.ContainsFunc(damaged, func(d *stream.DamagedError) bool { return d.Staged.Target == output.Target })
}

// remake makes outputs again that are damaged, staged or visible, and returns
// the sink's outputs with the new ones in their place. Steps, and what a crash
// after each one leaves:
//
//  1. find the manifest that committed the epoch and the one before it; nothing.
//  2. restore state as of the one before, read the landing log from there to the
//     epoch's end, and stage the rows under a name of their own: staged outputs
//     that no manifest names, collected by the next claim; what the manifest
//     names lies beside them as it was.
//  3. compare: an output with another hash than the manifest's is never used.
//  4. while HEAD is this claim's, put each in the place of the damaged one, where
//     that is visible already: it is there or not; the next claim publishes and
//     reads back again.
//
// Nothing in the manifests or the ledger changes: they named the right bytes
// from the beginning. Errors: stream.ErrDamaged when the output cannot be made
// again, ever, by this program; the landing log still holds what it was made of.
// Anything else may pass.
func (c *Committer) remake(
	ctx context.Context, sink stream.Sink, epoch stream.Epoch, mine []stream.Staged, damaged []*stream.DamagedError,
) ([]stream.Staged, error) {
	c.count(func(s *Stats) { s.Damaged += uint64(len(damaged)) })
	c.cfg.OnDamaged(len(damaged))
	for _, d := range damaged {
		c.cfg.Logger.Error("an output is damaged; its epoch is made again from the landing log", "task", c.cfg.Task.String(), "epoch", epoch,
			"output", d.Where, "target", d.Staged.Target, "detail", d.Detail)
	}
	remade, err := c.again(ctx, sink, epoch, mine, damaged)
	if err == nil {
		mine, err = c.replace(ctx, sink, mine, damaged, remade)
	}
	if errors.Is(err, ErrGone) {
		return nil, fmt.Errorf("%w; epoch %s %w: the landing log is kept; `landfall-engine repair` says what can be done", damaged[0], epoch, err)
	}
	if err != nil {
		return nil, fmt.Errorf("make epoch %s again, of which %s is damaged: %w", epoch, damaged[0].Where, err)
	}
	c.count(func(s *Stats) { s.Remade++ })
	c.cfg.OnRemade()
	c.cfg.Logger.Warn("the epoch is made again with the same hash", "task", c.cfg.Task.String(), "epoch", epoch, "outputs", len(damaged))
	return mine, nil
}

// again is steps 1 to 3 of remake.
func (c *Committer) again(
	ctx context.Context, sink stream.Sink, epoch stream.Epoch, mine []stream.Staged, damaged []*stream.DamagedError,
) ([]stream.Staged, error) {
	if c.cfg.Remake == nil {
		return nil, fmt.Errorf("%w: nothing here makes rows", ErrGone)
	}
	before, at, err := c.manifestsOf(ctx, epoch, mine)
	if err != nil {
		return nil, err
	}
	stage, err := sink.Begin(c.cfg.Task, c.cfg.NewClaim(), epoch) // the epoch's own staged names are taken
	if err != nil {
		return nil, err
	}
	again := Remaking{
		Epoch: epoch, From: before.Position, To: at.Position, Final: at.Final,
		State: readState(ctx, c.cfg.Store, before.State), Stage: stage,
	}
	if at.From != nil {
		again.From, again.Cut, again.GivenUp = *at.From, !at.GivenUp, at.GivenUp
	}
	err = c.cfg.Remake(ctx, again)
	if err != nil {
		stage.Abandon()
		return nil, never(err)
	}
	staged, err := stage.Seal(ctx)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	failpoint.Hit("remake.after-seal")
	return staged, c.same(at, damaged, staged)
}

// same is step 3 of remake: nil when each damaged output was made again with the
// bytes that at committed.
func (c *Committer) same(at *Manifest, damaged []*stream.DamagedError, remade []stream.Staged) error {
	for _, d := range damaged {
		want := d.Staged
		i := slices.IndexFunc(remade, func(s stream.Staged) bool { return s.Target == want.Target })
		if i < 0 {
			return fmt.Errorf("%w: %s makes no %s of it; it was made by %s", ErrGone, c.maker(), want.Target, madeBy(at))
		}
		if have := remade[i]; have.SHA256 != want.SHA256 || have.Bytes != want.Bytes {
			return fmt.Errorf("%w: %s makes %d bytes with SHA-256 %s of it, committed were %d with %s, made by %s",
				ErrGone, c.maker(), have.Bytes, have.SHA256, want.Bytes, want.SHA256, madeBy(at))
		}
	}
	return nil
}

func (c *Committer) maker() string {
	return fmt.Sprintf("%q with decoder %s, schema %d", c.cfg.Writer, c.cfg.Decoder, c.cfg.Schema)
}

func madeBy(m *Manifest) string {
	return fmt.Sprintf("%q with decoder %s, schema %d", m.Writer, m.Decoder, m.Schema)
}

// replace is step 4 of remake. It returns the sink's outputs as they lie staged
// now. A sink that publishes an epoch as a whole gets all of them from the new
// ones: it may not have come to each that is damaged.
func (c *Committer) replace(
	ctx context.Context, sink stream.Sink, mine []stream.Staged, damaged []*stream.DamagedError, remade []stream.Staged,
) ([]stream.Staged, error) {
	mine = slices.Clone(mine)
	for _, d := range damaged {
		i := slices.IndexFunc(mine, func(s stream.Staged) bool { return s.Target == d.Staged.Target })
		r := slices.IndexFunc(remade, func(s stream.Staged) bool { return s.Target == d.Staged.Target })
		if i < 0 {
			return nil, fmt.Errorf("%s is not an output of the epoch: %w", d.Staged.Target, stream.ErrDamaged)
		}
		mine[i].Name, mine[i].Parts = remade[r].Name, remade[r].Parts
		// What another claim has found and put there meanwhile is not this one's to
		// change.
		if err := c.retry.do(ctx, func() error { return c.alive(ctx) }); err != nil {
			return nil, err
		}
		failpoint.Hit("remake.before-replace")
		if k, ok := sink.(stream.Replacer); ok {
			if err := c.retry.do(ctx, func() error { return k.Replace(ctx, mine[i], d.SHA256) }); err != nil {
				return nil, fmt.Errorf("replace %s: %w", d.Staged.Target, err)
			}
		}
	}
	if _, ok := sink.(stream.Replacer); ok {
		return mine, nil
	}
	for i := range mine {
		for _, r := range remade {
			if r.Target == mine[i].Target && r.SHA256 == mine[i].SHA256 {
				mine[i].Name, mine[i].Parts = r.Name, r.Parts
			}
		}
	}
	return mine, nil
}

// never makes an answer that another attempt would not change ErrGone.
func never(err error) error {
	if definite(err) && !errors.Is(err, stream.ErrFenced) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// manifestsOf finds the manifest that committed an epoch with these outputs,
// and the one that it follows. Both are kept while the epoch is not published.
func (c *Committer) manifestsOf(ctx context.Context, epoch stream.Epoch, mine []stream.Staged) (before, at *Manifest, err error) {
	names, err := c.manifestNames(ctx)
	if err != nil {
		return nil, nil, err
	}
	find := func(epoch stream.Epoch, is func(data []byte, m *Manifest) bool) (*Manifest, error) {
		for _, name := range names {
			if !strings.HasPrefix(name, manifestFolder(c.cfg.Task)+epoch.Padded()+"-") {
				continue
			}
			data, err := c.readObject(ctx, name)
			if errors.Is(err, ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if m, err := DecodeManifest(data); err == nil && is(data, &m) { // else an attempt's, or damaged
				return &m, nil
			}
		}
		return nil, fmt.Errorf("%w: the manifest of epoch %s is not there", ErrGone, epoch)
	}
	at, err = find(epoch, func(_ []byte, m *Manifest) bool { return slices.Contains(m.Staged, mine[0]) })
	if err != nil {
		return nil, nil, err
	}
	before, err = find(epoch-1, func(data []byte, _ *Manifest) bool { return hash(data) == at.Previous })
	if errors.Is(err, ErrGone) && c.byRepairMade(ctx, at) {
		err = fmt.Errorf("%w: a repair made the output of what is in the lake, not of the landing log; repair once more", ErrGone)
	}
	return before, at, err
}

// byRepairMade tells whether a repair committed a manifest. What cannot be read was
// not.
func (c *Committer) byRepairMade(ctx context.Context, m *Manifest) bool {
	if m.Ledger == nil {
		return false
	}
	for one, err := range ledger.Walk(ctx, LedgerOf(c.cfg.Store), c.cfg.Task.String(), *m.Ledger) {
		return err == nil && one.Kind == ledger.KindRepair
	}
	return false
}

func (c *Committer) manifestNames(ctx context.Context) (names []string, err error) {
	err = c.retry.do(ctx, func() (err error) {
		names, err = c.cfg.Store.List(ctx, manifestFolder(c.cfg.Task))
		return err
	})
	return names, err
}

// readObject reads an object; absent is an answer, ErrNotExist.
func (c *Committer) readObject(ctx context.Context, name string) (data []byte, err error) {
	var absent error
	err = c.retry.do(ctx, func() (err error) {
		if data, _, err = c.cfg.Store.Read(ctx, name); errors.Is(err, ErrNotExist) {
			absent, err = err, nil
		}
		return err
	})
	return data, errors.Join(err, absent)
}
