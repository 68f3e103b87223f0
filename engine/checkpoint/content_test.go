package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// contentSink keeps the bytes of what is staged and visible, as a lake does: two
// outputs an epoch.
type contentSink struct {
	mu       sync.Mutex
	staged   map[string]string
	visible  map[string]string
	shows    func(target string) // called after each output that Publish made visible for the first time
	shown    map[string]bool
	replaced func() // called when Replace has put an output in the place of another
}

func newContentSink() *contentSink {
	return &contentSink{staged: map[string]string{}, visible: map[string]string{}, shown: map[string]bool{}}
}

func (s *contentSink) Name() string { return "content" }

func (s *contentSink) Begin(_ stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	return &contentStage{sink: s, claim: claim, epoch: epoch}, nil
}

func sumOf(data string) string {
	sum := sha256.Sum256([]byte(data))
	return hex.EncodeToString(sum[:])
}

func damagedOutput(o stream.Staged, where, have string) error {
	return &stream.DamagedError{Staged: o, Where: where, Detail: "it reads " + strconv.Quote(have), SHA256: sumOf(have)}
}

func (s *contentSink) Publish(_ context.Context, staged []stream.Staged) error {
	var errs []error
	for _, o := range staged {
		shown, err := s.show(o)
		if errs = append(errs, err); shown && s.shows != nil && !s.shown[o.Target] {
			s.shown[o.Target] = true
			s.shows(o.Target)
		}
	}
	return errors.Join(errs...)
}

func (s *contentSink) show(o stream.Staged) (shown bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, there := s.visible[o.Target]
	data, staged := s.staged[o.Name]
	switch {
	case there && sumOf(have) == o.SHA256:
	case there:
		return false, fmt.Errorf("%s: %w", o.Target, stream.ErrContent)
	case !staged:
		return false, fmt.Errorf("%s is not staged: %w", o.Name, ErrNotExist)
	case sumOf(data) != o.SHA256:
		return false, fmt.Errorf("publish: %w", damagedOutput(o, o.Name, data))
	default:
		s.visible[o.Target] = data
	}
	delete(s.staged, o.Name)
	return true, nil
}

func (s *contentSink) Verify(_ context.Context, staged []stream.Staged) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range staged {
		have, there := s.visible[o.Target]
		if !there {
			return &stream.DamagedError{Staged: o, Where: o.Target, Detail: "it is not there"}
		}
		if sumOf(have) != o.SHA256 {
			return damagedOutput(o, o.Target, have)
		}
	}
	return nil
}

// Replace implements stream.Replacer.
func (s *contentSink) Replace(_ context.Context, o stream.Staged, damaged string) error {
	if s.replaced != nil {
		defer s.replaced()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have, there := s.visible[o.Target]
	switch {
	case there && sumOf(have) == o.SHA256:
		return nil
	case there && sumOf(have) != damaged:
		return stream.ErrContent
	case sumOf(s.staged[o.Name]) != o.SHA256:
		return damagedOutput(o, o.Name, s.staged[o.Name])
	}
	s.visible[o.Target] = s.staged[o.Name]
	delete(s.staged, o.Name)
	return nil
}

func (s *contentSink) Collect(_ context.Context, _ stream.TaskID, keep map[string]bool, alive func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.staged, func(name, _ string) bool { return !keep[name] })
	return alive()
}

// Published implements stream.Inventory.
func (s *contentSink) Published(_ context.Context, _ stream.TaskID, upTo stream.Epoch, yield func(stream.Staged) error) error {
	s.mu.Lock()
	all := maps.Clone(s.visible)
	s.mu.Unlock()
	for _, target := range slices.Sorted(maps.Keys(all)) {
		epoch, err := strconv.Atoi(strings.Trim(target, "visble/a"))
		if err != nil {
			return err
		}
		if stream.Epoch(epoch) > upTo {
			continue
		}
		data := all[target]
		err = yield(stream.Staged{Sink: "content", Table: "record", Target: target, Rows: -1, Bytes: int64(len(data)), SHA256: sumOf(data)})
		if err != nil {
			return err
		}
	}
	return nil
}

// damage changes staged and visible outputs with a part in their name; it says
// how many.
func (s *contentSink) damage(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, all := range []map[string]string{s.staged, s.visible} {
		for name, data := range all {
			folder, _, _ := strings.Cut(name, "/") // a claim in between may be called like anything
			if strings.Contains(folder+"/"+path.Base(name), part) {
				all[name] = "?" + data[1:]
				n++
			}
		}
	}
	return n
}

// lose removes staged outputs with a part in their name.
func (s *contentSink) lose(part string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.staged, func(name, _ string) bool { return strings.Contains(name, part) })
}

// seen returns what is visible, sorted.
func (s *contentSink) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Values(s.visible)), " ")
}

// left returns the names of what is staged.
func (s *contentSink) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.staged))
}

type contentStage struct {
	stream.Stage
	sink  *contentSink
	claim stream.ClaimID
	epoch stream.Epoch
	rows  []string
}

func (c *contentStage) Write(b *table.Batch) error {
	for _, r := range b.Records {
		c.rows = append(c.rows, string(r.Raw))
	}
	return nil
}

func (c *contentStage) Abandon() {}

func (c *contentStage) Seal(context.Context) ([]stream.Staged, error) {
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	var all []stream.Staged
	for _, part := range []string{"a", "b"} {
		data := part + ":" + strings.Join(c.rows, ",")
		o := stream.Staged{
			Sink: "content", Table: "record", Name: fmt.Sprintf("staged/%s/%s%s", c.claim, c.epoch, part),
			Target: fmt.Sprintf("visible/%s%s", c.epoch, part), Rows: 1, Bytes: int64(len(data)), SHA256: sumOf(data),
		}
		c.sink.staged[o.Name] = data
		all = append(all, o)
	}
	return all, nil
}

// rows writes the rows of an epoch that ends at an offset.
func rows(stage stream.Stage, offset int64) error {
	var b table.Batch
	b.Records = append(b.Records, table.RecordRow{Raw: fmt.Appendf(nil, "up to %d", offset)})
	return stage.Write(&b)
}

// remaker makes epochs again as rows made them, and notes what it was asked for.
type remaker struct {
	mu    sync.Mutex
	asked []Remaking
	state []string // the newest object of each
	err   error
	other bool // makes other rows
}

func (r *remaker) remake(_ context.Context, again Remaking) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := ""
	for data, err := range again.State {
		if err != nil {
			return err
		}
		last = string(data)
	}
	r.asked, r.state = append(r.asked, again), append(r.state, last)
	if r.err != nil {
		return r.err
	}
	to := again.To.Offset
	if r.other {
		to++
	}
	return rows(again.Stage, to)
}

func contentConfig(store Store, s *contentSink, r *remaker) Config {
	cfg := config(store, &sink{})
	cfg.Sinks = []stream.Sink{s}
	if r != nil {
		cfg.Remake = r.remake
	}
	return cfg
}

// commitContent commits an epoch with its rows; state is the offset.
func commitContent(t *testing.T, c *Committer, offset int64) error {
	t.Helper()
	stages, err := c.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if err := rows(stages[0], offset); err != nil {
		t.Fatal(err)
	}
	return c.Commit(t.Context(), Cut{
		Position: stream.Position{Log: "x", Offset: offset}, Stages: stages,
		Snapshot: func() ([]byte, int) { return []byte(strconv.FormatInt(offset, 10)), 0 },
	})
}
