//go:build failpoint && linux

package crashtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// rebuilding is a lake that went on, and a whole _checkpoint of before.
type rebuilding struct {
	dir, file, older string
	engine           string
	// damage is done to each copy of the lake; nil: none.
	damage func(t *testing.T, lake string)
	// check looks at what came out in the end.
	check func(t *testing.T, lake string)
	steps []string
	// changed says that files of the tables may be others afterwards.
	changed bool
}

// newRebuilding replays a recording, and keeps the checkpoints of its fourth epoch.
func newRebuilding(t *testing.T) *rebuilding {
	t.Helper()
	dir := workdir(t)
	r := &rebuilding{dir: dir, file: recording(t, dir, seed(t)), older: filepath.Join(dir, "older"), engine: binaries(t).engine, steps: rebuildSteps()}
	lake := filepath.Join(dir, "lake")
	killReplay(t, r.engine, r.file, lake, "c4.after-swap=4")
	if err := os.CopyFS(r.older, os.DirFS(filepath.Join(lake, "_checkpoint"))); err != nil {
		t.Fatal(err)
	}
	r.check = func(t *testing.T, lake string) {
		evidence{t: t, dir: dir, lake: lake}.judge("two first logs of a gateway") // a file has none before it
		if code, stdout, stderr := command(t, r.engine, "audit", "--lake", lake); code != 0 {
			t.Errorf("audit: exit code %d, want 0\n%s%s", code, stdout, stderr)
		}
	}
	return r
}

// goOn replays the rest.
func (r *rebuilding) goOn(t *testing.T, lake string) {
	t.Helper()
	if code, _, stderr := command(t, r.engine, replayArgs(r.file, lake, recordedGateway)...); code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, stderr)
	}
}

// kill puts the checkpoints of before over copies of the lake, and kills the repair of that
// at each step. The next one does the rest, whether or not an engine claims the task between
// the two; the task goes on.
func (r *rebuilding) kill(t *testing.T) {
	for _, step := range r.steps {
		for _, claimed := range []bool{false, true} {
			if claimed && !strings.HasPrefix(step, "rebuild.") && !strings.HasSuffix(step, "-swap") {
				continue // HEAD and the entries are as at another step
			}
			t.Run(fmt.Sprint(step, " claimed ", claimed), func(t *testing.T) {
				lake := filepath.Join(t.TempDir(), "lake")
				err := errors.Join(os.CopyFS(lake, os.DirFS(filepath.Join(r.dir, "lake"))), os.RemoveAll(filepath.Join(lake, "_checkpoint")),
					os.CopyFS(filepath.Join(lake, "_checkpoint"), os.DirFS(r.older)))
				if err != nil {
					t.Fatal(err)
				}
				if r.damage != nil {
					r.damage(t, lake)
				}
				before := contents(t, lake)
				killRepair(t, r.engine, lake, step)
				if claimed {
					code, _, stderr := command(t, r.engine, replayArgs(r.file, lake, recordedGateway)...)
					if code != 0 && !strings.Contains(stderr, "HEAD was set back") && !strings.Contains(stderr, "visible with other content") {
						t.Fatalf("replay: exit code %d\n%s", code, stderr)
					}
				}
				if code, stdout, stderr := command(t, r.engine, "repair", "--lake", lake); code != 0 {
					t.Fatalf("repair: exit code %d\n%s%s", code, stdout, stderr)
				}
				after := contents(t, lake)
				for name, content := range before {
					if !r.changed && !bytes.Equal(after[name], content) {
						t.Errorf("%s is not as it was", name)
					}
				}
				r.goOn(t, lake)
				r.check(t, lake)
			})
		}
	}
}

// TestRebuildSurvivesKills puts a whole older _checkpoint over a lake that went on, and
// kills the repair of that at every step. The next one does the rest, whether or not
// an engine claims the task between the two; no file of a table changes, the task goes
// on, and the audit is exact.
func TestRebuildSurvivesKills(t *testing.T) {
	r := newRebuilding(t)
	r.goOn(t, filepath.Join(r.dir, "lake"))
	r.kill(t)
}

