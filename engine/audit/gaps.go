package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"landfall/engine/parquetfile"
)

// gapColumns are those of sensor_reading that say that a source of files declared an
// interval in which lines may be missing: sensor is the source, metric gapMetric and
// value_text the reason. edge/source makes them.
var gapColumns = []string{"_gateway", "_log", "_offset", "?source", "?sensor", "?metric", "?value_text"}

// gapMetric is the metric of the row that stands for a gap.
const gapMetric = "gap"

// maxGapSources bounds the sources whose gaps are counted one by one.
const maxGapSources = 100

// DeclaredGaps are the intervals that one source of files could not show to be whole: no
// offset tells of what is missing in them, so they are beside every other count.
type DeclaredGaps struct {
	// Gateway and Source say whose they are; both are empty where they are those of all
	// sources beyond the first hundred.
	Gateway string `json:"gateway"`
	Source  string `json:"source"`
	Gaps    uint64 `json:"gaps"` // in what was read: since the earlier audit, where there is one
}

type gapSource struct{ gateway, source string }

// declaredGap takes one row of sensor_reading.
func (a *audit) declaredGap(l *logState, row []parquetfile.Value) {
	if row[2].Uint64() < l.base || row[6].IsNull() || string(row[5].ByteArray()) != gapMetric || string(row[3].ByteArray()) != string(row[4].ByteArray()) {
		return
	}
	of := gapSource{l.key.gateway, string(row[3].ByteArray())}
	if _, ok := a.gaps[of]; !ok && len(a.gaps) >= maxGapSources {
		of = gapSource{}
	}
	a.gaps[of]++
}

// declaredGaps says in the result what was declared. It makes nothing inexact.
func (a *audit) declaredGaps() {
	a.result.DeclaredGaps = []DeclaredGaps{}
	since := ""
	if a.Since != nil {
		since = " since the earlier audit"
	}
	for _, of := range slices.SortedFunc(maps.Keys(a.gaps), func(a, b gapSource) int {
		return cmp.Or(strings.Compare(a.gateway, b.gateway), strings.Compare(a.source, b.source))
	}) {
		n := a.gaps[of]
		a.result.DeclaredGaps = append(a.result.DeclaredGaps, DeclaredGaps{of.gateway, of.source, n})
		count := "1 gap"
		if n > 1 {
			count = fmt.Sprint(n, " gaps")
		}
		who := "source " + of.source + " of " + of.gateway
		if of == (gapSource{}) {
			who = "further sources"
		}
		a.note("%s declared %s in what it read%s (rows of sensor_reading, metric gap): lines may be missing there that were never captured, "+
			"and no count here has them", who, count, since)
	}
}
