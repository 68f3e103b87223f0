// Command mutants proves that the tests can fail: it takes a copy of the tree,
// removes one commit point's fsync, compare or check at a time, and runs the
// tests that must notice. A mutant that no test notices ends it with status 1.
//
// In:  the tree it is run in, and the table in table.go.
// Out: a line a mutant on standard output: what was removed and which test
// went red.
//
//	go run ./cmd/internal/mutants [-run regexp] [-keep]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mutant is one place broken on purpose.
type mutant struct {
	name  string   // what is removed, in words
	file  string   // relative to the module's root
	old   string   // text that stands exactly once in file
	new   string   // what it becomes
	tests []string // arguments of go test that must go red
}

// errSurvived says that a mutant lived.
var errSurvived = errors.New("mutants survived")

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	pattern := flags.String("run", "", "only mutants whose name matches this expression")
	keep := flags.Bool("keep", false, "leave the copy of the tree behind")
	if err := flags.Parse(args); err != nil {
		return err
	}
	only, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("parse -run: %w", err)
	}
	dir, err := os.MkdirTemp("", "landfall-mutants-")
	if err != nil {
		return fmt.Errorf("make a folder for the copy: %w", err)
	}
	if !*keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	if err := copyTree(ctx, dir); err != nil {
		return err
	}
	survived, tried := 0, 0
	fmt.Fprintf(out, "| # | removed | in | noticed by | s |\n|---|---|---|---|---|\n")
	for i, m := range table() {
		if !only.MatchString(m.name) {
			continue
		}
		tried++
		start := time.Now()
		by, err := try(ctx, dir, &m)
		if err != nil {
			return fmt.Errorf("mutant %d (%s): %w", i+1, m.name, err)
		}
		if by == "" {
			survived++
			by = "NOTHING: it survived"
		}
		fmt.Fprintf(out, "| %d | %s | %s | %s | %.0f |\n", i+1, m.name, m.file, by, time.Since(start).Seconds())
	}
	fmt.Fprintf(out, "\n%d mutants, %d noticed, %d survived\n", tried, tried-survived, survived)
	if tried == 0 {
		return fmt.Errorf("no mutant matches %q", *pattern)
	}
	if survived > 0 {
		return errSurvived
	}
	return nil
}

// copyTree copies the files git knows of, and new ones it does not ignore, as
// they are in the working tree.
func copyTree(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("list the tree: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
		target := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
		if err := os.WriteFile(target, data, 0o755); err != nil {
			return fmt.Errorf("copy the tree: %w", err)
		}
	}
	return nil
}

// try breaks one place, runs the tests, and mends it again. It gives the names
// of the tests that went red.
func try(ctx context.Context, dir string, m *mutant) (string, error) {
	path := filepath.Join(dir, m.file)
	whole, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the place: %w", err)
	}
	broken, err := apply(string(whole), m)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		return "", fmt.Errorf("break the place: %w", err)
	}
	defer func() { _ = os.WriteFile(path, whole, 0o644) }()
	build := exec.CommandContext(ctx, "go", "vet", "./"+filepath.Dir(m.file))
	if strings.HasPrefix(m.file, "firmware/") {
		build = exec.CommandContext(ctx, "make", "-C", "firmware", "host")
	}
	if strings.HasSuffix(m.file, ".md") { // lines that a test takes from a page
		build = exec.CommandContext(ctx, "go", "version")
	}
	build.Dir = dir
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile, so no test can judge it: %s", text)
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-timeout=300s"}, m.tests...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LANDFALL_CORPUS="+corpus())
	text, err := cmd.CombinedOutput()
	if err == nil {
		return "", nil
	}
	return redTests(string(text)), nil
}

// apply replaces the one place.
func apply(whole string, m *mutant) (string, error) {
	if n := strings.Count(whole, m.old); n != 1 {
		return "", fmt.Errorf("the place stands %d times in %s, not once", n, m.file)
	}
	return strings.Replace(whole, m.old, m.new, 1), nil
}

// corpus is the folder of real sentences as the copy must be told it.
func corpus() string {
	if dir := os.Getenv("LANDFALL_CORPUS"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs("../shared/data/ais")
	if err != nil {
		return ""
	}
	return dir
}

var failLine = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// redTests names the failed top-level tests in a run's output.
func redTests(text string) string {
	var names []string
	for _, m := range failLine.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		return "the test binary did not end (panic or timeout)"
	}
	return strings.Join(names, ", ")
}
