package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFiguresOfTheLogAndState runs the parts that need no daemon, for a moment
// each: the benchmark must not rot unseen.
func TestFiguresOfTheLogAndState(t *testing.T) {
	rows, err := capturing(t.Context(), Config{Dir: t.TempDir(), Rounds: 1})
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if !strings.HasSuffix(rows[5].ours, " µs") {
		t.Errorf("the digest's cost: %+v", rows[5])
	}
	for _, r := range rows[:5] {
		if !strings.HasSuffix(r.ratio, "%") || strings.HasPrefix(r.ours, "0") {
			t.Errorf("row %+v", r)
		}
		t.Logf("%+v", r)
	}
	if elapsed, bytes, err := restoreState(10_000); err != nil || elapsed <= 0 || bytes < 10_000*56 {
		t.Errorf("restored %d bytes in %v: %v", bytes, elapsed, err)
	}
	if n, err := simulate(t.TempDir()+"/f", 1000); err != nil || n != 1000 {
		t.Errorf("simulated %d, %v", n, err)
	}
}

// TestFiguresOfTheAudit: a small lake at each level, and what hashing costs.
func TestFiguresOfTheAudit(t *testing.T) {
	rows, err := auditing(t.Context(), Config{Dir: t.TempDir(), Engine: []string{program(t, "landfall-engine")}, Rounds: 1, Sentences: 5000})
	if err != nil || len(rows) != 5 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for _, r := range rows[1:] {
		if !strings.Contains(r.ours, "rows/s") {
			t.Errorf("row %+v", r)
		}
	}
	t.Logf("%+v", rows)
}

// TestFiguresOfDecoding measures a moment's traffic; a recording without any is
// refused.
// TestFiguresOfTheTailMarker: while no line comes nothing is written.
func TestFiguresOfTheTailMarker(t *testing.T) {
	rows, err := marking(t.Context(), Config{Dir: t.TempDir(), IdleSeconds: 2})
	if err != nil || len(rows) != 3 || rows[0].ours != "0 MiB, 0.00 writes/s" || rows[2].ratio == "" {
		t.Errorf("%+v, %v", rows, err)
	}
}

func TestFiguresOfDecoding(t *testing.T) {
	rows, err := decoding(t.Context(), Config{Dir: t.TempDir(), Rounds: 1, Sentences: 1000})
	if err != nil || len(rows) != 2 || !strings.HasSuffix(rows[0].ours, "sentences/s") {
		t.Fatalf("%+v, %v", rows, err)
	}
	t.Logf("%+v", rows)
	empty := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := decoding(t.Context(), Config{Dir: t.TempDir(), Recording: empty}); err == nil {
		t.Error("a figure for nothing")
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median of three: %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four: %v", got)
	}
}

// program builds a daemon as the tests beside this one do, so that its packages
// are compiled once.
func program(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-trimpath", "-tags", "failpoint", "-o", bin, "../../"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// TestFiguresOfTheEdge: a second at two rates, with the real programs.
func TestFiguresOfTheEdge(t *testing.T) {
	edge := program(t, "landfall-edge")
	for _, rate := range []int{10, 1000} {
		w, err := idleAt(t.Context(), Config{Dir: t.TempDir(), Edge: []string{edge}}, rate, 1)
		if err != nil || w.memory < 1 || w.handed < 0.5 {
			t.Errorf("at %d/s: %+v, %v", rate, w, err)
		}
	}
}

// TestFiguresOfAFlood: each flood lasts as long as what is measured beside it.
func TestFiguresOfAFlood(t *testing.T) {
	engine := program(t, "landfall-engine")
	for _, f := range floods() {
		c, err := besideFlood(t.Context(), Config{Dir: t.TempDir(), Engine: []string{engine}, Rounds: 1, Brief: true}, filepath.Join(t.TempDir(), "d"), f,
			func(q *talker, ctx context.Context) (float64, error) { return q.send(ctx, 1, steadyBytes) })
		if err != nil || len(c.ratio) != 1 || c.alone[0] <= 0 {
			t.Errorf("%s: %+v, %v", f.name, c, err)
		}
	}
}

// TestFiguresOfThePublishedOffset: what it costs, and what a gateway keeps for it.
func TestFiguresOfThePublishedOffset(t *testing.T) {
	edge, engine := []string{program(t, "landfall-edge")}, []string{program(t, "landfall-engine")}
	cfg := Config{Dir: t.TempDir(), Edge: edge, Engine: engine, Rounds: 1, Brief: true}
	rows, err := answering(t.Context(), cfg)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if n, ok := strings.CutSuffix(rows[0].ours, " bytes more"); !ok || n < "1" {
		t.Errorf("%+v", rows[0])
	}
	t.Logf("%+v", rows)
	rows, err = keeping(t.Context(), cfg)
	if err != nil || len(rows) != 2 || !strings.HasSuffix(rows[1].ours, " s of traffic") {
		t.Errorf("%+v, %v", rows, err)
	}
	t.Logf("%+v", rows)
}

// TestFiguresOfATakeover: one round, beside an empty lake and beside another
// engine.
func TestFiguresOfATakeover(t *testing.T) {
	engine := []string{program(t, "landfall-engine")}
	for _, before := range [][]string{nil, engine} {
		cfg := Config{Dir: t.TempDir(), Engine: engine, EngineBefore: before, Brief: true}
		rows, err := takingOver(t.Context(), cfg)
		if err != nil || len(rows) != 1 || !strings.HasSuffix(rows[0].ratio, " x") {
			t.Errorf("%+v, %v", rows, err)
		}
		t.Logf("%+v", rows)
	}
}

// TestFiguresOfAFollowedFile: one round, alone and beside an older gateway.
func TestFiguresOfAFollowedFile(t *testing.T) {
	edge := []string{program(t, "landfall-edge")}
	for _, before := range [][]string{nil, edge} {
		rows, err := following(t.Context(), Config{Dir: t.TempDir(), Edge: edge, EdgeBefore: before, Sentences: 20_000, Rounds: 1})
		if err != nil || len(rows) != 2+len(before) || !strings.HasSuffix(rows[0].ratio, "%") || !strings.Contains(rows[0].ours, "sentences/s") {
			t.Errorf("%+v, %v", rows, err)
		}
		t.Logf("%+v", rows)
	}
}
