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
	return []string{"README.md", "docs/guarantee.md", "docs/security.md", "docs/operator.md", "docs/time.md", "docs/configuration.md"}
}

// claim is a row of docs/evidence/claims.md: words of a page, and what shows them.
type claim struct{ words, shown string }

// wholeTable begins the words of a claim about every row of a table, before what stands
// in the first cell of its head.
const wholeTable = "table: "

var (
	// itemBegin finds the beginning of an item of a list.
	itemBegin = regexp.MustCompile(`^ *(- |[0-9]+\. )`)
	// shownBy finds what may show a claim: a command, or why it is none; tests are testName.
	shownBy = regexp.MustCompile("`((make|go|landfall|landfall-edge|landfall-engine|duckdb) [^`]+)`|^not a claim: .+")
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
		if !testName.MatchString(c.shown) && !shownBy.MatchString(c.shown) {
			problems = append(problems, fmt.Sprintf("%s: neither a test nor a command shows %q: %q", name, c.words, c.shown))
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
	claims := claimsOf(string(text))
	for name := range claims {
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
	mustFind(t, unclaimed("p", page, claims["p"]), "claims.md: - it is yellow", "claims.md: | three | 3 |", "p does not say what docs/evidence/claims.md has of it: it was blue", "neither a test nor a command shows \"is green\"")
}
