package audit

import (
	"runtime"
	"testing"
)

// TestMemoryDoesNotGrowWithRows feeds millions of offsets into one log, in
// order and out of it, and weighs what is left.
func TestMemoryDoesNotGrowWithRows(t *testing.T) {
	const n = 4 << 20
	orders := map[string]func(i uint64) uint64{
		"in order":         func(i uint64) uint64 { return i },
		"two dates":        func(i uint64) uint64 { return i%(n/2)*2 + i/(n/2) }, // even offsets in one file, odd ones in another
		"last epoch first": func(i uint64) uint64 { return n - 1 - i },
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			key := newHashKey()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			l := new(logState)
			for i := range uint64(n) {
				o := order(i)
				c := l.chunk(o)
				c.record(o % chunkSize)
				c.expected.add(key.row(o, 0, 1))
				c.found.add(key.row(o, 0, 1))
				l.end = max(l.end, o+1)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if _, missing := l.missing(l.end, nil, 1); missing != 0 || l.end != n {
				t.Fatalf("%d missing of %d", missing, l.end)
			}
			for _, c := range l.chunks { // a full chunk has forgotten its bitmap, not its rows
				if c.record(7); c.dups != 1 || c.seen != chunkSize {
					t.Fatalf("a row doubled in a full chunk: %d seen, %d doubled", c.seen, c.dups)
				}
			}
			if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 1<<20 {
				t.Errorf("%d bytes held for %d offsets", held, n)
			}
			runtime.KeepAlive(l)
		})
	}
}

// TestHolesInHugeLogs looks for holes in logs that are mostly one.
func TestHolesInHugeLogs(t *testing.T) {
	l := new(logState)
	for _, o := range []uint64{0, 1 << 40, 1<<40 + 2} {
		l.chunk(o).record(o % chunkSize)
		l.end = o + 1
	}
	first, total := l.missing(l.end, []span{{5, 10}}, 10)
	want := []span{{1, 5}, {10, 1 << 40}, {1<<40 + 1, 1<<40 + 2}}
	if total != l.end-3-5 {
		t.Errorf("%d missing", total)
	}
	for i, s := range want {
		if i >= len(first) || first[i] != s {
			t.Fatalf("holes %v, want %v", first, want)
		}
	}
}
