// Command testreport reads the output of go test -json and prints what plain
// go test prints, and after it every test that was skipped, with its reason:
// plain go test does not say, and a skipped test proves nothing.
//
// In:  test2json events on standard input.
// Out: text on standard output. The exit status is go test's own business: the
// caller's shell has pipefail set.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of go test -json (cmd/test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

func main() {
	if err := report(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

// report copies what plain go test would print and lists the skipped tests.
func report(in io.Reader, out io.Writer) error {
	r := reporter{out: out, output: map[string][]string{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "build-output", Output: string(line)} // not an event: go's own words
			}
			r.take(e)
		}
		if err == io.EOF {
			return r.end()
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

type reporter struct {
	out     io.Writer
	output  map[string][]string // of each test that has not ended
	skipped []string
}

func (r *reporter) take(e event) {
	key := e.Package + "." + e.Test
	switch {
	case e.Action == "build-output" || e.Action == "output" && e.Test == "" && !quiet(e.Output):
		r.print(e.Output)
	case e.Action == "output":
		r.output[key] = append(r.output[key], e.Output)
	case e.Test == "":
	case e.Action == "fail":
		for _, o := range r.output[key] {
			if !strings.HasPrefix(o, "=== ") {
				r.print(o)
			}
		}
		delete(r.output, key)
	case e.Action == "skip":
		r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output[key])))
		delete(r.output, key)
	case e.Action == "pass":
		delete(r.output, key)
	}
}

func (r *reporter) print(s string) { _, _ = io.WriteString(r.out, s) }

// quiet tells what plain go test does not print of a package that passes.
func quiet(output string) bool {
	return output == "PASS\n" || strings.HasPrefix(output, "=== ") || strings.HasPrefix(output, "coverage: ")
}

// reason is what the test said when it was skipped.
func reason(output []string) string {
	for _, o := range output {
		if s := strings.TrimSpace(o); !strings.HasPrefix(s, "=== ") && !strings.HasPrefix(s, "--- ") {
			return s
		}
	}
	return "no reason given"
}

func (r *reporter) end() error {
	if len(r.skipped) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(r.out, "%d tests were skipped:\n    %s\n", len(r.skipped), strings.Join(r.skipped, "\n    "))
	return err
}
