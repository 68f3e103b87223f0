package archtest

import (
	"fmt"
	"go/ast"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// counterName finds a counter as pages write it, with or without its program's prefix.
var counterName = regexp.MustCompile("`((?:landfall_)?[a-z]+_[a-z0-9_]+_total|landfall_(?:edge|engine)_[a-z0-9_]+)`")

// unknownMetrics lists the metrics that a page names and no program has.
func unknownMetrics(name, page string, metrics map[string]string) (problems []string, named int) {
	for _, m := range counterName.FindAllStringSubmatch(page, -1) {
		named++
		found := metrics[m[1]] != ""
		for metric := range metrics {
			found = found || strings.HasSuffix(metric, "_"+m[1])
		}
		if !found {
			problems = append(problems, fmt.Sprintf("%s: no metric %s", name, m[1]))
		}
	}
	return problems, named
}

// TestPagesNameMetrics: each metric that README and the pages of docs name is there.
func TestPagesNameMetrics(t *testing.T) {
	names, err := docPages(root + "/docs")
	if err != nil {
		t.Fatal(err)
	}
	metrics, all := allMetrics(t), 0
	for _, name := range append(names, root+"/README.md") {
		page, err := readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		problems, named := unknownMetrics(name, string(page), metrics)
		all += named
		report(t, problems)
	}
	if all < 100 {
		t.Errorf("only %d metrics named", all)
	}
	problems, named := unknownMetrics("p",
		"`a_b_total`, `landfall_edge_a_b_total`, `c_d_total`, `landfall_engine_gone`",
		map[string]string{"landfall_edge_a_b_total": "counter x"})
	mustFind(t, problems, "c_d_total", "landfall_engine_gone")
	if named != 4 {
		t.Errorf("%d metrics named", named)
	}
}

// namesIn returns the values of a type's constants in a folder, or those of the list
// of texts that is a variable of that name.
func namesIn(t *tree, dir, typ string) (values []string) {
	for _, s := range t.code() {
		if s.dir() != dir {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if list, ok := textsIn(spec, typ); ok {
				values = append(values, list...)
			}
			if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typ {
				return true
			}
			for _, v := range spec.Values {
				if text, ok := folded(v); ok {
					values = append(values, text)
				}
			}
			return true
		})
	}
	return values
}

// textsIn returns the texts of a variable that is a list of them.
func textsIn(spec *ast.ValueSpec, name string) (texts []string, ok bool) {
	if len(spec.Names) != 1 || spec.Names[0].Name != name || len(spec.Values) != 1 {
		return nil, false
	}
	list, ok := spec.Values[0].(*ast.CompositeLit)
	if !ok {
		return nil, false
	}
	for _, e := range list.Elts {
		if text, ok := folded(e); ok {
			texts = append(texts, text)
		}
	}
	return texts, true
}

// firstCells returns what stands as code in the first cells of a page's table.
func firstCells(page, begin string) (names []string) {
	_, table, _ := strings.Cut(page, "\n"+begin+"\n")
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			if !strings.HasPrefix(m[1], "-") { // or a flag that means one
				names = append(names, m[1])
			}
		}
	}
	return names
}

// notTheSame lists what stands in one list alone.
func notTheSame(what string, said, is []string) (problems []string) {
	for _, name := range said {
		if !slices.Contains(is, name) {
			problems = append(problems, fmt.Sprintf("%s: the page has %s, the code has not", what, strconv.Quote(name)))
		}
	}
	for _, name := range is {
		if !slices.Contains(said, name) {
			problems = append(problems, fmt.Sprintf("%s: the code has %s, the page has not", what, strconv.Quote(name)))
		}
	}
	return problems
}

// TestListsOfNamesAreWhole: where a page lists the names of something, they are those
// that the code has.
func TestListsOfNamesAreWhole(t *testing.T) {
	tr := loadTree(t)
	for _, one := range []struct{ page, begin, dir, typ string }{
		{"docs/operator.md", "| kind | means |", "engine/audit", "Kind"},
		{"docs/operator.md", "| `--level` | reads | checks |", "engine/audit", "Level"},
		{"docs/guarantee.md", "| `--level` | it finds | shown by |", "engine/audit", "Level"},
		{"docs/time.md", "| `time_source` | event_time comes from |", "edge/record", "timeSourceNames"},
	} {
		page, err := readFile(filepath.Join(root, one.page))
		if err != nil {
			t.Fatal(err)
		}
		said, is := firstCells(string(page), one.begin), namesIn(tr, one.dir, one.typ)
		if len(is) < 3 || len(said) < 3 {
			t.Errorf("%s, %s: %q and %q", one.page, one.begin, said, is)
		}
		report(t, notTheSame(one.page+", "+one.begin, said, is))
	}
}

func TestListRuleCanFail(t *testing.T) {
	tr := small(t, "a/a.go", "package a\nconst (\nA K = \"alpha\"\nB K = \"beta\"\nC L = \"x\"\n)\nvar all = []string{\"one\", \"two\"}", "b/b.go", "package b\nconst D K = \"delta\"")
	said := firstCells("\n| k | v |\n|---|---|\n| `alpha`, `gamma` | `beta` |\n\n| `d` | |\n", "| k | v |")
	mustFind(t, notTheSame("p", said, namesIn(tr, "a", "K")), "has \"gamma\", the code", "has \"beta\", the page")
	mustFind(t, notTheSame("p", []string{"one"}, namesIn(tr, "a", "all")), "has \"two\", the page")
}
