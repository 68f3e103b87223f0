package bench

import (
	"strings"
	"testing"
)

// TestFiguresOfTheLogAndState runs the parts that need no daemon, for a moment
// each: the benchmark must not rot unseen.
func TestFiguresOfTheLogAndState(t *testing.T) {
	rows, err := capturing(t.Context(), Config{Dir: t.TempDir(), Rounds: 1})
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
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

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median of three: %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four: %v", got)
	}
}
