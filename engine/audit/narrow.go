package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"landfall/edge/record"
	"landfall/engine/parquetfile"
	"landfall/engine/table"
)

// maxSuspects is how many stretches in which something is wrong are read once
// more, to name offsets and files.
const maxSuspects = 16

// suspect is one chunk of one log in which sums differ, offset by offset.
type suspect struct {
	log      *logState
	no       uint64
	expected [chunkSize]sum
	found    [chunkSize]sum
	rows     [chunkSize]uint16 // of record
	edge     map[uint64][2]uint64
	differs  map[uint64]bool            // offsets whose bytes differ from the edge's
	files    map[uint64]map[string]bool // by offset: those that hold rows of it
}

// narrow reads the files that may hold what is wrong once more.
func (a *audit) narrow(ctx context.Context, files []lakeFile) error {
	a.suspects = make(map[suspectKey]*suspect)
	raw := false
	for _, k := range slices.SortedFunc(maps.Keys(a.logs), compareKeys) {
		l := a.logs[k]
		for _, no := range l.numbers() {
			c := l.chunks[no]
			byEdge := l.differsFromEdge(no, c)
			if len(a.suspects) < maxSuspects && (c.dups > 0 || c.expected != c.found || byEdge) {
				s := &suspect{log: l, no: no, files: make(map[uint64]map[string]bool), differs: make(map[uint64]bool)}
				a.suspects[suspectKey{l, no}] = s
				if byEdge {
					raw = true
					if err := a.hashEdge(ctx, s); err != nil {
						return err
					}
				}
			}
		}
	}
	if len(a.suspects) == 0 {
		return nil
	}
	a.begin(&taskState{}, nil)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !a.concerns(f) {
			continue
		}
		a.file = f
		// What cannot be read is a finding already.
		_ = a.open(ctx, f, nil, func(p *parquetfile.File) error {
			for _, g := range p.Groups() {
				if err := a.narrowGroup(f, g, raw); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return ctx.Err()
}

// suspectKey names a suspect.
type suspectKey struct {
	log *logState
	no  uint64
}

func (a *audit) suspectOf(l *logState, offset uint64) *suspect {
	return a.suspects[suspectKey{l, offset >> chunkBits}]
}

// concerns tells whether a file may hold rows of a suspect.
func (a *audit) concerns(f lakeFile) bool {
	if f.table != table.Record && !slices.Contains(table.TypedNames(), f.table) {
		return false
	}
	t := a.tasks[f.task]
	if t == nil || f.expected == nil {
		return true
	}
	i, ok := t.entryOf(f.epoch)
	if !ok || t.entries[i].blank() {
		return true
	}
	for _, c := range t.entries[i].claims {
		for k := range a.suspects {
			if k.log == c.log && c.from < (k.no+1)<<chunkBits && c.next > k.no<<chunkBits {
				return true
			}
		}
	}
	return false
}

func (a *audit) narrowGroup(f lakeFile, g parquetfile.Group, raw bool) error {
	if f.table != table.Record {
		return a.readRows(g, typedColumns, func(l *logState, row []parquetfile.Value) {
			offset := row[2].Uint64()
			if s := a.suspectOf(l, offset); s != nil {
				s.found[offset%chunkSize].add(a.key.row(offset, row[4].Int32(), row[3].Int32()))
				s.in(offset, f.name)
			}
		})
	}
	columns := recordColumns
	if raw {
		columns = append(slices.Clone(columns), "raw")
	}
	return a.readRows(g, columns, func(l *logState, row []parquetfile.Value) {
		offset, rows := row[2].Uint64(), row[3].Int32()
		s := a.suspectOf(l, offset)
		if s == nil {
			return
		}
		s.rows[offset%chunkSize]++
		s.in(offset, f.name)
		for i := range min(max(rows, 0), maxRows) {
			s.expected[offset%chunkSize].add(a.key.row(offset, i, rows))
		}
		if want, ok := s.edge[offset]; ok && want != a.key.bytes(offset, row[6].ByteArray()) {
			s.differs[offset] = true
		}
	})
}

func (s *suspect) in(offset uint64, file string) {
	of := s.files[offset]
	if of == nil {
		of = make(map[string]bool)
		s.files[offset] = of
	}
	of[file] = true
}

// hashEdge hashes what the edge holds of a suspect, offset by offset.
func (a *audit) hashEdge(ctx context.Context, s *suspect) error {
	s.edge = make(map[uint64][2]uint64)
	from, to := s.no<<chunkBits, (s.no+1)<<chunkBits
	var r record.Record
	return s.log.edge.walk(record.Offset(max(from, s.log.edge.held[0].from)), func(b *record.Block) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if uint64(b.First) >= to {
			return errEnough
		}
		for off, payload := range b.Payloads {
			if offset := uint64(off); offset >= from && offset < to {
				if err := b.DecodeRecord(payload, &r); err != nil {
					return err
				}
				s.edge[offset] = a.key.bytes(offset, r.Raw)
			}
		}
		return nil
	})
}

// where names the offsets of a suspect of which wrong is true, and the files of
// record, or of typed rows, that hold rows of them; without any it names the whole
// stretch.
func (s *suspect) where(no uint64, typed bool, wrong func(i uint64) bool) (ranges, files string) {
	whole := offsets(no<<chunkBits, (no+1)<<chunkBits)
	if s == nil {
		return whole, ""
	}
	var spans []span
	named := make(map[string]bool)
	for i := range uint64(chunkSize) {
		if !wrong(i) {
			continue
		}
		offset := no<<chunkBits + i
		if n := len(spans); n > 0 && spans[n-1].to == offset {
			spans[n-1].to++
		} else {
			spans = append(spans, span{offset, offset + 1})
		}
		for name := range s.files[offset] {
			if isRecord := strings.HasPrefix(name, string(table.Record)+"/"); isRecord != typed {
				named[name] = true
			}
		}
	}
	if len(spans) == 0 {
		return whole, ""
	}
	return rangeList(spans), several(slices.Sorted(maps.Keys(named)))
}

// rangeList writes the first few spans.
func rangeList(spans []span) string {
	var all []string
	for _, s := range spans[:min(len(spans), maxWhere)] {
		all = append(all, offsets(s.from, s.to))
	}
	if n := len(spans) - maxWhere; n > 0 {
		all = append(all, fmt.Sprintf("and %d ranges more", n))
	}
	return strings.Join(all, ", ")
}

// chunkFindings makes findings of one chunk of a log.
func (a *audit) chunkFindings(l *logState, no uint64) {
	c, s, k := l.chunks[no], a.suspects[suspectKey{l, no}], l.key
	add := func(kind Kind, t table.Name, where, files, format string, args ...any) {
		f := k.of(kind, format, args...)
		f.Table, f.File, f.Offsets = t, files, where
		a.found.add(f)
	}
	if c.dups > 0 {
		where, files := s.where(no, false, func(i uint64) bool { return s.rows[i] > 1 })
		add(KindDuplicate, table.Record, where, files, "%d rows of record are beyond the first of their offset in log %s of %s, at offsets %s", c.dups, k.log, k.gateway, where)
	}
	if c.expected != c.found {
		where, files := s.where(no, true, func(i uint64) bool { return s.expected[i] != s.found[i] })
		add(KindTyped, tableOf(files), where, files, "the typed rows of log %s of %s at offsets %s are not those that its records declare: %d, and %d are declared in this stretch",
			k.log, k.gateway, where, c.found.n, c.expected.n)
	}
	if l.differsFromEdge(no, c) {
		where, files := s.where(no, false, func(i uint64) bool { return s.differs[no<<chunkBits+i] })
		add(KindEdge, table.Record, where, files, "the bytes of log %s of %s at offsets %s differ from the gateway's own log", k.log, k.gateway, where)
	}
}

// tableOf returns the table of files when they are of one.
func tableOf(files string) table.Name {
	name := ""
	for _, f := range strings.Split(files, ", ") {
		folder, _, _ := strings.Cut(f, "/")
		switch {
		case name == "" || name == folder:
			name = folder
		default:
			return ""
		}
	}
	return table.Name(name)
}
