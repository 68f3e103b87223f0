package archtest

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testName finds tests as the documents write them: folder.TestName.
var testName = regexp.MustCompile(`([a-z0-9/-]+)\.((?:Test|Fuzz)[A-Z0-9]\w*)`)

// testsOf maps each folder to the names of its tests, fuzz targets included.
func testsOf(t *tree) map[string][]string {
	tests := map[string][]string{}
	for _, s := range t.sources {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				tests[s.dir()] = append(tests[s.dir()], f.Name.Name)
			}
		}
	}
	return tests
}

// namesNothing lists the tests that a text names and that are not there; what
// says where the text stands.
func namesNothing(what, text string, tests map[string][]string) []string {
	var problems []string
	for _, n := range testName.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(tests[n[1]], n[2]) {
			problems = append(problems, fmt.Sprintf("%s names %s.%s, which is not there", what, n[1], n[2]))
		}
	}
	return problems
}

// shownTables are the tables of claims by their page, and how each begins.
func shownTables() map[string]string {
	return map[string]string{
		"docs/guarantee.md": "| what breaks | what happens | shown by |",
		"docs/security.md":  "| who | can | is met with | shown by |",
	}
}

// unshown lists the rows of a page's table that name no test in their last
// column.
func unshown(name, page, begin string) []string {
	var problems []string
	_, table, found := strings.Cut(page, "\n"+begin+"\n")
	rows := 0
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if strings.Trim(cells[0], "-") == "" {
			continue // below the head
		}
		if rows++; len(cells) != strings.Count(begin, "|")-1 || !testName.MatchString(cells[len(cells)-1]) {
			problems = append(problems, fmt.Sprintf("%s: no test shows:%s", name, cells[0]))
		}
	}
	if !found || rows == 0 {
		problems = append(problems, fmt.Sprintf("%s has no table %s", name, begin))
	}
	return problems
}

// claims lists what is wrong with the tests that pages name.
func claims(pages, tables map[string]string, tests map[string][]string) []string {
	var problems []string
	for name, page := range pages {
		problems = append(problems, namesNothing(name, page, tests)...)
	}
	for name, begin := range tables {
		problems = append(problems, unshown(name, pages[name], begin)...)
	}
	return problems
}

// docPages lists the pages below a folder.
func docPages(dir string) (names []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(name) == ".md" {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// TestClaimsHaveTests: each promise of the guarantee and each answer to a threat
// names what shows it, and no page names a test that is not there.
func TestClaimsHaveTests(t *testing.T) {
	names, err := docPages(root + "/docs")
	below := filepath.FromSlash(root + "/docs/evidence/tampering.md")
	if err != nil || len(names) < 10 || !slices.Contains(names, below) {
		t.Fatalf("%d pages, %v", len(names), err)
	}
	pages := map[string]string{}
	for _, name := range append(names, root+"/README.md") {
		page, err := readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages[strings.TrimPrefix(filepath.ToSlash(name), root+"/")] = string(page)
	}
	report(t, claims(pages, shownTables(), testsOf(loadTree(t))))
}

func TestClaimRuleCanFail(t *testing.T) {
	const begin = "| what | shown by |"
	pages := map[string]string{
		"a.md": "\n" + begin + "\n|---|---|\n| one | `a/b.TestThere` |\n| two | some day |\n| three: `a/b.TestThere` | |\n| four | `a/b.FuzzGone` |\n",
		"b.md": "as a/b.TestThere says, and (`b.TestThere`)",
		"c.md": "\n| what |\n",
	}
	mustFind(t, claims(pages, map[string]string{"a.md": begin, "c.md": begin}, testsOf(small(t, "a/b/b_test.go", "package b\nfunc TestThere(t *testing.T) {}"))),
		"a.md: no test shows: two", "a.md: no test shows: three", "a.md names a/b.FuzzGone", "b.md names b.TestThere", "c.md has no table")
}
