package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// imageSizes finds what README says of the images' sizes.
var imageSizes = regexp.MustCompile("makes the engine's image\\s\\(([0-9]+) MB\\), `--target edge` the gateway's \\(([0-9]+) MB\\)")

// saidSize is how many bytes README says that an image has, in whole megabytes. dir is
// the root of the tree.
func saidSize(t *testing.T, dir, name string) int64 {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := imageSizes.FindSubmatch(page)
	if m == nil {
		t.Fatal("README does not say how large the images are")
	}
	said, err := strconv.ParseInt(string(m[map[string]int{"engine": 1, "edge": 2}[name]]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return said * 1e6
}

// TestSizesOfImagesAreSaid: README says a size of each image; TestContainers holds the
// images to it.
func TestSizesOfImagesAreSaid(t *testing.T) {
	if edge, engine := saidSize(t, "../../..", "edge"), saidSize(t, "../../..", "engine"); edge < 5e6 ||
		edge >= engine || engine > 40e6 {
		t.Errorf("%d and %d bytes", edge, engine)
	}
}

// TestContainers builds the images of the Dockerfile with buildah and runs them with
// podman, as strangers to this machine: their own user, a root that nobody
// writes to, and a volume each. What the gateway's container captures lies in
// Parquet in the engine's volume, to the byte; both end in order on SIGTERM.
// With LANDFALL_SOAK=1 the same is done for arm64, under QEMU's user mode.
func TestContainers(t *testing.T) {
	needs(t, "podman", "buildah", "runc", "busybox")
	if os.Getuid() != 0 {
		t.Skip("a container is built here by root only")
	}
	s := newStore(t)
	recording := filepath.Join(s.dir, "in.nmea")
	r := release{work: s.dir, version: "test"}
	t.Chdir(root)
	must(t, exec.Command(build(t, &r, "landfall", runtime.GOARCH), "simulate", "--to", recording, "--lines", fmt.Sprint(recorded)))
	if err := os.Chmod(recording, 0o644); err != nil {
		t.Fatal(err)
	}
	s.goBase()
	for _, arch := range []string{runtime.GOARCH, "arm64"} {
		if arch != runtime.GOARCH && os.Getenv("LANDFALL_SOAK") != "1" {
			t.Logf("not %s: LANDFALL_SOAK=1", arch)
			continue
		}
		c := containers{store: s, t: t, arch: arch, recording: recording}
		if arch != runtime.GOARCH {
			needs(t, "qemu-aarch64-static")
			emulator, _ := exec.LookPath("qemu-aarch64-static")
			c.emulator = emulator
		}
		c.build("engine", nil)
		c.build("edge", []string{"--target", "edge"})
		c.live()
	}
}

// recorded is how many lines the recording has.
const recorded = 5000

// store is where images and containers lie, of this test alone.
type store struct {
	t   *testing.T
	dir string
}

func newStore(t *testing.T) *store {
	s := &store{t, t.TempDir()}
	t.Cleanup(func() {
		for _, c := range [][]string{{"podman", "rm", "--all", "--force", "--time", "0"}, {"podman", "volume", "rm", "--all"}, {"buildah", "rm", "--all"}, {"buildah", "rmi", "--all", "--force"}} {
			if out, err := s.command(c[0], c[1:]...).CombinedOutput(); err != nil {
				t.Logf("%v: %v\n%s", c, err, tail(out))
			}
		}
	})
	return s
}

// command is podman or buildah at this store. There is neither systemd nor a
// network of its own to rely on.
func (s *store) command(name string, args ...string) *exec.Cmd {
	all := []string{"--root", s.dir + "/images", "--runroot", s.dir + "/run", "--storage-driver", "vfs"}
	if name == "podman" {
		all = append(all, "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--tmpdir", s.dir+"/tmp", "--volumepath", s.dir+"/volumes")
	}
	return exec.Command(name, append(all, args...)...)
}

func (s *store) do(name string, args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(string(must(s.t, s.command(name, args...))))
}

// golang is the image that the Dockerfile builds in.
const golang = "docker.io/library/golang:1.26.11"

// goBase makes an image of that name: a shell, and an environment for the Go of this
// machine, which is mounted when something is built, as are its caches. No
// registry is asked.
func (s *store) goBase() {
	s.t.Helper()
	base := filepath.Join(s.dir, "base")
	if err := errors.Join(os.MkdirAll(base+"/bin", 0o755), os.MkdirAll(base+"/tmp", 0o755)); err != nil {
		s.t.Fatal(err)
	}
	busybox, _ := exec.LookPath("busybox")
	must(s.t, exec.Command("cp", busybox, base+"/bin/busybox"))
	must(s.t, exec.Command(base+"/bin/busybox", "--install", base+"/bin"))
	must(s.t, exec.Command("tar", "--create", "--file", base+".tar", "--directory", base, "."))
	args := []string{"import"}
	for _, e := range []string{"PATH=/usr/local/go/bin:/bin", "GOTOOLCHAIN=local", "GOMODCACHE=/go/pkg/mod", "GOCACHE=/go/cache", "GOPROXY=" + goEnv(s.t, "GOPROXY"), "GOSUMDB=" + goEnv(s.t, "GOSUMDB")} {
		args = append(args, "--change", "ENV "+e)
	}
	s.do("podman", append(args, base+".tar", golang)...)
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(string(must(t, exec.Command("go", "env", name))))
}

// containers are the two images and what runs of them, for one architecture.
type containers struct {
	*store
	t               *testing.T
	arch, recording string
	emulator        string // what runs programs of another architecture
}

func (c *containers) image(name string) string {
	return "localhost/landfall-" + name + ":" + c.arch
}

// build makes an image and looks at what it says of itself.
func (c *containers) build(name string, args []string) {
	c.t.Helper()
	begin := time.Now()
	all := []string{"bud", "--isolation", "chroot", "--network", "host", "--format", "docker", "--pull-never", "--layers", "--tag", c.image(name)}
	for from, to := range map[string]string{goEnv(c.t, "GOROOT"): "/usr/local/go:ro", goEnv(c.t, "GOMODCACHE"): "/go/pkg/mod", goEnv(c.t, "GOCACHE"): "/go/cache", "/etc/ssl/certs": "/etc/ssl/certs:ro"} {
		all = append(all, "--volume", from+":"+to)
	}
	if c.emulator != "" {
		all = append(all, "--platform", "linux/"+c.arch, "--build-arg", "BUILDPLATFORM=linux/"+runtime.GOARCH)
	}
	c.do("buildah", append(append(all, args...), ".")...)
	var images []struct {
		Size         int64
		Architecture string
		Healthcheck  struct{ Test []string }
		Config       struct {
			User    string
			Volumes map[string]any
		}
	}
	if err := json.Unmarshal([]byte(c.do("podman", "image", "inspect", c.image(name))), &images); err != nil || len(images) != 1 {
		c.t.Fatalf("%d images: %v", len(images), err)
	}
	i := images[0]
	c.t.Logf("%s for %s: %.1f MB, %v", name, i.Architecture, float64(i.Size)/1e6, time.Since(begin).Round(100*time.Millisecond))
	if said := saidSize(c.t, ".", name); i.Size > said*11/10 || i.Size < said*9/10 {
		c.t.Errorf("%s has %d bytes, README says %d", name, i.Size, said)
	}
	health := []string{"CMD", "/usr/bin/landfall-" + name, "health", "--ready"}
	if _, volume := i.Config.Volumes["/var/lib/landfall"]; i.Architecture != c.arch || i.Config.User != "65532:65532" || !volume || !slices.Equal(i.Healthcheck.Test, health) {
		c.t.Errorf("%s: %+v", name, i)
	}
}

// volume is the name of a daemon's volume.
func volume(name, arch string) string { return "landfall-" + name + "-" + arch }

// run gives the command that runs a program in a container that is gone after:
// with a volume, nothing else to write to, and as the image's user.
func (c *containers) run(name, config string, more ...string) []string {
	args := []string{"--network", "host", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096",
		"--volume", volume(name, c.arch) + ":/var/lib/landfall", "--volume", config + ":/etc/landfall/" + name + ".yaml:ro", "--volume", c.recording + ":/recording.nmea:ro"}
	args = append(args, more...)
	if c.emulator != "" {
		args = append(args, "--volume", c.emulator+":/emulator:ro", "--entrypoint", `["/emulator"]`, "--arch", c.arch)
	}
	return append(args, c.image(name))
}

// verb runs a verb of a program in a container and gives its exit code.
func (c *containers) verb(name string, args []string, verb ...string) (string, int) {
	c.t.Helper()
	all := append([]string{"run", "--rm"}, args...)
	cmd := c.command("podman", append(append(all, program(name)), verb...)...)
	out, _ := cmd.CombinedOutput() // its code says it
	return string(out), cmd.ProcessState.ExitCode()
}

// program is where an image has its program.
func program(name string) string { return "/usr/bin/landfall-" + name }

// start runs what an image runs by itself, until stop.
func (c *containers) start(name, config string) {
	c.t.Helper()
	args := append([]string{"run", "--detach", "--name", name + c.arch}, c.run(name, config)...)
	if c.emulator != "" {
		args = append(args, program(name), "run")
	}
	c.do("podman", args...)
}

// wait waits for a condition and gives up after a minute.
func (c *containers) wait(name, what string, ok func() (string, bool)) {
	c.t.Helper()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for {
		said, is := ok()
		if is {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			logs, _ := c.command("podman", "logs", name+c.arch).CombinedOutput()
			c.t.Fatalf("not within a minute: %s: %s\n%s", what, said, logs)
		}
	}
}

// healthy waits until the image's own health check passes.
func (c *containers) healthy(name string) {
	c.t.Helper()
	check := []string{"healthcheck", "run", name + c.arch}
	if c.emulator != "" {
		check = []string{"exec", name + c.arch, "/emulator", program(name), "health", "--ready"}
	}
	c.wait(name, name+" is healthy", func() (string, bool) {
		out, err := c.command("podman", check...).CombinedOutput()
		return string(out), err == nil
	})
}

// stop is SIGTERM; the process ends by itself, and well.
func (c *containers) stop(name string) {
	c.t.Helper()
	c.do("podman", "stop", "--time", "60", name+c.arch)
	if code := c.do("podman", "container", "inspect", "--format", "{{.State.ExitCode}}", name+c.arch); code != "0" {
		c.t.Errorf("%s ended with %s\n%s", name, code, c.do("podman", "logs", name+c.arch))
	}
}

// delivered tells whether a gateway has captured and delivered so many lines.
func delivered(status string, lines uint64) (string, bool) {
	resp, err := http.Get("http://" + status + "/status")
	if err != nil {
		return err.Error(), false
	}
	var s struct {
		Sources []struct{ Lines uint64 }
		Forward struct {
			Pending uint64
			Acked   uint64 `json:"acked_records"`
		}
	}
	err = errors.Join(json.NewDecoder(resp.Body).Decode(&s), resp.Body.Close())
	return fmt.Sprintf("%+v, %v", s, err), err == nil && len(s.Sources) == 1 && s.Sources[0].Lines == lines && s.Forward.Acked > 0 && s.Forward.Pending == 0
}

// live: a file flows through both containers into Parquet.
func (c *containers) live() {
	dir, listen, engineStatus, edgeStatus := c.t.TempDir(), freePort(c.t), freePort(c.t), freePort(c.t)
	config := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			c.t.Fatal(err)
		}
		return path
	}
	engine := config("engine.yaml", fmt.Sprintf("listen: %s\nstatus: %s\nidentity: {unauthenticated: true}\nlanding: {dir: /var/lib/landfall/landing, reserve: 0B}\nlake: {dir: /var/lib/landfall/lake}\n", listen, engineStatus))
	edge := config("edge.yaml", fmt.Sprintf("gateway: box\ndata_dir: /var/lib/landfall/edge\nstatus: %s\nlog: {reserve: 0B}\nsources:\n  - {name: file, file: {path: /recording.nmea, follow: true}}\nforward: {url: \"http://%s/\", linger: 0s}\n", edgeStatus, listen))
	if out, code := c.verb("engine", c.run("engine", config("broken.yaml", "listne: x\n")), "run"); code != 78 || !strings.Contains(out, "/etc/landfall/engine.yaml:1") {
		c.t.Errorf("a configuration that cannot be used: exit code %d\n%s", code, out)
	}
	c.start("engine", engine)
	c.start("edge", edge)
	c.wait("edge", "all is delivered", func() (string, bool) { return delivered(edgeStatus, recorded) })
	c.healthy("engine")
	c.healthy("edge")
	c.stop("edge")
	c.stop("engine")
	both := c.run("engine", engine, "--volume", volume("edge", c.arch)+":/gateway:ro")
	out, code := c.verb("engine", both, "audit", "--lake", "/var/lib/landfall/lake", "--edge-log", "/gateway/edge/log")
	if code != 0 {
		c.t.Errorf("audit: exit code %d", code)
	}
	c.t.Logf("%s", out)
}
