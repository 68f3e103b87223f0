package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/edge/durable/failpoint"
)

// failpoints checks that every failpoint.Hit names a listed step by a literal,
// and that every listed step is hit somewhere.
func failpoints(t *tree, names []string) []string {
	var problems []string
	hit := map[string]bool{}
	for _, s := range t.code() {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isHit(call) {
				return true
			}
			name, err := literal(call)
			switch {
			case err != nil:
				problems = append(problems, fmt.Sprintf("%s: failpoint.Hit wants one literal name", t.at(call)))
			case !slices.Contains(names, name):
				problems = append(problems, fmt.Sprintf("%s: failpoint %q is not in failpoint.Names", t.at(call), name))
			}
			hit[name] = true
			return true
		})
	}
	for _, name := range names {
		if !hit[name] {
			problems = append(problems, fmt.Sprintf("failpoint %q is listed and hit nowhere", name))
		}
	}
	return problems
}

func isHit(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Hit" {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "failpoint"
}

func literal(call *ast.CallExpr) (string, error) {
	if len(call.Args) != 1 {
		return "", strconv.ErrSyntax
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return "", strconv.ErrSyntax
	}
	return strconv.Unquote(lit.Value)
}

func TestFailpointsAreListedAndHit(t *testing.T) {
	report(t, failpoints(loadTree(t), failpoint.Names()))
}

func TestFailpointRuleCanFail(t *testing.T) {
	mustFind(t, failpoints(small(t, "a/a.go",
		"package a\nfunc f(s string) { failpoint.Hit(`one`); failpoint.Hit(`two`); failpoint.Hit(s) }"),
		[]string{"one", "three"}),
		`"two" is not in`, "one literal name", `"three" is listed and hit nowhere`)
}

// commitPoints checks that each of C1 … C5 is marked on one line of code: C2,
// which every landing log that takes appends has, on one line of each.
func commitPoints(t *tree) []string {
	mark := regexp.MustCompile(`// Commit point C(\d+)`)
	found := map[string][]string{}
	for _, s := range t.code() {
		for _, g := range s.file.Comments {
			for _, c := range g.List {
				if m := mark.FindStringSubmatch(c.Text); m != nil {
					found["C"+m[1]] = append(found["C"+m[1]], t.at(c))
				}
			}
		}
	}
	var problems []string
	for _, name := range []string{"C1", "C2", "C3", "C4", "C5"} {
		want := 1
		if name == "C2" && len(found[name]) > 1 {
			logs := map[string]bool{}
			for _, at := range found[name] {
				if dir, ok := strings.CutPrefix(path.Dir(at), "engine/landing/"); ok {
					logs[dir] = true
				}
			}
			want = max(len(logs), 1)
		}
		if n := len(found[name]); n != want {
			problems = append(problems, fmt.Sprintf("commit point %s is marked %d times, want once: %s", name, n, strings.Join(found[name], " ")))
		}
		delete(found, name)
	}
	for name, at := range found {
		problems = append(problems, fmt.Sprintf("%s: there is no commit point %s", at[0], name))
	}
	return problems
}

func TestEachCommitPointIsOneLine(t *testing.T) { report(t, commitPoints(loadTree(t))) }

func TestCommitPointRuleCanFail(t *testing.T) {
	mustFind(t, commitPoints(small(t, "a/a.go", `package a
func f() {
	x() // Commit point C1
	x() // Commit point C2
	x() // Commit point C3: released
	x() // Commit point C2
	x() // Commit point C5
	x() // Commit point C9
}`)), "C2 is marked 2 times", "C4 is marked 0 times", "no commit point C9")
	mustFind(t, commitPoints(small(t,
		"engine/landing/a/a.go", "package a\nfunc f() {\n\tx() // Commit point C2\n}",
		"engine/landing/b/b.go", "package b\nfunc f() {\n\tx() // Commit point C2\n\tx() // Commit point C2\n}")),
		"C2 is marked 3 times", "C1 is marked 0", "C3 is marked 0", "C4 is marked 0", "C5 is marked 0")
}