// TestRebuildOfADamagedLakeSurvivesKills does that where a file of a typed table is gone
// besides, and another one damaged.
func TestRebuildOfADamagedLakeSurvivesKills(t *testing.T) {
	r := newRebuilding(t)
	lake := filepath.Join(r.dir, "lake")
	known := contents(t, lake)
	r.goOn(t, lake)
	r.changed, r.damage = true, func(t *testing.T, lake string) {
		files := contents(t, lake)
		maps.DeleteFunc(files, func(name string, _ []byte) bool {
			_, old := known[filepath.Join(r.dir, "lake", strings.TrimPrefix(name, lake))]
			return old
		})
		damageLake(t, files, 0)
	}
	r.kill(t)
}

// TestRebuildUnderABlockThatWasSetAsideSurvivesKills does that where an epoch since has set
// a block aside.
func TestRebuildUnderABlockThatWasSetAsideSurvivesKills(t *testing.T) {
	r := newRebuilding(t)
	lake := filepath.Join(r.dir, "lake")
	deaths := 0
	for died := true; died; deaths++ {
		if deaths > 12 {
			t.Fatal("the block is not set aside")
		}
		cmd := exec.Command(r.engine, replayArgs(r.file, lake, recordedGateway)...)
		cmd.Env = append(os.Environ(), "LANDFALL_POISON="+lineNear(t, r.file, 7, 10))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if died = errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; !died && err != nil {
			t.Fatalf("replay: %v\n%s", err, out)
		}
	}
	if deaths < 2 {
		t.Fatal("no process died of the line")
	}
	r.check = func(t *testing.T, lake string) {
		code, stdout, stderr := command(t, r.engine, "audit", "--lake", lake, "--level", "bytes", "--json")
		var a struct {
			Findings []struct {
				Kind string `json:"kind"`
			} `json:"findings"`
			Logs []struct {
				Captured uint64 `json:"captured"`
				Recorded uint64 `json:"recorded"`
				SetAside uint64 `json:"set_aside"`
			} `json:"logs"`
		}
		if err := json.Unmarshal([]byte(stdout), &a); err != nil || code == 0 || len(a.Findings) != 1 || a.Findings[0].Kind != "set_aside" {
			t.Fatalf("audit: exit code %d, %v\n%s%s", code, err, stdout, stderr)
		}
		for _, l := range a.Logs {
			if l.SetAside == 0 || l.Captured != l.Recorded+l.SetAside {
				t.Errorf("%+v", l)
			}
		}
	}
	r.kill(t)
}

// lineNear returns a line that is in a file once, so many parts of it on; of a sentence what follows its tag block.
func lineNear(t *testing.T, file string, part, of int) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for _, line := range lines[len(lines)*part/of:] {
		line = strings.TrimSpace(line[max(0, strings.Index(line, "!")):])
		if len(line) > 20 && bytes.Count(data, []byte(line)) == 1 {
			return line
		}
	}
	t.Fatal("no line is there once")
	return ""
}

// TestRebuildOfAReusedCheckpointSurvivesKills does that where an engine went on from the
// older checkpoint, in larger epochs whose numbers the lake has given to others.
func TestRebuildOfAReusedCheckpointSurvivesKills(t *testing.T) {
	r := newRebuilding(t)
	lake, other := filepath.Join(r.dir, "lake"), filepath.Join(r.dir, "other")
	if err := os.CopyFS(other, os.DirFS(lake)); err != nil {
		t.Fatal(err)
	}
	r.goOn(t, lake)
	cmd := exec.Command(r.engine, append(replayArgs(r.file, other, recordedGateway), "--epoch-records", "1700")...)
	cmd.Env = append(os.Environ(), "LANDFALL_FAILPOINT=c4.after-swap=2")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Fatalf("it was not killed\n%s", out)
	}
	if err := errors.Join(os.RemoveAll(r.older), os.CopyFS(r.older, os.DirFS(filepath.Join(other, "_checkpoint")))); err != nil {
		t.Fatal(err)
	}
	r.damage = func(t *testing.T, lake string) {
		staging := filepath.Join(lake, "_staging")
		if err := errors.Join(os.RemoveAll(staging), os.CopyFS(staging, os.DirFS(filepath.Join(other, "_staging")))); err != nil {
			t.Fatal(err)
		}
	}
	r.kill(t)
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
