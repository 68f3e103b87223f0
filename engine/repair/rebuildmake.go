package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// unwhole is an epoch after that of an older checkpoint of which files of record or of
// typed tables are gone or damaged. No ledger says what they were called or held. What its
// records declare, and the table log, tell whether what is made again is what is lacking.
type unwhole struct {
	epoch  stream.Epoch
	bad    map[string]string // files that are there and damaged, and what is wrong with each
	record bool              // rows of record are not there
	typed  bool              // typed rows are not there
	before map[string]logEnd // where the epochs before have taken the logs
}

// whyNotMade says what is lacking where the records of a log are not to be had.
func (r *run) whyNotMade(u *unwhole, l *ledger.Log) string {
	what := "; a file of record of this epoch is gone"
	for _, name := range sortedKeys(u.bad) {
		if tableOf(name) == table.Record {
			what = "; " + u.bad[name]
		}
	}
	if l.Chain == "" {
		return what + ", and the table log names no hash that would prove its blocks, because a loss ends there: put the file back from a backup"
	}
	return what + fmt.Sprintf(", and no log that was named (--edge-log, --landing) holds the offsets %s to %s with the hashes that prove them: "+
		"name one that does, or put the file back from a backup", l.From, l.Next-1)
}

// isBad tells a file that is to be made again, and says what is wrong with it.
func (b *rebuilt) isBad(name string) (why string, bad bool) {
	for i := range b.again {
		if why, bad = b.again[i].bad[name]; bad {
			break
		}
	}
	return why, bad
}

// makeWhole makes again what epochs lack whose ledger is rebuilt, oldest epoch first. Where
// one cannot be made whole, the task stays as it is, and it is told.
func (r *run) makeWhole(ctx context.Context, t *taskState) error {
	if t.rebuilt == nil || t.rebuilt.why != "" {
		return nil
	}
	t.maker = nil // files of earlier epochs may have taken it further
	for i := range t.rebuilt.again {
		u := &t.rebuilt.again[i]
		why, err := r.makeEpochWhole(ctx, t, u)
		if err != nil {
			return err
		}
		if why != "" {
			t.unable = true
			r.left(t.id.String(), "", t.id.String()+"/HEAD", "%v; %s", t.lost, cannotTakeOn(u.epoch, why))
			return nil
		}
	}
	return nil
}

// makeEpochWhole makes the files that an epoch lacks; why says what stands against it.
// Those that are there stay. Both together have to prove each other like the files of an
// epoch that lacks none (rebuildEpoch).
func (r *run) makeEpochWhole(ctx context.Context, t *taskState, u *unwhole) (why string, err error) {
	rows, there := newEpochRows(), ""
	for _, name := range sortedKeys(t.files) {
		if epochOf(name) != u.epoch {
			continue
		}
		if _, why, err := r.rebuildFile(ctx, t.id, u.epoch, name, rows); err != nil || why != "" {
			return why, err
		}
		there = name
	}
	t.unwhole = map[stream.Epoch]bool{u.epoch: u.record}
	defer func() { t.unwhole = nil }()
	m, why, err := r.material(ctx, t, u.epoch, []*wrongFile{{File: ledger.File{Name: there}}})
	if err != nil || why != "" {
		return why, err
	}
	made, err := r.make(ctx, t, u.epoch, m)
	if err != nil {
		return "", fmt.Errorf("make epoch %s of %s again: %w", u.epoch, t.id, err)
	}
	made = slices.DeleteFunc(made, func(s stream.Staged) bool {
		_, there := t.files[s.Target]
		return there || s.Table != table.Record && !slices.Contains(table.TypedNames(), s.Table)
	})
	rows.schema = "" // they have that of now
	for _, s := range made {
		if err := r.readMade(ctx, t.id, u.epoch, &s, rows); err != nil {
			return "", err
		}
	}
	if why := r.isWhole(rows, maps.Clone(u.before)); why != "" {
		return fmt.Sprintf("%s, also with what comes out of %s (%s)", why, m.source, u.lacking()), nil
	}
	for _, s := range made {
		bad, damaged := u.bad[s.Target]
		w := wrongFile{
			File:  ledger.File{Sink: LakeSink, Table: string(s.Table), Name: s.Target, Rows: s.Rows, Bytes: s.Bytes, SHA256: s.SHA256},
			epoch: u.epoch, absent: !damaged, odd: r.odd[s.Target], unnamed: "no ledger names it, and it is not whole: " + bad,
		}
		note, why := replacement(&w, m, &s)
		if why != "" {
			return why, nil
		}
		w.fix = &fix{kind: Replaced, from: s.Name, staged: s, note: note, decoder: decoderVersion}
		t.wrong, t.files[w.Name] = append(t.wrong, w), w.File
		delete(u.bad, s.Target)
	}
	for _, name := range sortedKeys(u.bad) {
		return fmt.Sprintf("%s, and no such file comes out of %s: put it back from a backup, or move it away if it is none of the lake's", u.bad[name], m.source), nil
	}
	return "", nil
}

