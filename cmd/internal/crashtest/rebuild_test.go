//go:build failpoint && linux

package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"landfall/edge/durable/failpoint"
)

// rebuildSteps are the failpoints that a repair passes which takes on what lies in the
// lake after an older checkpoint.
func rebuildSteps() (steps []string) {
	for _, name := range failpoint.Names() {
		if strings.HasPrefix(name, "repair.") || strings.HasPrefix(name, "rebuild.") {
			steps = append(steps, name)
		}
	}
	return steps
}

// TestRebuildSurvivesKills puts a whole older _checkpoint over a lake that went on, and
// kills the repair of that at every step. The next one does the rest, whether or not
// an engine claims the task between the two; no file of a table changes, the task goes
// on, and the audit is exact.
func TestRebuildSurvivesKills(t *testing.T) {
	start := seed(t)
	dir := workdir(t)
	file, lake := recording(t, dir, start), filepath.Join(dir, "lake")
	engine := binaries(t).engine
	killReplay(t, engine, file, lake, "c4.after-swap=4")
	older := filepath.Join(dir, "older")
	if err := os.CopyFS(older, os.DirFS(filepath.Join(lake, "_checkpoint"))); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, engine, replayArgs(file, lake, recordedGateway)...); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, stderr)
	}
	for _, step := range rebuildSteps() {
		for _, claimed := range []bool{false, true} {
			if claimed && !strings.HasPrefix(step, "rebuild.") && !strings.HasSuffix(step, "-swap") {
				continue // HEAD and the entries are as at another step
			}
			t.Run(fmt.Sprint(step, " claimed ", claimed), func(t *testing.T) {
				lake := filepath.Join(t.TempDir(), "lake")
				err := errors.Join(os.CopyFS(lake, os.DirFS(filepath.Join(dir, "lake"))), os.RemoveAll(filepath.Join(lake, "_checkpoint")),
					os.CopyFS(filepath.Join(lake, "_checkpoint"), os.DirFS(older)))
				if err != nil {
					t.Fatal(err)
				}
				before := contents(t, lake)
				killRepair(t, engine, lake, step)
				if claimed {
					code, _, stderr := command(t, engine, replayArgs(file, lake, recordedGateway)...)
					if code != 0 && !strings.Contains(stderr, "HEAD was set back") {
						t.Fatalf("replay: exit code %d\n%s", code, stderr)
					}
				}
				if code, stdout, stderr := command(t, engine, "repair", "--lake", lake); code != 0 {
					t.Fatalf("repair: exit code %d\n%s%s", code, stdout, stderr)
				}
				after := contents(t, lake)
				for name, content := range before {
					if !bytes.Equal(after[name], content) {
						t.Errorf("%s is not as it was", name)
					}
				}
				if code, _, stderr := command(t, engine, replayArgs(file, lake, recordedGateway)...); code != 0 {
					t.Errorf("replay: exit code %d\n%s", code, stderr)
				}
				evidence{t: t, dir: dir, lake: lake}.judge("two first logs of a gateway") // a file has none before it
				if code, stdout, stderr := command(t, engine, "audit", "--lake", lake); code != 0 {
					t.Errorf("audit: exit code %d, want 0\n%s%s", code, stdout, stderr)
				}
			})
		}
	}
}

// killReplay runs a replay that kills itself at a step.
func killReplay(t *testing.T, engine, file, lake, step string) {
	t.Helper()
	cmd := exec.Command(engine, replayArgs(file, lake, recordedGateway)...)
	cmd.Env = append(os.Environ(), "LANDFALL_FAILPOINT="+step)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it was not killed at %s: %v\n%s", step, err, out)
	}
}
