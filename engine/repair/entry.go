package repair

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// positionsTried bounds how many landing positions are tried for an entry of which
// only the entries beside it say where it ended.
const positionsTried = 1 << 20

// fromLake makes the bytes of an epoch's entry of what lies in the lake: its files,
// its rows of the table log, and what the entries beside it say. What none of them
// says is tried: the claim, and where in the landing log the epoch ended. The hash
// decides.
func (m *mending) fromLake(ctx context.Context, tip ledger.Tip) (data []byte, from string, err error) {
	if next := m.next(); next != nil && next.Kind == ledger.KindAdopted {
		return nil, "it is of a take-over, and says what was there then", nil
	}
	before, previous, known := m.before(tip.Number)
	if !known {
		return nil, "the entry before it is not there either, whose hash it holds", nil
	}
	e, why, err := m.draft(ctx, tip.Number, before)
	if err != nil || why != "" {
		return nil, why, err
	}
	e.Previous = previous
	for _, claim := range m.claims() {
		for position := range m.positions(&e, before) {
			if err := ctx.Err(); err != nil {
				return nil, "", err
			}
			e.Claim, e.Position = claim, position
			line, err := e.Encode()
			if err != nil {
				return nil, err.Error(), nil
			}
			if ledger.Hash(line) == tip.SHA256 {
				return line, "made again from the files of its epoch and the table log, with the hash that it had", nil
			}
		}
	}
	return nil, "what its epoch left in the lake does not have the hash; where no landing log is named (--landing) that still holds it, nothing says on which block its position stands", nil
}

// positions are where in the landing log the epoch of an entry may have ended: as
// the manifest or the next entry says it of the same epoch, or what is left of the
// entry itself; behind each block that a landing log holds; in a format in which a
// position is a number alone, each one from where the epoch before ended.
func (m *mending) positions(e, before *ledger.Entry) iter.Seq[stream.Position] {
	return func(yield func(stream.Position) bool) {
		last := m.task.manifest.Position
		if next := m.next(); next != nil {
			last = next.Position
		}
		if !yield(last) {
			return
		}
		for _, damaged := range m.at[e.Number] {
			var p stream.Position
			if found := positionIn.FindSubmatch(damaged); found != nil && json.Unmarshal(found[1], &p) == nil && p.Check() == nil && !yield(p) {
				return
			}
		}
		for _, p := range m.blocks.positions {
			p.Log = last.Log // also in a copy with an identity of its own a block is the same
			if p.Offset <= last.Offset && (before.Position.Log != p.Log || p.Offset >= before.Position.Offset) && !yield(p) {
				return
			}
		}
		if e.Format > 1 {
			return
		}
		first := before.Position
		if first.Log == "" {
			first.Log = last.Log
		}
		for offset := last.Offset; first.Log == last.Log && offset >= max(first.Offset, last.Offset-positionsTried); offset-- {
			if !yield(stream.Position{Log: last.Log, Offset: offset}) {
				return
			}
		}
	}
}

// positionIn finds the position in what is left of an entry.
var positionIn = regexp.MustCompile(`"position":(\{[^{}]*\})`)

// next returns the entry after the one that is lost; nil: that is the newest.
func (m *mending) next() *ledger.Entry {
	if len(m.above) == 0 {
		return nil
	}
	return m.above[len(m.above)-1]
}

// before returns the entry before a number and its hash; false: there is none
// that is whole, or more than one. That of number 1 is empty.
func (m *mending) before(number uint64) (*ledger.Entry, string, bool) {
	if number == 1 {
		return &ledger.Entry{}, "", true
	}
	var found *ledger.Entry
	hash := ""
	for _, data := range m.at[number-1] {
		e, err := ledger.Decode(data)
		if err != nil || e.Number != number-1 || hash == ledger.Hash(data) {
			continue
		}
		if found != nil {
			return nil, "", false
		}
		found, hash = &e, ledger.Hash(data)
	}
	return found, hash, found != nil
}

// draft makes an entry but for its claim, its position and what it follows.
func (m *mending) draft(ctx context.Context, number uint64, before *ledger.Entry) (e ledger.Entry, why string, err error) {
	t, epoch := m.task, before.Epoch+1
	beside := before // the entry that is most like it
	end := t.manifest.Epoch
	if next := m.next(); next != nil {
		if end = next.Epoch; next.Kind == ledger.KindEpoch {
			beside = next
			end--
		}
	}
	if end != epoch {
		return e, fmt.Sprintf("it is of a repair, or more than one entry is missing: the one before it is of epoch %s, and what follows of epoch %s", before.Epoch, end), nil
	}
	e = ledger.Entry{Format: beside.Format, Kind: ledger.KindEpoch, Number: number, Task: t.id.String(), Epoch: epoch, Schema: beside.Schema, Decoder: beside.Decoder}
	if e.Format == 0 {
		e.Format = ledger.Format // the only one
	}
	if len(m.above) == 0 {
		e.Final, e.Schema, e.Decoder = t.manifest.Final, t.manifest.Schema, t.manifest.Decoder
	}
	if e.Files, err = m.filesOf(ctx, epoch); err != nil {
		return e, "", err
	}
	e.Logs, why, err = m.logsOf(ctx, epoch, e.Files, before)
	return e, why, err
}

