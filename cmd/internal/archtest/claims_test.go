package archtest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// claimPages are the pages of which each paragraph, item and row of a table names what
// shows it, in the page or in docs/evidence/claims.md.
func claimPages() []string {
	return []string{"README.md", "docs/guarantee.md", "docs/security.md", "docs/operator.md", "docs/time.md",
		"docs/configuration.md"}
}

// claim is a row of docs/evidence/claims.md: words of a page, and what shows them.
type claim struct{ words, shown string }

// wholeTable begins the words of a claim about every row of a table, before what stands
// in the first cell of its head.
const wholeTable = "table: "

var (
	// itemBegin finds the beginning of an item of a list.
	itemBegin = regexp.MustCompile(`^ *(- |[0-9]+\. )`)
	// A claim is shown by tests (testName), constants (boundPart), lines of files,
	// commands, or it is none.
	lineOf      = regexp.MustCompile("^`([^`]+)` in `([^`]+)`$")
	commandLine = regexp.MustCompile("^`(make|go|landfall|landfall-edge|landfall-engine|duckdb) [^`]+`$")
	noClaim     = regexp.MustCompile("^not a claim: .+$")
)

// piece is a paragraph, an item of a list or a row of a table; of a row also the first
// cell of its table's head.
type piece struct {
	line int
	text string
	head string
}

// pieces splits a page. Headings, code and the heads of tables are none.
func pieces(page string) (all []piece) {
	open, head := false, ""
	lines := strings.Split(page, "\n")
	for n, line := range lines {
		switch {
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			switch {
			case n+1 < len(lines) && strings.HasPrefix(lines[n+1], "|--"):
				head = strings.TrimSpace(cells[0])
			case !strings.HasPrefix(line, "|--"):
				all = append(all, piece{n + 1, line, head})
			}
			open = false
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "    ") && !open:
			open = false
		case itemBegin.MatchString(line) || !open:
			all, open = append(all, piece{n + 1, line, ""}), true
		default:
			all[len(all)-1].text += " " + line
		}
	}
	for i := range all {
		all[i].text = plain(all[i].text)
	}
	return all
}

// plain returns a text with single spaces.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

// claimsOf reads the claims about each page. Their table is "| words | shown by |".
func claimsOf(page string) map[string][]claim {
	all := map[string][]claim{}
	name := ""
	for line := range strings.SplitSeq(page, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			name = heading
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if strings.HasPrefix(line, "| ") && len(cells) == 2 && cells[0] != " says" {
			all[name] = append(all[name], claim{plain(cells[0]), strings.TrimSpace(cells[1])})
		}
	}
	return all
}

// unshownParts lists what of the cell that shows a claim does not: a constant with another
// value, a line that a file has not, or none of what may stand there. Tests are there or
// not by TestClaimsHaveTests.
func unshownParts(shown string, c constants, read func(string) ([]byte, error)) (problems []string) {
	if noClaim.MatchString(shown) {
		return nil
	}
	for part := range strings.SplitSeq(shown, ", ") {
		line := lineOf.FindStringSubmatch(part)
		switch {
		case line != nil:
			file, err := read(line[2])
			if err != nil || !strings.Contains("\n"+string(file)+"\n", "\n"+line[1]+"\n") {
				problems = append(problems, fmt.Sprintf("%s has no line %q (%v)", line[2], line[1], err))
			}
		case testName.MatchString(part) || commandLine.MatchString(part):
		case boundPart.MatchString(part):
			problems = append(problems, c.wrongBound(part)...)
		default:
			problems = append(problems, fmt.Sprintf("%q is neither a test nor a constant, a line of a file or a command", part))
		}
	}
	return problems
}

