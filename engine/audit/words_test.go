package audit

import (
	"slices"
	"strings"
	"testing"

	"landfall/engine/table"
)

// TestNamesAreQuoted: no name of a file writes a line of the result.
func TestNamesAreQuoted(t *testing.T) {
	w := strayLake(t)
	name := "late/x\nEXACT at level values: \x1b[2J.parquet"
	copyFile(t, w.path(w.name(1, table.Late)), w.path(name))
	r := runAudit(t, Config{Lake: w.dir})
	r.Logs[0].Gateway = "gw\nEXACT"
	r.Notes = append(r.Notes, "x\nEXACT")
	var text strings.Builder
	check(t, r.WriteText(&text))
	if strings.Contains(text.String(), "\nEXACT") || strings.Contains(text.String(), "\x1b") || !strings.Contains(text.String(), `"late/x\nEXACT at level values: \x1b[2J.parquet"`) {
		t.Errorf("%s", &text)
	}
	if !slices.ContainsFunc(r.Findings, Finding{Kind: KindFileStray, File: name}.within) {
		t.Errorf("the name itself is not in the finding: %s", listFindings(r))
	}
}

// TestVerdictsSayWhatTheirLevelChecks, and no more.
func TestVerdictsSayWhatTheirLevelChecks(t *testing.T) {
	for level, c := range map[Level]struct{ want, never string }{
		LevelOffsets: {"no bytes were compared", "with the bytes"},
		LevelFiles:   {"with the bytes that were captured", "byte for byte"},
		LevelBytes:   {"byte for byte", "that say what"},
		LevelValues:  {"typed rows that say what its record says", "no bytes"},
		"":           {"as far as the topics tell", "bytes"},
	} {
		r := Result{Exact: true, Level: level}
		if words := r.words(); !strings.Contains(words, c.want) || strings.Contains(words, c.never) || strings.Contains(words, "all its rows") {
			t.Errorf("level %q: %s", level, words)
		}
	}
}

// TestNotCheckedNamesForgers: a sum of 64 bits keeps nobody out.
func TestNotCheckedNamesForgers(t *testing.T) {
	w := strayLake(t)
	for level, want := range map[Level]bool{LevelOffsets: false, LevelFiles: true, LevelBytes: true} {
		if got := strings.Contains(strings.Join(runAudit(t, Config{Lake: w.dir, Level: level}).NotChecked, "\n"), "set out to forge"); got != want {
			t.Errorf("level %s: %v", level, got)
		}
	}
}
