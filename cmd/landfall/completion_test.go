package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"landfall/cmd/internal/edgecli"
)

// TestBashCompletes: a real bash, with the script that the package brings, asks
// the command for what may follow. What it calls of the package bash-completion
// stands in.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var scripts bytes.Buffer
	edge := edgecli.Command("landfall-edge", "test")
	if err := edge.GenBashCompletionV2(&scripts, false); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The daemons are hidden verbs of this binary, which is a test: see TestMain.
	scripts.WriteString(`
landfall-edge() { shift; "$SELF" __complete ` + edgeVerb + ` "$@"; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
compopt() { :; }
_init_completion() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword - 1]}; } # of bash-completion
_filedir() { COMPREPLY=("files $*"); }
__start_landfall-edge landfall-edge "${@: -1}" "${@: -2:1}" 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
`)
	for _, c := range []struct{ typed, want string }{
		{"sta", "status"},
		{"tap --stage ", "captured received acked"},
		{"tap --format j", "json"},
		{"run --log-level w", "warn"},
		{"check --config ", "files yaml|yml|"},
		{"setup --data-dir ", "files -d"},
		{"run ", ""},
		{"setup --listen ", ""},
	} {
		words := append([]string{"-c", scripts.String(), "bash", "landfall-edge"}, strings.Split(c.typed, " ")...)
		cmd := exec.Command(bash, words...)
		cmd.Env = append(os.Environ(), "SELF="+self)
		out, err := cmd.Output()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != c.want {
			t.Errorf("%q completes to %q, want %q (%v)", c.typed, got, c.want, err)
		}
	}
}
