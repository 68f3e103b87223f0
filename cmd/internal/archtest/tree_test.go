package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "landfall"

// source is one parsed file; path is relative to the module, with slashes.
type source struct {
	path string
	test bool
	file *ast.File
}

// dir is the folder the file lies in, relative to the module.
func (s source) dir() string { return path.Dir(s.path) }

// tree is the parsed module, or a small one made up by a test.
type tree struct {
	fset    *token.FileSet
	sources []source
}

// at gives "path:line" of a node.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

func (t *tree) add(name string, src any) error {
	f, err := parser.ParseFile(t.fset, name, src, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("parse %s: %w", name, err)
	}
	t.sources = append(t.sources, source{path: name, test: strings.HasSuffix(name, "_test.go"), file: f})
	return nil
}

// code gives the files that are no tests.
func (t *tree) code() []source {
	return slices.DeleteFunc(slices.Clone(t.sources), func(s source) bool { return s.test })
}

// root is the module's folder, seen from here.
const root = "../../.."

// loadTree gives every Go file of the module, whatever its build tags.
func loadTree(t *testing.T) *tree {
	t.Helper()
	tr, err := parseTree()
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.sources) < 10 {
		t.Fatalf("only %d Go files found from %s", len(tr.sources), root)
	}
	return tr
}

// parseTree parses the module once.
var parseTree = sync.OnceValues(func() (*tree, error) {
	tr := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(rel, d.Name())
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		src, err := readFile(p)
		if err != nil {
			return err
		}
		return tr.add(filepath.ToSlash(rel), src)
	})
	return tr, err
})

func skipDir(rel, name string) error {
	if rel == "." {
		return nil
	}
	if name == "testdata" || rel == "tmp" || rel == "bin" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return filepath.SkipDir
	}
	return nil
}

// small makes a tree of the given files, path and source in turn.
func small(t *testing.T, files ...string) *tree {
	t.Helper()
	tr := &tree{fset: token.NewFileSet()}
	for i := 0; i < len(files); i += 2 {
		if err := tr.add(files[i], files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

// report fails the test with every problem.
func report(t *testing.T, problems []string) {
	t.Helper()
	slices.Sort(problems)
	for _, p := range problems {
		t.Error(p)
	}
}

// mustFind fails the test unless exactly one problem contains each of want.
func mustFind(t *testing.T, problems []string, want ...string) {
	t.Helper()
	if len(problems) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(problems), len(want), strings.Join(problems, "\n"))
	}
	for _, w := range want {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, w) }) {
			t.Errorf("no problem contains %q:\n%s", w, strings.Join(problems, "\n"))
		}
	}
}

// listed is what `go list` knows of a package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	GoFiles    []string
}

// goList runs `go list -json` with the arguments in the module's folder.
func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,GoFiles"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
