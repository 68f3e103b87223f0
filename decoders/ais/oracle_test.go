package ais_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// oracleInput is how the oracles' sentences were cut out of the files.
var oracleInput = regexp.MustCompile(`![A-Z]{2}VD[MO],[^*!\\]*\*[0-9A-Fa-f]{2}`)

// differencesDoc is the committed table of every difference.
const differencesDoc = "../../docs/ais-differences.md"

// difference is one line of the table.
type difference struct {
	file, oracle, what string
	msgType            uint8
	why                string
}

func (d difference) row(n int) string {
	return fmt.Sprintf("| %s | %s | %d | %s | %s | %d |", d.file, d.oracle, d.msgType, d.what, d.why, n)
}

// comparison gathers the differences of one file.
type comparison struct {
	file  string
	count map[difference]int
	bad   []string // what no rule explains
	// compared counts messages, and fields of them, that agree.
	messages, agreed int
}

func (c *comparison) note(oracle, what string, msgType uint8, why, example string) {
	if why == "" {
		c.bad = append(c.bad, fmt.Sprintf("%s: %s, type %d: %s", oracle, what, msgType, example))
		return
	}
	c.count[difference{c.file, oracle, what, msgType, why}]++
}

// The kinds of difference.
const (
	onlyOracle = "only the oracle"
	onlyOurs   = "only ours"
	field      = "field"
)

// withGpsd pairs gpsd's messages with ours by their fields: its output does not
// say of which sentences a message was made. It returns ours without a partner.
func (c *comparison) withGpsd(r *recording, theirs []fields) (left map[*message]bool) {
	left = map[*message]bool{}
	byView, byShip := map[string][]*message{}, map[string][]*message{}
	for _, m := range r.messages {
		left[m] = true
		views := []string{m.view.String()}
		if m.view.readByGpsd() {
			views = append(views, m.view.header().String())
		}
		for _, v := range views {
			byView[v] = append(byView[v], m)
		}
		ship := m.view["type"] + " " + m.view["mmsi"]
		byShip[ship] = append(byShip[ship], m)
	}
	var unmatched []fields
	for _, f := range theirs {
		same := byView[f.String()]
		slices.SortStableFunc(same, func(a, b *message) int { // those that gpsd takes first
			return len(r.gpsdLacks(a)) - len(r.gpsdLacks(b))
		})
		if !take(left, same) {
			unmatched = append(unmatched, f)
			continue
		}
		c.agreed++
	}
	for _, f := range unmatched {
		want := f.String()
		why, msgType := "", uint8(0)
		for _, m := range byShip[f["type"]+" "+f["mmsi"]] {
			for name, view := range gpsdQuirks(m) {
				// A message of ours that is like m may have stood in for it above.
				if why == "" && view.String() == want && (take(left, []*message{m}) || take(left, byView[m.view.String()])) {
					why, msgType = name, m.header.MsgType
				}
			}
		}
		if why != "" {
			c.note("gpsd", field, msgType, why, want)
			continue
		}
		_, _ = fmt.Sscan(f["type"], &msgType)
		c.note("gpsd", onlyOracle, msgType, r.gpsdJoined(want), want)
	}
	return left
}

// take takes the first message that still has no partner.
func take(left map[*message]bool, candidates []*message) bool {
	for _, m := range candidates {
		if left[m] {
			delete(left, m)
			return true
		}
	}
	return false
}

// withCatcher pairs AIS-catcher's messages with ours by their sentences, and
// compares field by field.
func (c *comparison) withCatcher(r *recording, theirs []catcherMessage) (left map[*message]bool) {
	left = map[*message]bool{}
	byKey := map[string][]*message{}
	for _, m := range r.messages {
		left[m] = true
		byKey[m.key()] = append(byKey[m.key()], m)
	}
	for i := range theirs {
		t := &theirs[i]
		k := sentencesKey(t.nmea)
		own := byKey[k]
		if len(own) == 0 {
			var msgType uint8
			_, _ = fmt.Sscan(t.fields["type"], &msgType)
			c.note("AIS-catcher", onlyOracle, msgType, r.catcherOnly(t), fmt.Sprint(t.nmea, t.fields))
			continue
		}
		m := own[0]
		byKey[k] = own[1:]
		delete(left, m)
		faults := map[string]bool{}
		for _, key := range t.disagree(m.scaled) {
			why := catcherFault(m, t, key)
			if why == "" || !faults[why] {
				c.note("AIS-catcher", field, m.header.MsgType, why, fmt.Sprintf("%s is %q, ours %q, of %s", key, t.fields[key], m.scaled[key], k))
			}
			faults[why] = true
		}
		if len(faults) == 0 {
			c.agreed++
		}
	}
	return left
}

// ownMessages accounts for those of ours that an oracle has not: a rule, or at
// least the other oracle must vouch for each. noCatcher is nil when AIS-catcher
// was not asked.
func (c *comparison) ownMessages(r *recording, noGpsd, noCatcher map[*message]bool) {
	for _, m := range r.messages {
		example := m.view.String() + " of " + m.key()
		if noGpsd[m] {
			why := r.gpsdLacks(m)
			if why == "" && noCatcher != nil && !noCatcher[m] {
				why = whyOther
			}
			c.note("gpsd", onlyOurs, m.header.MsgType, why, example)
		}
		if noCatcher[m] {
			why := catcherLacks(m)
			if why == "" && !noGpsd[m] {
				why = whyOther
			}
			c.note("AIS-catcher", onlyOurs, m.header.MsgType, why, example)
		}
	}
}