// lacking names what is gone or damaged.
func (u *unwhole) lacking() string {
	var all []string
	for _, name := range sortedKeys(u.bad) {
		all = append(all, u.bad[name])
	}
	if len(all) == 0 && u.record {
		all = append(all, "a file of record is gone")
	} else if len(all) == 0 {
		all = append(all, "a file of a typed table is gone")
	}
	return strings.Join(all, "; ")
}

// isWhole says what the rows of an epoch lack; empty: nothing.
func (r *run) isWhole(rows *epochRows, ends map[string]logEnd) (why string) {
	for i := range rows.logs {
		if _, why := r.rebuildLog(&rows.logs[i], rows, ends); why != "" {
			return why
		}
	}
	return rows.leftOver()
}

// readMade gathers the rows of a file in the scratch place.
func (r *run) readMade(ctx context.Context, id stream.TaskID, epoch stream.Epoch, s *stream.Staged, rows *epochRows) error {
	f, err := r.Scratch.Open(ctx, s.Name)
	if err != nil {
		return err
	}
	p, err := parquetfile.Open(f, f.Size())
	one := newEpochRows()
	if err == nil {
		err = one.read(p, s.Table, id, epoch)
	}
	if err == nil {
		err = rows.merge(one)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read what was made for %s: %w", s.Target, err)
	}
	return nil
}

// asideIn returns the blocks of an epoch that were set aside, by log: none of their
// records is in record.
func (r *run) asideIn(ctx context.Context, t *taskState, epoch stream.Epoch) (map[string][]lossSeen, error) {
	rows := newEpochRows()
	for _, name := range sortedKeys(t.files) {
		if t.files[name].Table != string(table.Conflict) || epochOf(name) != epoch {
			continue
		}
		f, err := r.openRight(ctx, t, name)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		p, err := parquetfile.Open(f, f.Size())
		for i := 0; err == nil && i < len(p.Groups()); i++ {
			err = rows.readAside(p.Groups()[i])
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return rows.losses, nil
}

// withoutAside leaves out the blocks that were set aside.
func withoutAside(groups []*group, aside map[string][]lossSeen) []*group {
	return slices.DeleteFunc(groups, func(g *group) bool {
		return slices.ContainsFunc(aside[g.log.String()], func(s lossSeen) bool { return len(g.records) > 0 && s.from <= g.first() && g.first() < s.end })
	})
}

// covered tells whether records hold all that an epoch took of a log, but for what was set
// aside.
func covered(l *ledger.Log, groups []*group, aside map[string][]lossSeen) bool {
	n := record.Offset(0)
	for _, g := range groups {
		if g.log.String() == l.Log {
			n += record.Offset(len(g.records))
		}
	}
	for _, s := range aside[l.Log] {
		n += s.end - s.from
	}
	return n == l.Next-l.From
}
