package archtest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// boundsBegin is the head of the table of bounds in docs/security.md. A row's bound
// is one or more parts, with "; " between them, each a number, a unit and perhaps
// words, and last the constant of the code that holds it, as `folder.name`. Its
// counter is a metric or several, or "none: " and why. Its last cell names a test.
const boundsBegin = "| what | bound | what happens beyond | counter | shown by |"

// boundPart is one part of a bound: number, unit, constant.
var boundPart = regexp.MustCompile("^([0-9][0-9,]*)(?: (B|KiB|MiB|GiB|ms|s|min|h|d))?(?: [^`]*)? ?`([a-z0-9/]+\\.[A-Za-z]\\w*)`$")

// unitsOf are the sizes of the units of a bound. A time is in microseconds, as
// record.Micros is, or where the constant is a time.Duration in nanoseconds.
func unitsOf() map[string]int64 {
	return map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
		"ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6, "d": 86400e6}
}

// constants finds the values of a tree's package constants.
type constants struct {
	exprs map[string]ast.Expr // by folder.name
	files map[string]source   // where each is
}

func constantsOf(t *tree) constants {
	c := constants{exprs: map[string]ast.Expr{}, files: map[string]source{}}
	for _, s := range t.code() {
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, id := range v.Names {
					if i < len(v.Values) {
						c.exprs[s.dir()+"."+id.Name], c.files[s.dir()+"."+id.Name] = v.Values[i], s
					}
				}
			}
		}
	}
	return c
}

var errNoConstant = errors.New("is no constant of the code")

// value evaluates a constant; duration tells that it is built from the time package's.
func (c constants) value(name string) (v int64, duration bool, err error) {
	e, ok := c.exprs[name]
	if !ok {
		return 0, false, fmt.Errorf("%s %w", name, errNoConstant)
	}
	x, err := c.eval(e, c.files[name], &duration)
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", name, err)
	}
	v, exact := constant.Int64Val(constant.ToInt(x))
	if !exact {
		return 0, false, fmt.Errorf("%s is %s, no whole number", name, x)
	}
	return v, duration, nil
}

func (c constants) eval(e ast.Expr, in source, duration *bool) (constant.Value, error) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0), nil
	case *ast.ParenExpr:
		return c.eval(e.X, in, duration)
	case *ast.CallExpr: // a conversion
		if len(e.Args) == 1 {
			return c.eval(e.Args[0], in, duration)
		}
	case *ast.Ident:
		return c.named(in.dir()+"."+e.Name, duration)
	case *ast.SelectorExpr:
		pkg, ok := e.X.(*ast.Ident)
		if !ok {
			break
		}
		units := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}
		if unit, ok := units[e.Sel.Name]; ok && pkg.Name == "time" {
			*duration = true
			return constant.MakeInt64(int64(unit)), nil
		}
		for _, i := range in.file.Imports {
			if path, _ := strconv.Unquote(i.Path.Value); strings.HasSuffix(path, "/"+pkg.Name) {
				return c.named(strings.TrimPrefix(path, module+"/")+"."+e.Sel.Name, duration)
			}
		}
	case *ast.BinaryExpr:
		x, err := c.eval(e.X, in, duration)
		if err != nil {
			return nil, err
		}
		y, err := c.eval(e.Y, in, duration)
		if err != nil {
			return nil, err
		}
		if e.Op == token.SHL || e.Op == token.SHR {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n)), nil
		}
		op := e.Op
		if op == token.QUO {
			op = token.QUO_ASSIGN // of whole numbers
		}
		return constant.BinaryOp(x, op, y), nil
	}
	return nil, fmt.Errorf("what %T is worth is not known here", e)
}

func (c constants) named(name string, duration *bool) (constant.Value, error) {
	e, ok := c.exprs[name]
	if !ok {
		return nil, fmt.Errorf("%s %w", name, errNoConstant)
	}
	return c.eval(e, c.files[name], duration)
}

// wrongBound says what is wrong with a bound's cell; empty: nothing.
func (c constants) wrongBound(cell string) []string {
	var problems []string
	for part := range strings.SplitSeq(cell, "; ") {
		m := boundPart.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			problems = append(problems, fmt.Sprintf("%q is no number with the constant that holds it", part))
			continue
		}
		n, _ := strconv.ParseInt(strings.ReplaceAll(m[1], ",", ""), 10, 64)
		n *= unitsOf()[m[2]]
		v, duration, err := c.value(m[3])
		if duration {
			v /= 1000
		}
		switch {
		case err != nil:
			problems = append(problems, err.Error())
		case v != n:
			problems = append(problems, fmt.Sprintf("says %s %s, %s is %d", m[1], m[2], m[3], v))
		}
	}
	return problems
}

