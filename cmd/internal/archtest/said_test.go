package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// saidBegin is the head of the table of what daemons say and what to do about it.
const saidBegin = "| status says | means | do |"

var (
	// quoted finds code in a text.
	quoted = regexp.MustCompile("`([^`]+)`")
	// varies finds what of a message is another each time, as the page writes it: an
	// ellipsis, a number, or a letter for one; or where a text of its own begins.
	varies = regexp.MustCompile(`…|: |\b([NAB]|\d+[smh]?)\b`)
)

// literals returns the texts in a tree's code, constants that are added joined. Tests
// are no code.
func literals(t *tree) []string {
	var all []string
	for _, s := range t.code() {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.BinaryExpr, *ast.BasicLit:
				if text, ok := folded(n.(ast.Expr)); ok {
					all = append(all, text)
					return false
				}
			}
			return true
		})
	}
	return all
}

// folded returns the text of an expression of literals.
func folded(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isLeft := folded(e.X)
		right, isRight := folded(e.Y)
		return left + right, e.Op == token.ADD && isLeft && isRight
	}
	return "", false
}

// neverSaid lists the parts of messages in a page's table that no text in the code
// has. A message is code in the first cell of a row; foreign are parts that come from
// other programs.
func neverSaid(page, begin string, texts, foreign []string) (problems []string, parts int) {
	_, table, _ := strings.Cut(page, "\n"+begin+"\n")
	said := strings.Join(append(texts, foreign...), "\n")
	isSaid := func(part string) bool {
		if strings.Contains(said, part) {
			return true
		}
		for at, r := range part { // two texts, the second in the place of a verb of the first
			if r == ' ' && strings.Contains(said, part[:at]+" %") && strings.Contains(said, part[at+1:]) {
				return true
			}
		}
		return false
	}
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			for _, part := range varies.Split(m[1], -1) {
				part = strings.Trim(part, " :,()")
				if len(part) < 3 {
					continue
				}
				if parts++; !isSaid(part) {
					problems = append(problems, fmt.Sprintf("nothing says %q, of %q", part, m[1]))
				}
			}
		}
	}
	return problems, parts
}

// TestWhatStatusSays: every message that docs/operator.md explains is one that a
// program prints.
func TestWhatStatusSays(t *testing.T) {
	page, err := readFile(filepath.Join(root, "docs/operator.md"))
	if err != nil {
		t.Fatal(err)
	}
	// The system's and the library's words, a status of HTTP, a path, what the protocol of
	// acknowledged TCP puts before a reason, and a metric, which TestPagesNameMetrics looks for.
	foreign := []string{"connection refused", "address already in use", "cannot assign requested address", "x509", "421", "/.lock locked for more than", "ERR %", "landfall_edge_source_crowded_total"}
	problems, parts := neverSaid(string(page), saidBegin, literals(loadTree(t)), foreign)
	if parts < 100 {
		t.Errorf("only %d parts of messages in the table", parts)
	}
	report(t, problems)
}

func TestStatusRuleCanFail(t *testing.T) {
	page := "\n" + saidBegin + "\n|---|---|---|\n| `source … is gone: N times` or `nothing of it` | `never` | x |\n| `of a test` | x | y |\n\n| `not in it` | | |\n"
	texts := literals(small(t, "a/a.go", "package a\nimport \"nothing of it\"\nvar s = \"source %s is\" + \" gone: %d ti\" + \"mes\"", "a/a_test.go", "package a\nvar s = `of a test`"))
	problems, parts := neverSaid(page, saidBegin, texts, nil)
	mustFind(t, problems, "nothing of it", "of a test")
	if parts != 5 {
		t.Errorf("%d parts", parts)
	}
}
