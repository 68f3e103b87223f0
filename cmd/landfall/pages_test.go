package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	// inCode finds code in a line of a page; a line that is indented by four is code.
	inCode = regexp.MustCompile("`([^`]+)`")
	// flagName finds a flag in a command.
	flagName = regexp.MustCompile(`^--?[a-z][a-z0-9-]*`)
)

// notOurs are flags that pages name of other programs, by the page's text.
func notOurs() []string {
	return []string{"--format docker", "--target edge", "--memory 384m", "--new"}
}

// pageCommands lists what is wrong with the commands that a page names: each verb of
// ours, and each flag, is one that the programs have.
func pageCommands(name, page string, all map[string]*cobra.Command) (problems []string, seen int) {
	for n, line := range strings.Split(page, "\n") {
		var codes []string
		if strings.HasPrefix(line, "    ") {
			codes = []string{line}
		}
		for _, m := range inCode.FindAllStringSubmatch(line, -1) {
			codes = append(codes, m[1])
		}
		for _, code := range codes {
			code, _, _ = strings.Cut(code, " # ")
			for part := range strings.SplitSeq(strings.NewReplacer("&&", "|", "sudo ", "", "go run ./cmd/", "").Replace(code), "|") {
				wrong, isOurs := commandProblem(strings.Fields(part), all)
				if isOurs {
					seen++
				}
				if wrong != "" {
					problems = append(problems, fmt.Sprintf("%s:%d: %s: %s", name, n+1, strings.TrimSpace(part), wrong))
				}
			}
		}
	}
	return problems, seen
}

// commandProblem tells what is wrong with a command, and whether it is one of ours. One
// that begins with a flag is of whichever verb has it.
func commandProblem(words []string, all map[string]*cobra.Command) (wrong string, isOurs bool) {
	if len(words) == 0 {
		return "", false
	}
	if strings.HasPrefix(words[0], "--") {
		if slices.ContainsFunc(notOurs(), func(f string) bool { return strings.HasPrefix(strings.Join(words, " "), f) }) {
			return "", false
		}
		for _, c := range all {
			if lacking(c, words) == "" {
				return "", true
			}
		}
		return "no verb has it", true
	}
	if words[0] != "landfall" && words[0] != "landfall-edge" && words[0] != "landfall-engine" || len(words) == 1 {
		return "", false
	}
	at := 1
	for at < len(words) && regexp.MustCompile(`^[a-z]+$`).MatchString(words[at]) && isVerb(strings.Join(words[:at+1], " "), all) {
		at++
	}
	c := all[strings.Join(words[:at], " ")]
	switch {
	case c == nil && at == 1 && !strings.HasPrefix(words[1], "-") && regexp.MustCompile(`^[a-z]+$`).MatchString(words[1]):
		return "no such verb", true
	case c == nil:
		return "", false
	}
	if f := lacking(c, words[at:]); f != "" {
		return "has no flag " + f, true
	}
	return "", true
}

// isVerb tells whether a path is that of a verb, or the beginning of one.
func isVerb(path string, all map[string]*cobra.Command) bool {
	for p := range all {
		if p == path || strings.HasPrefix(p, path+" ") {
			return true
		}
	}
	return false
}

// lacking returns the first flag that a verb has not.
func lacking(c *cobra.Command, words []string) string {
	for _, w := range words {
		f := flagName.FindString(strings.Trim(w, "[]"))
		has := func(flags *pflag.FlagSet) bool {
			if strings.HasPrefix(f, "--") {
				return flags.Lookup(f[2:]) != nil
			}
			return len(f) == 2 && flags.ShorthandLookup(f[1:]) != nil
		}
		if f != "" && !has(c.Flags()) && !has(c.InheritedFlags()) && f != "--help" && f != "-h" && f != "--version" {
			return f
		}
	}
	return ""
}

// TestPagesNameVerbsAndFlags: each command of ours that README and docs show has a verb
// and flags that there are.
func TestPagesNameVerbsAndFlags(t *testing.T) {
	all, commands := verbs(command()), 0
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d pages, %v", len(names), err)
	}
	for _, name := range append(names, "../../README.md", "../../firmware/README.md") {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		problems, seen := pageCommands(filepath.Base(name), string(page), all)
		commands += seen
		for _, p := range problems {
			t.Error(p)
		}
	}
	if commands < 120 {
		t.Errorf("only %d commands found", commands)
	}
}

func TestPagesRuleCanFail(t *testing.T) {
	page := "`landfall-edge tap --stage acked` and `landfall-edge tab` and `--no-such-flag`\n" +
		"    sudo landfall-engine audit --lake DIR --deep && landfall-engine check -c x # not --this\n    landfall cert init | landfall-engine landing replace -x\n"
	problems, seen := pageCommands("p", page, verbs(command()))
	want := []string{"p:1: landfall-edge tab: no such verb", "p:1: --no-such-flag: no verb has it", "--deep", "landing replace -x: has no flag -x"}
	if seen != 7 || len(problems) != len(want) {
		t.Fatalf("%d commands, %q", seen, problems)
	}
	for i, w := range want {
		if !strings.Contains(problems[i], w) {
			t.Errorf("%q, want %q", problems[i], w)
		}
	}
}
