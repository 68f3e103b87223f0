//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"os"
	"path/filepath"

	"landfall/edge/tips"
	"landfall/sinks/sinktest"
)

// digestSQL counts the records of each log of a gateway, and sums their bytes up as
// record.Digest does.
const digestSQL = `SELECT _log, count(*),
	(sum(('0x' || left(sha256(encode(_log || ':' || _offset || ':') || raw), 16))::UBIGINT) %% 18446744073709551616)::UBIGINT
	FROM %s WHERE _gateway = '%s' GROUP BY _log`

// requireTips wants a gateway that was killed again and again to say of each of
// its logs the end and the digest that the lake holds, and to know of every one.
func (e evidence) requireTips(g *gateway) {
	e.t.Helper()
	file := filepath.Join(e.dir, g.name+".tips")
	if code, stdout, stderr := command(e.t, binaries(e.t).edge, "tips", "-c", g.config, "--to", file); code != 0 {
		e.t.Fatalf("tips of %s: exit code %d\n%s%s", g.name, code, stdout, stderr)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		e.t.Fatal(err)
	}
	body, _, err := tips.Decode(doc)
	if err != nil {
		e.t.Fatal(err)
	}
	said := map[string]string{}
	for i, tip := range body.Logs {
		said[tip.Log] = fmt.Sprint(tip.End, " ", tip.Digest)
		if !tip.Closed && i < len(body.Logs)-1 || tip.Acked != tip.End || tip.Chain == "" || i > 0 && tip.Previous != body.Logs[i-1].Log {
			e.t.Errorf("tip of %s: %+v", g.name, tip)
		}
	}
	rows := sinktest.DuckDB(e.t, fmt.Sprintf(digestSQL, e.record(), g.name))
	for _, row := range rows {
		if held := row[1] + " " + row[2]; said[row[0]] != held {
			e.t.Errorf("log %s of %s: the lake holds %s, the gateway says %q", row[0], g.name, held, said[row[0]])
		}
	}
	if len(rows) != len(said) || len(rows) == 0 {
		e.t.Errorf("%s: %d logs in the lake, %d tips", g.name, len(rows), len(said))
	}
	if code, stdout, stderr := command(e.t, binaries(e.t).engine, "audit", "--lake", e.lake, "--tips", file); code != 0 {
		e.t.Errorf("audit against the tips of %s: exit code %d\n%s%s", g.name, code, stdout, stderr)
	}
	fmt.Printf("  %-8s %d tips agree with SQL over the lake\n", g.name, len(said))
}
