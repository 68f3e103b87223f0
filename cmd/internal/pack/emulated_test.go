package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"landfall/cmd/internal/testport"
)

// TestArmGateways runs the gateway's binaries for ARM under QEMU's user mode:
// they capture a file, forward it, and the audit compares byte by byte.
func TestArmGateways(t *testing.T) {
	needs(t, "qemu-aarch64-static", "qemu-arm-static")
	t.Chdir(root)
	r := release{work: t.TempDir(), version: "test"}
	engine := build(t, &r, "landfall-engine", "amd64")
	recording := filepath.Join(r.work, "in.nmea")
	must(t, exec.Command(build(t, &r, "landfall", "amd64"), "simulate", "--to", recording, "--lines", "5000"))
	for arch, emulator := range map[string]string{"arm64": "qemu-aarch64-static", "armhf": "qemu-arm-static"} {
		t.Run(arch, func(t *testing.T) {
			edge, dir, listen := build(t, &r, "landfall-edge", arch), t.TempDir(), freePort(t)
			config := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			engineConfig := config("engine.yaml", fmt.Sprintf("listen: %s\nidentity: {unauthenticated: true}\nlanding: {dir: %s/landing, reserve: 0B}\nlake: {dir: %s/lake}\n", listen, dir, dir))
			edgeConfig := config("edge.yaml", fmt.Sprintf("gateway: arm\ndata_dir: %s/edge\nlog: {reserve: 0B}\nsources:\n  - {name: file, file: {path: %s}}\nforward: {url: \"http://%s/\", linger: 0s}\n", dir, recording, listen))
			ctx, stop := context.WithCancel(t.Context())
			running := exec.CommandContext(ctx, engine, "run", "--config", engineConfig)
			running.Cancel = func() error { return running.Process.Signal(os.Interrupt) }
			running.WaitDelay = time.Minute
			if err := running.Start(); err != nil {
				t.Fatal(err)
			}
			must(t, exec.Command(emulator, edge, "run", "--config", edgeConfig)) // ends when all is forwarded
			stop()
			if err := running.Wait(); running.ProcessState.ExitCode() != 0 {
				t.Fatalf("engine: %v", err)
			}
			out := must(t, exec.Command(engine, "audit", "--lake", dir+"/lake", "--edge-log", dir+"/edge/log"))
			t.Logf("%s", out)
		})
	}
}

func build(t *testing.T, r *release, name, arch string) string {
	t.Helper()
	bin, err := r.build(name, arch)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func must(t *testing.T, c *exec.Cmd) []byte {
	t.Helper()
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", c.Args, err, tail(out))
	}
	return out
}

func freePort(t *testing.T) string {
	t.Helper()
	return testport.Take(t)
}
