//go:build failpoint && linux

package crashtest

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// cloud is the engine under test.
type cloud struct {
	dir, addr       string
	lake            string // where its files can be seen
	place, endpoint string // of a lake in a bucket, as audit reaches it; empty: a directory
	config          string
	topics          string // configuration of the Kafka sink, which audit counts too; empty: none
	program         program
}

// newCloud makes an engine of two partitions with short epochs. Nothing runs
// yet.
func newCloud(t *testing.T, dir, data string) *cloud {
	t.Helper()
	c := &cloud{dir: dir, lake: filepath.Join(data, "lake"), addr: freePort(t),
		config: filepath.Join(dir, "engine.yaml")}
	writeText(t, c.config, engineConfig(c, data))
	c.program = program{name: "engine", path: binaries(t).engine, args: []string{"run", "--config", c.config}, dir: dir}
	return c
}

// command runs the engine's program to its end and gives its exit code.
func command(t *testing.T, path string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(fmt.Errorf("run %s: %w", path, err))
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// engineConfig gives the engine's configuration: epochs of a fifth of a second,
// and the landing log on the same disk as the lake.
func engineConfig(c *cloud, data string) string {
	return fmt.Sprintf(`listen: %s
identity: {unauthenticated: true}
landing:
  dir: %s
  partitions: 2
  segment_size: 64KiB
  reserve: 4MiB
lake: {dir: %s}
epoch: {interval: 200ms, records: 500}
drain_timeout: 10s
`, c.addr, filepath.Join(data, "landing"), c.lake)
}

// replayArgs gives the arguments of a replay with short epochs.
func replayArgs(file, lake, gateway string) []string {
	return []string{"replay", file, "--lake", lake, "--gateway", gateway, "--base-time", "2026-01-01T00:00:00Z", "--epoch-records", "1000"}
}
