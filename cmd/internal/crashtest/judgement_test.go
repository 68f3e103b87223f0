//go:build failpoint && linux

package crashtest

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/sinks/sinktest"
)

// lakeScript makes lakes whose record table holds the lines that were sent,
// argv[1], and whose table log sums them up; argv[2] is the opening's bytes in hexadecimal, and then come pairs of
// a lake and of SQL that spoils its table r.
const lakeScript = `
import duckdb, os, sys
sent, opening, pairs = sys.argv[1], sys.argv[2], sys.argv[3:]
for lake, spoil in zip(pairs[::2], pairs[1::2]):
    os.makedirs(lake + "/record/dt=2026-01-01")
    con = duckdb.connect()
    con.execute("CREATE TABLE r AS SELECT gateway AS _gateway, repeat('a', 32) AS _log, row_number() OVER () AS _offset, 0 AS _row, 0 AS _rows, "
      "'text' AS kind, source, from_hex(line) AS raw, 0 AS rows, NULL::VARCHAR AS reject_reason FROM read_csv('" + sent + "', header = true, all_varchar = true)")
    con.execute("INSERT INTO r VALUES ('alpha', repeat('a', 32), 0, 0, 0, 'log_open', NULL, from_hex('" + opening + "'), 0, NULL)")
    os.makedirs(lake + "/log/dt=2026-01-01")
    con.execute("COPY (SELECT _gateway, _log, max(_offset) + 1 AS next_offset, 1::BIGINT AS epoch, (sum(('0x' || left(sha256(encode(_log || ':' || _offset || ':') || raw), 16))::UBIGINT) % 18446744073709551616)::UBIGINT "
      "AS digest FROM r GROUP BY ALL) TO '" + lake + "/log/dt=2026-01-01/1.parquet' (FORMAT parquet)")
    con.execute(spoil or "SELECT 1")
    con.execute("COPY r TO '" + lake + "/record/dt=2026-01-01/1.parquet' (FORMAT parquet)")
`

// TestJudgeSeesWhatIsWrong spoils a good table in every way and wants the judge
// to say so, and nothing else.
func TestJudgeSeesWhatIsWrong(t *testing.T) {
	const last, sums = "(SELECT max(_offset) FROM r)", "log that record and loss do not add up to"
	cases := map[string]spoiled{
		"nothing": {"", nil},
		"a line of a file is missing": {"DELETE FROM r WHERE _offset = (SELECT max(_offset) FROM r WHERE source = 'file')",
			map[string]int64{sums: 1, "missing although its sender resends": 1, "offsets not 0 to n-1": 1}},
		"a line is there twice": {"INSERT INTO r SELECT * REPLACE (" + last + " + 1 AS _offset) FROM r WHERE _offset = 5",
			map[string]int64{sums: 1, "captured twice": 1}},
		"an offset is there twice": {"INSERT INTO r SELECT * FROM r WHERE _offset = 5",
			map[string]int64{sums: 1, "captured twice": 1, "offset twice in record": 1, "offsets not 0 to n-1": 1}},
		"a line was never sent": {"INSERT INTO r SELECT * REPLACE (" + last + " + 1 AS _offset, 'x'::BLOB AS raw) FROM r WHERE _offset = 5",
			map[string]int64{sums: 1, "captured but never sent": 1}},
		"a byte is wrong": {"UPDATE r SET raw = 'x'::BLOB WHERE _offset = (SELECT max(_offset) FROM r WHERE source = 'file')",
			map[string]int64{sums: 1, "captured but never sent": 1, "missing although its sender resends": 1}},
		"a datagram is missing in calm": {"DELETE FROM r WHERE source = 'udp' AND _offset > " + last + " - 3",
			map[string]int64{sums: 1, "missing outside the declared intervals": 3}},
		"a record claims rows": {"UPDATE r SET rows = 1, _rows = 1 WHERE _offset = 5",
			map[string]int64{"record whose typed rows are not complete": 1}},
		"an opening is missing": {"DELETE FROM r WHERE kind = 'log_open'",
			map[string]int64{sums: 1, "log without an opening": 1, "offsets not 0 to n-1": 1}},
	}
	dir := spoiledLakes(t, cases)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e := evidence{t: t, dir: dir, lake: filepath.Join(dir, name)}
			got := map[string]int64{}
			for _, row := range e.ask() {
				if !strings.HasPrefix(row[0], "#") && row[0] != "good sentence without a typed row" && row[0] != "message not joined although all of it was sent" && row[1] != "0" {
					var n int64
					_, _ = fmt.Sscan(row[1], &n)
					got[row[0]] = n
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// spoiled is one way to spoil a table, and what the judge says of it.
type spoiled struct {
	spoil string
	want  map[string]int64
}

// spoiledLakes makes a journal of a file's and of a socket's lines, and lakes
// that hold them but for what is spoiled.
func spoiledLakes(t *testing.T, cases map[string]spoiled) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i, source := range []string{"file", "udp"} {
		s, err := newSender(dir, "alpha", source, source == "file", 1, uint64(i), nowhere{})
		if err != nil {
			t.Fatal(err)
		}
		for s.lines.Load() < 50 {
			if err := s.message(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.finish(); err != nil {
			t.Fatal(err)
		}
	}
	opening := record.Opening{PrevLastAt: record.NoTime, OpenedAt: 1_000_000}
	args := []string{filepath.Join(dir, "sent-*.csv"), hex.EncodeToString(opening.Encode())}
	for name, c := range cases {
		args = append(args, filepath.Join(dir, name), c.spoil)
	}
	sinktest.Python(t, lakeScript, args...)
	return dir
}

// nowhere is an outlet that says sent.
type nowhere struct{}

func (nowhere) send([][]byte) fate { return sent }
func (nowhere) close()             {}
