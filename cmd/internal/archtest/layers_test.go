package archtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func readFile(name string) ([]byte, error) { return os.ReadFile(name) }

// layer is one line of layers.txt.
type layer struct {
	dir     string
	allowed []string
}

func parseLayers(text string) ([]layer, error) {
	var layers []layer
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		dir, rest, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("layers line %d: no colon in %q", n+1, line)
		}
		layers = append(layers, layer{dir: strings.TrimSpace(dir), allowed: strings.Fields(rest)})
	}
	return layers, nil
}

// within says whether dir is folder or lies below it.
func within(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

func layerOf(layers []layer, dir string) (layer, bool) {
	best, found := layer{}, false
	for _, l := range layers {
		if within(dir, l.dir) && len(l.dir) > len(best.dir) {
			best, found = l, true
		}
	}
	return best, found
}

// upward lists the imports that layers do not allow. packages maps a folder to
// the folders of this module that it imports.
func upward(layers []layer, packages map[string][]string) []string {
	var problems []string
	for dir, imports := range packages {
		l, ok := layerOf(layers, dir)
		if !ok {
			problems = append(problems, fmt.Sprintf("%s: no line in layers.txt", dir))
			continue
		}
		for _, im := range imports {
			if !l.allows(im) {
				problems = append(problems, fmt.Sprintf("%s imports %s, which layers.txt does not allow", dir, im))
			}
		}
	}
	return problems
}

func (l layer) allows(dir string) bool {
	if within(dir, l.dir) {
		return true
	}
	for _, a := range l.allowed {
		if within(dir, a) {
			return true
		}
	}
	return false
}

// importsOf gives each folder's imports within the module, tests left out.
func importsOf(t *tree) map[string][]string {
	packages := map[string][]string{}
	for _, s := range t.code() {
		packages[s.dir()] = append(packages[s.dir()], []string{}...)
		for _, im := range s.file.Imports {
			name := strings.Trim(im.Path.Value, `"`)
			if dir, ok := strings.CutPrefix(name, module+"/"); ok {
				packages[s.dir()] = append(packages[s.dir()], dir)
			}
		}
	}
	return packages
}

func TestImportsPointDown(t *testing.T) {
	text, err := readFile("layers.txt")
	if err != nil {
		t.Fatal(err)
	}
	layers, err := parseLayers(string(text))
	if err != nil {
		t.Fatal(err)
	}
	report(t, upward(layers, importsOf(loadTree(t))))
}

func TestImportRuleCanFail(t *testing.T) {
	layers, err := parseLayers("low:\nlow/sub: high\nhigh: low # comment\n")
	if err != nil {
		t.Fatal(err)
	}
	tr := small(t,
		"low/a.go", "package low\nimport _ \"landfall/high\"",
		"low/sub/a.go", "package sub\nimport _ \"landfall/high\"",
		"high/a.go", "package high\nimport (_ \"landfall/low/sub\"; _ \"landfall/high/x\"; _ \"landfall/elsewhere\")",
		"elsewhere/a.go", "package elsewhere",
		"high/a_test.go", "package high\nimport _ \"landfall/forbidden\"")
	mustFind(t, upward(layers, importsOf(tr)),
		"low imports high", "high imports elsewhere", "elsewhere: no line")
	if _, err := parseLayers("no colon"); err == nil {
		t.Error("a line without a colon was accepted")
	}
}

// heavy lists what must not get into the edge's binary, by prefix of import
// path.
func heavy() []string {
	return []string{
		module + "/engine", module + "/sinks",
		"github.com/apache/arrow", "github.com/parquet-go", "github.com/twmb/franz-go", "github.com/minio",
		"runtime/cgo", "net/http/pprof",
	}
}

func tooHeavy(deps []string) []string {
	var problems []string
	for _, d := range deps {
		for _, h := range heavy() {
			if within(d, h) {
				problems = append(problems, fmt.Sprintf("cmd/landfall-edge depends on %s", d))
			}
		}
	}
	return problems
}

func TestEdgeStaysSmall(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0")
	var deps []string
	for _, p := range goList(t, "-deps", "./cmd/landfall-edge") {
		deps = append(deps, p.ImportPath)
	}
	report(t, tooHeavy(deps))
}

func TestEdgeRuleCanFail(t *testing.T) {
	mustFind(t, tooHeavy([]string{"fmt", "landfall/engine/task", "github.com/apache/arrow/go/v17/arrow", "landfall/edge/agent"}),
		"landfall/engine/task", "apache/arrow")
}

// runners are the packages by which a program runs others or loads code.
func runners() []string { return []string{"os/exec", "plugin"} }

// running lists our packages in a daemon that can run something. What is parsed
// there comes from strangers: it is data only.
func running(daemon string, pkgs []listed) []string {
	var problems []string
	for _, p := range pkgs {
		for _, im := range p.Imports {
			if within(p.ImportPath, module) && slices.Contains(runners(), im) {
				problems = append(problems, fmt.Sprintf("%s: %s imports %s", daemon, p.ImportPath, im))
			}
		}
	}
	return problems
}

func TestDaemonsRunNothing(t *testing.T) {
	t.Setenv("CGO_ENABLED", "0")
	for _, daemon := range []string{"cmd/landfall-edge", "cmd/landfall-engine"} {
		pkgs := goList(t, "-deps", "./"+daemon)
		if len(pkgs) < 50 {
			t.Errorf("%s: only %d packages", daemon, len(pkgs))
		}
		report(t, running(daemon, pkgs))
	}
}

func TestRunningRuleCanFail(t *testing.T) {
	mustFind(t, running("d", []listed{{ImportPath: module + "/a", Imports: []string{"fmt", "os/exec"}}, {ImportPath: module + "/b", Imports: []string{"plugin"}},
		{ImportPath: "example/lib", Imports: []string{"os/exec"}}}), "landfall/a imports os/exec", "landfall/b imports plugin")
}
