package archtest

import (
	"fmt"
	"go/ast"
	"strings"
	"testing"
)

// fileSeams may call the operating system's file functions in all their code:
// the two seams, and the workshop's tools, whose files hold nobody's data: bench
// measures the disk itself, mutants breaks a copy of the tree, pack makes packages, scaledemo removes what it made,
// kafkatest runs brokers, s3test looks into a store's own folder, smalldisk mounts
// disks for tests, vm makes a machine's disk.
func fileSeams() []string {
	return []string{"edge/durable", "sinks/object", "cmd/internal/bench", "cmd/internal/mutants", "cmd/internal/pack", "cmd/internal/scaledemo", "cmd/internal/vm", "engine/landing/kafkatest",
		"edge/durable/smalldisk", "sinks/object/s3/s3test"}
}

// fileExceptions lists single files outside the seams that may, and why.
func fileExceptions() map[string]string {
	return map[string]string{
		"edge/durable/failpoint/failpoint_on.go":  "only in builds for crash tests: notes which step it died at",
		"edge/source/serialclaim_linux.go":        "opens a pseudo-terminal to lock it, which is a device and no file",
		"edge/source/serialcount_linux.go":        "opens a serial port for its counters, which is a device and no file",
		"edge/memory/group.go":                    "asks the kernel what memory its control group may have",
		"edge/memory/usage.go":                    "asks the kernel what memory the process has had",
		"cmd/internal/enginecli/repairscratch.go": "a folder to work in, which nobody reads and nothing keeps",
		"cmd/internal/testport/testport.go":       "asks the kernel which ports it chooses",
		"cmd/internal/traffic/pty_linux.go":       "opens a pseudo terminal, which is a device and no file of ours",
	}
}

// fileCalls are the functions that touch files, by package.
func fileCalls() map[string][]string {
	return map[string][]string{
		"os": {"Open", "OpenFile", "OpenRoot", "OpenInRoot", "Create", "CreateTemp", "ReadFile", "WriteFile", "ReadDir", "CopyFS", "DirFS",
			"Rename", "Remove", "RemoveAll", "Link", "Symlink", "Readlink", "Mkdir", "MkdirAll", "MkdirTemp",
			"Stat", "Lstat", "Truncate", "Chmod", "Chown", "Lchown", "Chtimes"},
		"ioutil":   {"ReadFile", "WriteFile", "ReadDir", "TempDir", "TempFile"},
		"filepath": {"Walk", "WalkDir", "Glob"},
		"syscall":  {"Open", "Rename", "Unlink", "Fsync", "Fdatasync", "Mkdir", "Flock", "Fallocate"},
		"unix":     {"Open", "Rename", "Unlink", "Fsync", "Fdatasync", "Mkdir", "Flock", "Fallocate"},
	}
}

// calls lists where code mentions pkg.name for one of the names.
func (t *tree) calls(s source, banned map[string][]string) []string {
	var found []string
	local := map[string]string{}
	for _, im := range s.file.Imports {
		p := strings.Trim(im.Path.Value, `"`)
		name := p[strings.LastIndex(p, "/")+1:]
		if im.Name != nil {
			local[im.Name.Name] = name
		} else {
			local[name] = name
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || x.Obj != nil {
			return true
		}
		for _, name := range banned[local[x.Name]] {
			if sel.Sel.Name == name {
				found = append(found, fmt.Sprintf("%s: %s.%s", t.at(sel), local[x.Name], name))
			}
		}
		return true
	})
	return found
}

// fileTouchers lists file calls outside the seams, and exceptions that are no
// longer needed.
func fileTouchers(t *tree, exceptions map[string]string) []string {
	var problems []string
	used := map[string]bool{}
	for _, s := range t.code() {
		found := t.calls(s, fileCalls())
		if len(found) > 0 && exceptions[s.path] != "" {
			used[s.path] = true
			continue
		}
		seam := false
		for _, d := range fileSeams() {
			seam = seam || s.dir() == d
		}
		if !seam {
			problems = append(problems, found...)
		}
	}
	for name := range exceptions {
		if !used[name] {
			problems = append(problems, fmt.Sprintf("%s: exception that nothing needs", name))
		}
	}
	return problems
}

func TestFilesAreTouchedInOnePlace(t *testing.T) {
	report(t, fileTouchers(loadTree(t), fileExceptions()))
}

func TestFileRuleCanFail(t *testing.T) {
	mustFind(t, fileTouchers(small(t,
		"edge/durable/os.go", "package durable\nimport \"os\"\nvar f = os.Open",
		"edge/x/x.go", "package x\nimport o \"os\"\nfunc f() { o.Rename(`a`, `b`); o.Getpid() }",
		"edge/y/y.go", "package y\nimport \"os\"\nfunc f() { os.Stat(`a`) }",
		"edge/x/x_test.go", "package x\nimport \"os\"\nfunc g() { os.Remove(`a`) }"),
		map[string]string{"edge/y/y.go": "for the test", "edge/z/z.go": "gone"}),
		"edge/x/x.go:3: os.Rename", "edge/z/z.go: exception")
}

// sleepers lists sleeps in tests, but for those written inside a call of
// synctest.Test: there time passes by itself.
func sleepers(t *tree) []string {
	var problems []string
	for _, s := range t.sources {
		if !s.test {
			continue
		}
		bubbles := map[string]bool{}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Test" || fmt.Sprint(f.X) != "synctest" {
				return true
			}
			for line := t.fset.Position(call.Pos()).Line; line <= t.fset.Position(call.End()).Line; line++ {
				bubbles[fmt.Sprintf("%s:%d: time.Sleep", s.path, line)] = true
			}
			return false
		})
		for _, p := range t.calls(s, map[string][]string{"time": {"Sleep"}}) {
			if !bubbles[p] {
				problems = append(problems, p)
			}
		}
	}
	return problems
}

func TestNoSleepInTests(t *testing.T) { report(t, sleepers(loadTree(t))) }

func TestSleepRuleCanFail(t *testing.T) {
	mustFind(t, sleepers(small(t,
		"a/a_test.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }",
		"a/b_test.go", "package a\nimport (\"time\"; \"testing/synctest\")\nfunc f() { synctest.Test(nil, func(any) { time.Sleep(1) }) }",
		"a/a.go", "package a\nimport \"time\"\nfunc g() { time.Sleep(1) }")), "a/a_test.go:3")
}

// exits lists where a process is ended outside a main package's main.go.
func exits(t *tree) []string {
	var problems []string
	for _, s := range t.code() {
		if s.file.Name.Name == "main" && strings.HasSuffix(s.path, "/main.go") {
			continue
		}
		problems = append(problems, t.calls(s, map[string][]string{"os": {"Exit"}, "log": {"Fatal", "Fatalf", "Fatalln"}})...)
	}
	return problems
}

func TestOnlyMainExits(t *testing.T) { report(t, exits(loadTree(t))) }

func TestExitRuleCanFail(t *testing.T) {
	mustFind(t, exits(small(t,
		"cmd/a/main.go", "package main\nimport \"os\"\nfunc main() { os.Exit(1) }",
		"cmd/a/b.go", "package main\nimport \"log\"\nfunc f() { log.Fatal(1) }")), "cmd/a/b.go:3")
}
