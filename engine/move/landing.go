package move

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// The kinds of landing logs that feed a lake.
const (
	Embedded = "embedded" // a directory
	Kafka    = "kafka"    // a topic
)

// Landing names a landing log.
type Landing struct {
	Kind string `json:"kind"`
	// ID is the log's identity; empty: it is not there yet, and who opens it draws one.
	ID         landing.ID `json:"id"`
	Partitions int        `json:"partitions"` // 0: not known
	Place      string     `json:"place"`      // directory or topic, for people: the ID decides; empty: not known
}

// String names the log for people.
func (l Landing) String() string {
	place, id, size := "", "", ""
	if l.Place != "" {
		place = map[string]string{Embedded: "directory ", Kafka: "topic "}[l.Kind] + l.Place
	}
	if l.ID != "" {
		id = "landing log " + string(l.ID)
	} else {
		id = "a landing log that is not there yet"
	}
	if l.Partitions > 0 {
		size = fmt.Sprintf("%d partitions", l.Partitions)
	}
	about := slices.DeleteFunc([]string{place, size}, func(s string) bool { return s == "" })
	if len(about) == 0 {
		return id
	}
	return id + " (" + strings.Join(about, ", ") + ")"
}

// The names of this package's objects.
const (
	landingName = "_lake/landing"
	movingName  = "_lake/moving"
)

// The versions of both objects: format, and of _lake/landing formatGivenUp while a
// move is under way that has given up a landing log. A program that does not know the
// latter neither starts on the lake nor moves it.
const (
	format        = 1
	formatGivenUp = 2
)

// fed says which landing log feeds a lake.
type fed struct {
	Format int `json:"format"`
	// Generation counts the landing logs before this one.
	Generation int `json:"generation"`
	Landing
	// GivenUp counts the landing logs that the move under way was to lead to before,
	// so that no call which is to lead there can bind the lake any more.
	GivenUp int `json:"given_up,omitempty"`
}

// moving is a move that is under way, or was: one whose generation the lake has
// says nothing any more. It stays there until the next move takes its place, by
// compare-and-swap: a store removes without comparing, and might so remove the note of
// a move that has begun meanwhile.
type moving struct {
	Format     int     `json:"format"`
	Generation int     `json:"generation"` // of To
	From       Landing `json:"from"`
	To         Landing `json:"to"`
	// Abandoned are where earlier attempts of this move were to lead.
	Abandoned []Landing `json:"abandoned"`
}

// readObject reads one of the objects. False: it is not there. Errors:
// checkpoint.ErrCorrupt, checkpoint.ErrVersion, those of the store.
func readObject(ctx context.Context, store checkpoint.Store, name string, into any) (checkpoint.Version, bool, error) {
	data, version, err := store.Read(ctx, name)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read %s: %w", name, err)
	}
	var v struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &v); err != nil || v.Format < 1 {
		return "", false, fmt.Errorf("read %s, which says what feeds the lake: %w", name, checkpoint.ErrCorrupt)
	}
	if v.Format > formatGivenUp {
		return "", false, fmt.Errorf("read %s of format %d, known up to %d: %w", name, v.Format, formatGivenUp, checkpoint.ErrVersion)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return "", false, fmt.Errorf("read %s, which says what feeds the lake: %w: %w", name, checkpoint.ErrCorrupt, err)
	}
	return version, true, nil
}

func encode(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(data, '\n'), err
}

// lake is what the store says of a lake's landing log.
type lake struct {
	fed     fed
	known   bool               // fed is; else nothing feeds the lake yet
	version checkpoint.Version // of the object of fed; empty: it is not there, and fed is by the tasks
	others  []Landing          // that fed it too, before a landing log was refused that is not the lake's
	moving  *moving            // that is not done; nil: none
}

// look reads what the store says. have is the landing log that is asked about: of
// several that a lake has tasks of, because it was begun by a version that refused
// none, it is the one.
func look(ctx context.Context, store checkpoint.Store, have landing.ID) (lake, error) {
	var l lake
	var err error
	if l.version, l.known, err = readObject(ctx, store, landingName, &l.fed); err != nil {
		return lake{}, err
	}
	var m moving
	_, moved, err := readObject(ctx, store, movingName, &m)
	if err != nil {
		return lake{}, err
	}
	if !l.known {
		if err := l.derive(ctx, store, have, moved, &m); err != nil {
			return lake{}, err
		}
	}
	if moved && m.Generation > l.fed.Generation {
		l.moving = &m
	}
	return l, nil
}

