package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// undocumented lists packages without a package comment and exported names
// without a comment.
func undocumented(t *tree) []string {
	var problems []string
	packages := map[string]bool{}
	for _, s := range t.code() {
		doc := s.file.Doc != nil && len(strings.TrimSpace(s.file.Doc.Text())) > 0
		packages[s.dir()] = packages[s.dir()] || doc
		if s.file.Name.Name != "main" {
			problems = append(problems, t.undocumentedNames(s)...)
		}
	}
	for dir, documented := range packages {
		if !documented {
			problems = append(problems, fmt.Sprintf("%s: no package comment", dir))
		}
	}
	return problems
}

func (t *tree) undocumentedNames(s source) []string {
	var problems []string
	need := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		if !id.IsExported() {
			return
		}
		for _, d := range docs {
			if d != nil {
				return
			}
		}
		problems = append(problems, fmt.Sprintf("%s: %s has no comment", t.at(id), id.Name))
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
				need(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					need(spec.Name, spec.Doc, spec.Comment, d.Doc)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						need(id, spec.Doc, spec.Comment, d.Doc)
					}
				}
			}
		}
	}
	return problems
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestEverythingIsDocumented(t *testing.T) { report(t, undocumented(loadTree(t))) }

func TestDocumentationRuleCanFail(t *testing.T) {
	mustFind(t, undocumented(small(t,
		"a/a.go", "package a\ntype T int\nfunc (T) M() {}\nfunc f() {}\n// D is documented.\nvar D = 1\nconst C = 2",
		"b/b.go", "// Package b is documented.\npackage b\n// F is documented.\nfunc F() {}\ntype t int\nfunc (t) M() {}")),
		"a: no package comment", "T has no comment", "M has no comment", "C has no comment")
}

// unfinished lists the words by which unfinished work announces itself, and
// init functions.
func unfinished(t *tree) []string {
	var problems []string
	for _, s := range t.sources {
		for _, g := range s.file.Comments {
			for _, c := range g.List {
				for _, w := range []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"} {
					if strings.Contains(c.Text, w) {
						problems = append(problems, fmt.Sprintf("%s: %s", t.at(c), w))
					}
				}
			}
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				problems = append(problems, fmt.Sprintf("%s: init function", t.at(f)))
			}
		}
	}
	return problems
}

func TestNothingUnfinishedAndNoInit(t *testing.T) { report(t, unfinished(loadTree(t))) }

func TestUnfinishedRuleCanFail(t *testing.T) {
	mustFind(t, unfinished(small(t, "a/a.go", "package a\n// TO"+"DO later\nfunc init() {}\ntype t int\nfunc (t) init() {}")),
		"a/a.go:2", "init function")
}

// mutable lists package variables that can change: exported ones, ones without
// a value, ones of a type made to be changed, and ones assigned to anywhere in
// their package, tests included. Error sentinels and tables are neither.
func mutable(t *tree) []string {
	var problems []string
	byDir := map[string]map[string]*ast.ValueSpec{}
	for _, s := range t.code() {
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				problems = append(problems, t.declared(s, spec.(*ast.ValueSpec), byDir)...)
			}
		}
	}
	for _, s := range t.sources {
		problems = append(problems, t.assigned(s, byDir[s.dir()])...)
	}
	return problems
}

func (t *tree) declared(s source, spec *ast.ValueSpec, byDir map[string]map[string]*ast.ValueSpec) []string {
	var problems []string
	for _, id := range spec.Names {
		if id.Name == "_" {
			continue
		}
		if byDir[s.dir()] == nil {
			byDir[s.dir()] = map[string]*ast.ValueSpec{}
		}
		byDir[s.dir()][id.Name] = spec
		sentinel := strings.HasPrefix(id.Name, "Err")
		switch {
		case len(spec.Values) == 0 && !embedded(spec):
			problems = append(problems, fmt.Sprintf("%s: package variable %s has no value, so it is there to change", t.at(id), id.Name))
		case id.IsExported() && !sentinel:
			problems = append(problems, fmt.Sprintf("%s: exported package variable %s can be changed by anybody", t.at(id), id.Name))
		case changeable(spec):
			problems = append(problems, fmt.Sprintf("%s: package variable %s is of a type made to change", t.at(id), id.Name))
		}
	}
	return problems
}

// embedded says whether a go:embed directive fills the variable.
func embedded(spec *ast.ValueSpec) bool {
	if spec.Doc == nil {
		return false
	}
	for _, c := range spec.Doc.List {
		if strings.HasPrefix(c.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

func changeable(spec *ast.ValueSpec) bool {
	found := false
	check := func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				switch x.Name + "." + sel.Sel.Name {
				case "sync.Mutex", "sync.RWMutex", "sync.Map", "sync.Once", "sync.WaitGroup":
					found = true
				}
				found = found || x.Name == "atomic"
			}
		}
		_, channel := n.(*ast.ChanType)
		found = found || channel
		return true
	}
	if spec.Type != nil {
		ast.Inspect(spec.Type, check)
	}
	for _, v := range spec.Values {
		ast.Inspect(v, check)
	}
	return found
}

// assigned lists assignments to package variables. The parser resolves local
// names, so an identifier that it left unresolved, or resolved to the
// variable's own declaration, is the package's.
func (t *tree) assigned(s source, vars map[string]*ast.ValueSpec) []string {
	var problems []string
	check := func(e ast.Expr) {
		id := base(e)
		if id == nil {
			return
		}
		spec, ok := vars[id.Name]
		if !ok || id.Obj != nil && id.Obj.Decl != spec { //nolint:staticcheck // the old resolver is what we need
			return
		}
		problems = append(problems, fmt.Sprintf("%s: package variable %s is changed here", t.at(id), id.Name))
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					check(e)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		}
		return true
	})
	return problems
}

func base(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.IndexExpr:
		return base(e.X)
	case *ast.SelectorExpr:
		return base(e.X)
	case *ast.StarExpr:
		return base(e.X)
	case *ast.ParenExpr:
		return base(e.X)
	}
	return nil
}

func TestNoMutablePackageVariables(t *testing.T) { report(t, mutable(loadTree(t))) }

func TestMutableRuleCanFail(t *testing.T) {
	mustFind(t, mutable(small(t,
		"a/a.go", `package a
var ErrGone = errors.New("gone")
var table = []int{1}
var _ I = T{}
var empty int
var Level = 3
var mu = new(sync.Mutex)
var count = 1
var names = []string{"a"}
func f() { count++; table := 1; table = 2; _ = table }`,
		"a/a_test.go", "package a\nfunc g() { names[0] = `b`; ErrGone = nil }")),
		"empty has no value", "Level can be changed", "mu is of a type", "count is changed", "names is changed", "ErrGone is changed")
}
