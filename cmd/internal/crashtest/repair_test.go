//go:build failpoint && linux

package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"landfall/edge/durable/failpoint"
)

// repairSteps are the failpoints that a repair passes.
func repairSteps() (steps []string) {
	for _, name := range failpoint.Names() {
		if strings.HasPrefix(name, "repair.") || name == "c5.after-rename" || name == "c5.before-verify" {
			steps = append(steps, name)
		}
	}
	return steps
}

// TestRepairSurvivesKills kills a repair at every step. The next one puts every
// file right with the bytes that it had, whether or not an engine claims the task
// between the two, and the audit is exact.
func TestRepairSurvivesKills(t *testing.T) {
	start := seed(t)
	dir := workdir(t)
	file, lake := recording(t, dir, start), filepath.Join(dir, "lake")
	engine := binaries(t).engine
	if code, _, stderr := command(t, engine, replayArgs(file, lake, recordedGateway)...); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, stderr)
	}
	before := contents(t, lake)
	damaged := 0
	for _, step := range repairSteps() {
		for _, claimed := range []bool{false, true} {
			t.Run(fmt.Sprint(step, " claimed ", claimed), func(t *testing.T) {
				damageLake(t, before, damaged)
				damaged += 2
				damageCheckpoints(t, lake, step)
				killRepair(t, engine, lake, step)
				if claimed { // the same content again: the task is claimed, or refused where the newest epoch is damaged
					code, _, stderr := command(t, engine, replayArgs(file, lake, recordedGateway)...)
					if code != 0 && !strings.Contains(stderr, "output is damaged") && !strings.Contains(stderr, "state object") {
						t.Fatalf("replay: exit code %d\n%s", code, stderr)
					}
				}
				if code, stdout, stderr := command(t, engine, "repair", "--lake", lake); code != 0 {
					t.Fatalf("repair: exit code %d\n%s%s", code, stdout, stderr)
				}
				if left, _ := filepath.Glob(filepath.Join(lake, "_repair*")); len(left) > 0 {
					t.Errorf("what the killed repair worked in is still there: %v", left)
				}
				after := contents(t, lake)
				for name, content := range before {
					if !bytes.Equal(after[name], content) {
						t.Errorf("%s is not as it was", name)
					}
				}
				if len(after) != len(before) {
					t.Errorf("%d files, were %d", len(after), len(before))
				}
			})
		}
	}
	if code, _, stderr := command(t, engine, replayArgs(file, lake, recordedGateway)...); code != 0 {
		t.Errorf("replay: exit code %d\n%s", code, stderr)
	}
	evidence{t: t, dir: dir, lake: lake}.judge("two first logs of a gateway") // a file has none before it
	if code, stdout, stderr := command(t, engine, "audit", "--lake", lake); code != 0 {
		t.Errorf("audit: exit code %d, want 0\n%s%s", code, stdout, stderr)
	}
}

// contents reads every file of every table.
func contents(t *testing.T, lake string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(lake, "*", "dt=*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		if strings.Contains(name, "/_") {
			continue
		}
		if files[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// damageLake removes one typed file and changes a bit of the next.
func damageLake(t *testing.T, files map[string][]byte, n int) {
	t.Helper()
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(name string) bool { return !strings.Contains(name, "/ais_") })
	if len(names) < n+2 {
		t.Fatalf("%d files", len(names))
	}
	data := bytes.Clone(files[names[n+1]])
	data[len(data)/2] ^= 1
	if err := errors.Join(os.Remove(names[n]), os.Remove(names[n+1]), os.WriteFile(names[n+1], data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// damageCheckpoints takes away what a step is passed for: the state, or a bit of an
// entry of the ledger.
func damageCheckpoints(t *testing.T, lake, step string) {
	t.Helper()
	pattern := map[string]string{"repair.after-state": "state/[0-9]*", "repair.before-put-back": "ledger/[0-9f]*"}[step]
	if pattern == "" {
		return
	}
	names, err := filepath.Glob(filepath.Join(lake, "_checkpoint", "*", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v: nothing matches %s", err, pattern)
	}
	if step == "repair.after-state" {
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(names[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// killRepair runs a repair that kills itself at a step.
func killRepair(t *testing.T, engine, lake, step string, more ...string) {
	t.Helper()
	cmd := exec.Command(engine, append([]string{"repair", "--lake", lake}, more...)...)
	cmd.Env = append(os.Environ(), "LANDFALL_FAILPOINT="+step+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it was not killed at %s: %v\n%s", step, err, out)
	}
}