// claims lists whose entry it may be.
func (m *mending) claims() []stream.ClaimID {
	all := map[stream.ClaimID]bool{m.task.manifest.Claim: true}
	for _, e := range m.above {
		all[e.Claim] = true
	}
	for _, l := range m.lines {
		if e, err := ledger.Decode(l.data); err == nil {
			all[e.Claim] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// filesOf returns the files of an epoch as its entry named them: as they are in the
// lake or staged, or as a repair says that they were before it.
func (m *mending) filesOf(ctx context.Context, epoch stream.Epoch) ([]ledger.File, error) {
	files := map[string]ledger.File{}
	for _, name := range m.listedNames {
		if taskName(name) != m.task.id.String() || epochOf(name) != epoch || inHiddenFolder(name) {
			continue
		}
		f, err := m.fileNow(ctx, name)
		if err != nil {
			return nil, err
		}
		if f != nil {
			files[name] = *f
		}
	}
	for _, p := range m.task.manifest.Pending() {
		for _, s := range p.Staged {
			if p.Epoch == epoch && s.Sink == LakeSink {
				files[s.Target] = ledger.File{Sink: s.Sink, Table: string(s.Table), Name: s.Target, Rows: s.Rows, Bytes: s.Bytes, SHA256: s.SHA256}
			}
		}
	}
	for _, e := range m.above { // newest first: what stays is what the oldest repair replaced
		for _, f := range e.Removed {
			if f.Sink == LakeSink && epochOf(f.Name) == epoch {
				files[f.Name] = f
			}
		}
	}
	order := table.Names()
	return slices.SortedFunc(maps.Values(files), func(a, b ledger.File) int {
		return cmp.Or(slices.Index(order, table.Name(a.Table))-slices.Index(order, table.Name(b.Table)), cmp.Compare(a.Name, b.Name))
	}), nil
}

// fileNow describes a file of the lake as it is; nil: it is none that can be read.
func (m *mending) fileNow(ctx context.Context, name string) (*ledger.File, error) {
	sum, err := m.hash(ctx, name)
	if err != nil || sum == "" {
		return nil, err
	}
	f, err := m.Lake.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	size := f.Size()
	p, openErr := pq.OpenFile(f, size, pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	if err := f.Close(); err != nil || openErr != nil {
		return nil, err
	}
	return &ledger.File{Sink: LakeSink, Table: string(tableOf(name)), Name: name, Rows: p.NumRows(), Bytes: size, SHA256: sum}, nil
}

// wholeLogRow is a row of log in a file.
type wholeLogRow struct {
	Gateway     string  `parquet:"_gateway"`
	Log         string  `parquet:"_log"`
	Next        int64   `parquet:"next_offset"`
	Previous    *string `parquet:"previous_log,optional"`
	PreviousEnd *int64  `parquet:"previous_end,optional"`
	OpenedAt    *int64  `parquet:"opened_at,optional"`
	Digest      *uint64 `parquet:"digest,optional"`
	Chain       *string `parquet:"chain,optional"`
	Closed      bool    `parquet:"closed"`
}

// logsOf returns what an epoch's rows of the table log say, as its entry did.
func (m *mending) logsOf(ctx context.Context, epoch stream.Epoch, files []ledger.File, before *ledger.Entry) (logs []ledger.Log, why string, err error) {
	for _, f := range files {
		if f.Table != string(table.Log) {
			continue
		}
		name := f.Name
		if m.hashes[name] != f.SHA256 {
			return nil, "the rows of the table log of its epoch are not as they were", nil
		}
		file, err := m.Lake.Open(ctx, name)
		if err != nil {
			return nil, "", err
		}
		err = readRows(file, func(row *wholeLogRow) error {
			logs = append(logs, row.entry())
			return nil
		})
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Sprintf("read %s: %v", name, err), nil
		}
	}
	slices.SortFunc(logs, func(a, b ledger.Log) int { return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.Log, b.Log)) })
	why, err = m.from(ctx, logs, before)
	return logs, why, err
}

// from fills in where the entries before had taken each log.
func (m *mending) from(ctx context.Context, logs []ledger.Log, before *ledger.Entry) (why string, err error) {
	ends := map[string]record.Offset{}
	if before.Number > 0 {
		line, err := before.Encode()
		if err != nil {
			return err.Error(), nil
		}
		tip := ledger.Tip{Number: before.Number, SHA256: ledger.Hash(line)}
		for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(m.Store), m.task.id.String(), tip) {
			if errors.Is(err, ledger.ErrMissing) || errors.Is(err, ledger.ErrCorrupt) {
				return "an entry before it is missing too: " + err.Error(), nil
			}
			if err != nil {
				return "", err
			}
			for _, l := range one.Logs {
				if _, known := ends[l.Log]; !known {
					ends[l.Log] = l.Next
				}
			}
		}
	}
	for i := range logs {
		l := &logs[i]
		if l.From = ends[l.Log]; l.From > 0 {
			l.Previous, l.PreviousEnd, l.OpenedAt = "", 0, 0
		}
	}
	return "", nil
}

// entry returns what a row says in the form of the ledger.
func (row *wholeLogRow) entry() ledger.Log {
	l := ledger.Log{Gateway: text(&row.Gateway), Log: text(&row.Log), Next: record.Offset(row.Next), Chain: text(row.Chain), Closed: row.Closed, Previous: text(row.Previous)}
	if row.PreviousEnd != nil {
		l.PreviousEnd = record.Offset(*row.PreviousEnd)
	}
	if row.OpenedAt != nil {
		l.OpenedAt = record.Micros(*row.OpenedAt)
	}
	if row.Digest != nil {
		l.Digest = strconv.FormatUint(*row.Digest, 10)
	}
	return l
}