// boundRows lists the cells of the rows of the table of bounds in a page.
func boundRows(page string) [][]string {
	var rows [][]string
	_, table, _ := strings.Cut(page, "\n"+boundsBegin+"\n")
	for line := range strings.SplitSeq(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.Trim(cells[0], "-") != "" {
			rows = append(rows, cells)
		}
	}
	return rows
}

// wrongBounds lists the rows of the table of bounds that are not true.
func wrongBounds(page string, c constants, metrics map[string]string, tests map[string][]string) []string {
	var problems []string
	for _, row := range boundRows(page) {
		bad := func(why string) { problems = append(problems, "docs/security.md, bound of "+row[0]+": "+why) }
		if len(row) != strings.Count(boundsBegin, "|")-1 {
			bad(fmt.Sprintf("%d cells", len(row)))
			continue
		}
		for _, why := range c.wrongBound(row[1]) {
			bad(why)
		}
		if row[2] == "" {
			bad("what happens beyond is not said")
		}
		counters := metricName.FindAllString(row[3], -1)
		if len(counters) == 0 && !strings.HasPrefix(row[3], "none: ") {
			bad("names no counter, nor says why there is none")
		}
		for _, name := range counters {
			if metrics[name] == "" {
				bad("no metric " + name)
			}
		}
		shown := testName.FindAllString(row[4], -1)
		if len(shown) == 0 {
			bad("no test shows it")
		}
		for _, why := range namesNothing("it", row[4], tests) {
			bad(why)
		}
	}
	return problems
}

// TestBoundsAreThoseOfTheCode: every bound that docs/security.md states is the
// constant's that it names, its counter is a metric, and its test is there.
func TestBoundsAreThoseOfTheCode(t *testing.T) {
	page, err := readFile(filepath.Join(root, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(boundRows(string(page))); n < 25 {
		t.Fatalf("the table of bounds has %d rows", n)
	}
	all := loadTree(t)
	report(t, wrongBounds(string(page), constantsOf(all), allMetrics(t), testsOf(all)))
}

func TestBoundRuleCanFail(t *testing.T) {
	code := small(t,
		"a/b/b.go", "package b\nimport (\n\"time\"\n\"landfall/a/c\"\n)\n"+
			"const (\nSize = 4 << 10\nHalf = c.Whole / 2\nWait = 3 * time.Minute\nAhead = 5 * 60_000_000\nmany = int64(1_000)\n)\nvar Odd = 1",
		"a/c/c.go", "package c\nconst Whole = 1 << 20 - 2",
		"a/b/b_test.go", "package b\nfunc TestThere(t *testing.T) {}")
	row := func(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	begin := "\n" + boundsBegin + "\n|---|---|---|---|---|\n"
	metrics := map[string]string{"landfall_edge_a_total": "counter"}
	good := begin + row("one", "4 KiB of all `a/b.Size`; 524,287 B `a/b.Half`", "is cut", "`landfall_edge_a_total`", "`a/b.TestThere`") +
		row("two", "3 min `a/b.Wait`; 5 min `a/b.Ahead`; 1,000 `a/b.many`", "ends", "none: it is told", "`a/b.TestThere`")
	if got := wrongBounds(good, constantsOf(code), metrics, testsOf(code)); len(got) > 0 {
		t.Errorf("a true table: %q", got)
	}
	bad := begin + row("size", "5 KiB `a/b.Size`", "is cut", "`landfall_edge_a_total`", "`a/b.TestThere`") +
		row("wait", "3 s `a/b.Wait`", "is cut", "`landfall_edge_a_total`", "`a/b.TestThere`") +
		row("var", "1 `a/b.Odd`", "is cut", "`landfall_edge_a_total`", "`a/b.TestThere`") +
		row("words", "few", "is cut", "`landfall_edge_a_total`", "`a/b.TestThere`") +
		row("silent", "4 KiB `a/b.Size`", "", "", "") +
		row("gone", "4 KiB `a/b.Size`", "is cut", "`landfall_edge_b_total`", "`a/b.TestGone`") +
		row("short", "4 KiB `a/b.Size`")
	mustFind(t, wrongBounds(bad, constantsOf(code), metrics, testsOf(code)),
		"size: says 5 KiB", "wait: says 3 s", "var: a/b.Odd is no constant", "words: ", "silent: what happens", "silent: names no counter",
		"silent: no test shows", "gone: no metric landfall_edge_b_total", "gone: it names a/b.TestGone", "short: 2 cells")
}