// compareFile compares one file with the oracles' files beside it.
func compareFile(t *testing.T, base string) *comparison {
	t.Helper()
	name := base
	if _, err := os.Stat(name); err != nil {
		name += ".gz"
	}
	r := readRecording(t, content(t, name))
	c := &comparison{file: filepath.Base(base), count: map[difference]int{}, messages: len(r.messages)}
	noGpsd := c.withGpsd(r, gpsdMessages(t, content(t, base+gpsdSuffix)))
	noCatcher := c.withCatcher(r, catcherMessages(t, content(t, base+catcherSuffix)))
	c.ownMessages(r, noGpsd, noCatcher)
	return c
}

const (
	gpsdSuffix    = ".gpsdecode-unscaled.jsonl.gz"
	catcherSuffix = ".aiscatcher.jsonl.gz"
)

// TestOracles compares every file of the corpus, also one that was put there
// today, with gpsd and AIS-catcher, message by message and field by field: no
// message of either is missing, and no number differs, but for the reasons above.
// It checks docs/ais-differences.md; LANDFALL_WRITE_DIFFERENCES=1 writes it.
func TestOracles(t *testing.T) {
	dir := corpusDir(t)
	found, err := filepath.Glob(filepath.Join(dir, "*"+gpsdSuffix))
	if err != nil || len(found) == 0 {
		t.Fatalf("no expected decodes in %s: %v", dir, err)
	}
	got := map[string][]string{}
	for _, f := range found {
		c := compareFile(t, strings.TrimSuffix(f, gpsdSuffix))
		for _, b := range c.bad {
			t.Errorf("%s: %s", c.file, b)
		}
		rows := []string{}
		for d, n := range c.count {
			rows = append(rows, d.row(n))
		}
		slices.Sort(rows)
		got[c.file] = rows
		t.Logf("%s: %d messages; %d of the oracles' agree\n%s", c.file, c.messages, c.agreed, strings.Join(rows, "\n"))
	}
	if os.Getenv("LANDFALL_WRITE_DIFFERENCES") != "" {
		if err := os.WriteFile(differencesDoc, []byte(differencesText(got)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	checkDifferences(t, got)
}

// differencesText is the whole document.
func differencesText(got map[string][]string) string {
	var b strings.Builder
	b.WriteString(differencesHead)
	for _, r := range reasons {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.name, r.fault, r.evidence)
	}
	b.WriteString("\n## Every difference\n\n")
	fmt.Fprintf(&b, "%d files; those that are not named here differ in nothing: %s.\n\n", len(got), strings.Join(without(got), ", "))
	b.WriteString("| file | oracle | type | difference | reason | messages |\n|---|---|---|---|---|---|\n")
	for _, f := range slices.Sorted(maps.Keys(got)) {
		for _, row := range got[f] {
			b.WriteString(row + "\n")
		}
	}
	return b.String()
}

// without lists the files without a difference.
func without(got map[string][]string) (equal []string) {
	for _, f := range slices.Sorted(maps.Keys(got)) {
		if len(got[f]) == 0 {
			equal = append(equal, f)
		}
	}
	return equal
}

// checkDifferences compares the committed table with what was found, file by
// file. A file that the table does not know is judged by the rules alone.
func checkDifferences(t *testing.T, got map[string][]string) {
	t.Helper()
	text, err := os.ReadFile(differencesDoc)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(differencesText(nil), "## Every difference")
	if !strings.HasPrefix(string(text), head) {
		t.Errorf("%s: the rules have changed: write it again", differencesDoc)
	}
	for f, rows := range got {
		if !strings.Contains(string(text), " "+f) {
			t.Logf("%s is not in %s", f, differencesDoc)
			continue
		}
		var committed []string
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| "+f+" |") {
				committed = append(committed, strings.TrimRight(line, "\n"))
			}
		}
		slices.Sort(committed)
		if !slices.Equal(committed, rows) {
			t.Errorf("%s: the table says\n%s\nand we find\n%s", f, strings.Join(committed, "\n"), strings.Join(rows, "\n"))
		}
	}
}

const differencesHead = `# Where gpsd and AIS-catcher differ from us

` + "`decoders/ais.TestOracles`" + ` reads every recording of the corpus and compares it with the output of gpsdecode 3.22 (unscaled) and
AIS-catcher 0.70 that lies beside it: every field of every message, numbers exactly (AIS-catcher's within the noise of its
32-bit floats). AIS-catcher's messages are matched by their sentences, gpsd's by all their fields. The test fails when a message
of either is missing from ours, or a field differs, and none of the rules below explains it; a rule must prove itself on each
message it is used for. A message that only we have must be explained too, or the other oracle must have it.

This table is written by that test (` + "`LANDFALL_WRITE_DIFFERENCES=1 go test -run TestOracles ./decoders/ais`" + `) and checked by it. A file that is not
in it is judged by the rules alone. "Only the oracle": a message that it has and we have not; "only ours": the other way
round; "field": both have it and a field differs.

What neither column nor comparison holds: bits that ITU-R M.1371-5 calls spare, AIS-catcher's rounded rate of turn, and the fields of
applications that we keep as bits. The communication state is compared as its bits.

## Rules

| reason | what the oracle does | what proves it |
|---|---|---|
`
