package archtest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// riskIDs are the rows that docs/risks.md must have, once each.
func riskIDs() []string {
	var ids []string
	for _, g := range []struct {
		prefix string
		n      int
	}{{"E", 16}, {"S", 11}, {"T", 8}, {"C", 16}, {"O", 11}} {
		for i := 1; i <= g.n; i++ {
			ids = append(ids, fmt.Sprintf("%s%d", g.prefix, i))
		}
	}
	return ids
}

// risks checks the table: "| id | what must hold | where |" with where either
// "issue N" or tests as `folder.TestName`, and checks that those tests are there.
func risks(table string, tests map[string][]string) []string {
	var problems []string
	row := regexp.MustCompile(`^\| ([ESTCO]\d+) \|([^|]*)\|([^|]*)\|$`)
	later := regexp.MustCompile(`^issue \d+$`)
	seen := map[string]int{}
	for _, line := range strings.Split(table, "\n") {
		m := row.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		id, where := m[1], strings.TrimSpace(m[3])
		seen[id]++
		if !testName.MatchString(where) && !later.MatchString(where) {
			problems = append(problems, fmt.Sprintf("risk %s names neither a test nor an issue: %q", id, where))
		}
		problems = append(problems, namesNothing("risk "+id, where, tests)...)
	}
	for _, id := range riskIDs() {
		if seen[id] != 1 {
			problems = append(problems, fmt.Sprintf("risk %s has %d rows, want one", id, seen[id]))
		}
	}
	return problems
}

func TestRisksHaveTests(t *testing.T) {
	table, err := readFile(root + "/docs/risks.md")
	if err != nil {
		t.Fatal(err)
	}
	report(t, risks(string(table), testsOf(loadTree(t))))
}

func TestRiskRuleCanFail(t *testing.T) {
	var table strings.Builder
	for _, id := range riskIDs()[1:] {
		where := "issue 5"
		switch id {
		case "E2":
			where = "`a.TestThere` and `a.TestGone`"
		case "E3":
			where = "some day"
		}
		fmt.Fprintf(&table, "| %s | what | %s |\n", id, where)
	}
	mustFind(t, risks(table.String(), testsOf(small(t, "a/a_test.go", "package a\nfunc TestThere(t *testing.T) {}"))),
		"risk E1 has 0 rows", "a.TestGone, which is not there", "risk E3 names neither")
}