// unclaimed lists what of a page nothing shows, and claims that are not in it.
func unclaimed(name, page string, claims []claim) (problems []string) {
	all := pieces(page)
	used := make([]bool, len(claims))
	for _, p := range all {
		found := testName.MatchString(p.text)
		for i, c := range claims {
			head, isTable := strings.CutPrefix(c.words, wholeTable)
			if isTable && p.head == head || !isTable && strings.Contains(p.text, c.words) {
				used[i], found = true, true
			}
		}
		if !found {
			problems = append(problems, fmt.Sprintf("%s:%d: nothing shows, neither a test that it names nor its words in docs/evidence/claims.md: %s", name, p.line, p.text))
		}
	}
	for i, c := range claims {
		if !used[i] {
			problems = append(problems, fmt.Sprintf("%s does not say what docs/evidence/claims.md has of it: %s", name, c.words))
		}
	}
	return problems
}

// TestEachSentenceIsShown: of the six pages that users read first, each paragraph, item
// and row names a test, or claims.md has some of its words with the test or command that
// shows them. That the tests are there TestClaimsHaveTests looks at.
func TestEachSentenceIsShown(t *testing.T) {
	text, err := readFile(filepath.Join(root, "docs/evidence/claims.md"))
	if err != nil {
		t.Fatal(err)
	}
	claims, values := claimsOf(string(text)), constantsOf(loadTree(t))
	for name, all := range claims {
		for _, c := range all {
			for _, why := range unshownParts(c.shown, values, func(name string) ([]byte, error) { return readFile(filepath.Join(root, name)) }) {
				t.Errorf("claims.md, %s, %q: %s", name, c.words, why)
			}
		}
		found := false
		for _, page := range claimPages() {
			found = found || page == name
		}
		if !found {
			t.Errorf("claims.md: %q is no page", name)
		}
	}
	for _, name := range claimPages() {
		page, err := readFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		report(t, unclaimed(name, string(page), claims[name]))
	}
}

func TestSentenceRuleCanFail(t *testing.T) {
	claims := claimsOf("# C\n\n## p\n\n| says | shown by |\n|---|---|\n| it is red | `a.TestRed` |\n| table: what | `make bench` |\n| it was blue | `a.TestBlue` |\n| is green | some day |\n" +
		"| Read on | not a claim: an invitation |\n\n## q\n\n| says | shown by |\n|---|---|\n| other | `make q` |\n")
	page := "# P\n\nHere it\nis red.\nIt is open.\n\n    code\n\n- it is green,\n  all of it\n- it is yellow\n\n| what | n |\n|---|---|\n| one | 1 |\n| two | 2 |\n\n| other | n |\n|---|---|\n| three | 3 |\n| `a.TestFour` | 4 |\n\nRead on.\n"
	mustFind(t, unclaimed("p", page, claims["p"]), "claims.md: - it is yellow", "claims.md: | three | 3 |", "p does not say what docs/evidence/claims.md has of it: it was blue")
}

func TestWhatShowsAClaimIsLookedAt(t *testing.T) {
	c := constantsOf(small(t, "a/a.go", "package a\nimport \"time\"\nconst Most = 1 << 16\nconst after = 10 * time.Minute"))
	read := func(string) ([]byte, error) { return []byte("A=1\nWatchdogSec=2min\nB=2\n"), nil }
	for shown, want := range map[string]string{
		"`a.TestRed`, 65,536 `a.Most`, 10 min `a.after`, `WatchdogSec=2min` in `x.service`, `make bench`": "",
		"not a claim: some day":            "",
		"some day":                         "neither a test",
		"65,535 `a.Most`":                  "a.Most is 65536",
		"11 min `a.after`":                 "a.after is",
		"`atchdogSec=2min` in `x.service`": "has no line",
		"`rm -r` , 7 `a.None`":             "neither a test",
		"`a.TestRed`, 7 `a.None`":          "a.None is no constant",
	} {
		problems := unshownParts(shown, c, read)
		if all := strings.Join(problems, "; "); want == "" && all != "" || !strings.Contains(all, want) {
			t.Errorf("%s: %q, want %q", shown, all, want)
		}
	}
}
