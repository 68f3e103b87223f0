package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
)

// TestExitCodesOfEveryVerb: whatever the verb, a command line that is wrong ends
// with 64, and a configuration that is not there with 66, and a word about it on
// stderr.
func TestExitCodesOfEveryVerb(t *testing.T) {
	ends := func(want int, says string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := cli.Run(t.Context(), command(), args, &out, &errs); code != want || !strings.Contains(errs.String(), says) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, code, want, says, out.String(), errs.String())
		}
	}
	configured := 0
	for path, c := range verbs(command()) {
		if strings.Contains(path, " completion ") || strings.HasSuffix(path, " help") {
			continue // cobra's own
		}
		words := strings.Fields(c.CommandPath())[1:]
		ends(cli.ExitUsage, "--nosuch", append(words, "--nosuch")...)
		if !strings.Contains(c.Use, " ") {
			ends(cli.ExitUsage, "extra", append(words, "extra")...)
		}
		if c.Flags().Lookup("config") != nil && !strings.Contains(c.Use, " ") {
			configured++
			ends(cli.ExitNoInput, "no such file", append(words, "--config", filepath.Join(t.TempDir(), "none.yaml"))...)
		}
	}
	if configured < 12 {
		t.Errorf("only %d verbs read a configuration", configured)
	}
}