// derive tells from a lake's tasks which landing log fed it, where no object says
// so: those of a bounded input have settings of their own, and feed nothing. Of a lake
// that moved, or was to, the intent says it, because the object was there when that
// was written, and is lost: where it led to, if a task there was ever claimed, for then
// the lake was bound to it; else the move is under way, or done again, which changes
// nothing.
func (l *lake) derive(ctx context.Context, store checkpoint.Store, have landing.ID, moved bool, m *moving) error {
	tasks, err := manifests(ctx, store)
	if err != nil {
		return err
	}
	if moved {
		bound := slices.ContainsFunc(tasks, func(t checkpoint.Manifest) bool {
			return t.Landing == string(m.To.ID) && t.Generation == m.Generation && !arrived(&t)
		})
		l.fed, l.known = fed{Format: format, Generation: m.Generation - 1, Landing: m.From}, true
		switch {
		case bound:
			l.fed.Generation, l.fed.Landing = m.Generation, m.To
		case len(m.Abandoned) > 0: // as intend left it, so that no call binds what was given up
			l.fed.Format, l.fed.GivenUp = formatGivenUp, len(m.Abandoned)
		}
		return nil
	}
	found, err := feeding(ctx, store, tasks)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return nil
	}
	i := max(0, slices.IndexFunc(found, func(f fed) bool { return f.ID == have }))
	l.fed, l.known = found[i], true
	for j, f := range found {
		if j != i {
			l.others = append(l.others, f.Landing)
		}
	}
	return nil
}

// manifests reads the current manifests of a lake's tasks.
func manifests(ctx context.Context, store checkpoint.Store) ([]checkpoint.Manifest, error) {
	ids, err := checkpoint.Tasks(ctx, store)
	if err != nil {
		return nil, err
	}
	var all []checkpoint.Manifest
	for _, id := range ids {
		m, err := checkpoint.Load(ctx, store, id)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// feeding lists the landing logs that a lake's tasks say feed it, the newest
// generation first, then by name; and topics that an earlier version noted.
func feeding(ctx context.Context, store checkpoint.Store, tasks []checkpoint.Manifest) ([]fed, error) {
	var found []fed
	for i := range tasks {
		m := &tasks[i]
		if len(m.Params) > 0 || m.Moved != nil || slices.ContainsFunc(found, func(f fed) bool { return f.ID == landing.ID(m.Landing) }) {
			continue
		}
		found = append(found, fed{Format: format, Generation: m.Generation, Landing: Landing{Kind: Embedded, ID: landing.ID(m.Landing), Partitions: m.Partitions}})
	}
	slices.SortStableFunc(found, func(a, b fed) int { return b.Generation - a.Generation })
	names, err := store.List(ctx, topicFolder)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		topic, err := readTopic(ctx, store, name)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(found, func(f fed) bool { return f.ID == topic.ID })
		if i < 0 && len(tasks) > 0 {
			continue // no task of it: nothing was published from it
		}
		if i < 0 {
			found = append(found, fed{Format: format, Landing: Landing{ID: topic.ID}})
			i = len(found) - 1
		}
		found[i].Kind, found[i].Place = Kafka, topic.Topic
	}
	return found, nil
}

// topicFolder is where an earlier version noted which topics of which name fed a
// lake: one object a topic.
const topicFolder = "_landing/"

// topic is one of those notes.
type topic struct {
	Topic string     `json:"topic"`
	ID    landing.ID `json:"id"`
}

func readTopic(ctx context.Context, store checkpoint.Store, name string) (topic, error) {
	data, _, err := store.Read(ctx, name)
	if err != nil {
		return topic{}, fmt.Errorf("read which topic the lake is fed from: %w", err)
	}
	var t topic
	if err := json.Unmarshal(data, &t); err != nil || topicFolder+t.Topic != name {
		return topic{}, fmt.Errorf("read which topic the lake is fed from, %s: %w", name, checkpoint.ErrCorrupt)
	}
	return t, nil
}

// taskOf names a partition's task.
func (l Landing) taskOf(partition int) stream.TaskID {
	return stream.TaskID{Landing: string(l.ID), Partition: partition}
}
