// Command pack makes the Debian packages of a release: landfall-edge,
// landfall-engine and landfall, for amd64, arm64 and armhf.
//
// In:  the tree it is run in; nfpm, through go run; VERSION and
// SOURCE_DATE_EPOCH, which default to what git says.
// Out: dist/*.deb, the same bytes from the same sources wherever it runs.
//
//	go run ./cmd/internal/pack [-arch amd64,arm64,armhf] [-version V] [-out dist] [-compression xz]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// nfpm makes the packages; newer versions need a newer Go.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0"

// release is one run.
type release struct {
	work, out string // directories
	version   string
	epoch     int64 // seconds since 1970; the date of everything

	compression string // of the packages, as nfpm names it
}

// part is one package.
type part struct {
	name, section, summary, description string
	service                             bool
}

func parts() []part {
	return []part{
		{"landfall-edge", "net", "AIS and sensor gateway that delivers exactly once",
			"Captures AIS and sensor data from serial lines, sockets and files into a\ndurable log and forwards it over thin, metered and broken links.", true},
		{"landfall-engine", "net", "engine that turns what gateways deliver into Parquet",
			"Lands what Landfall gateways send, decodes it into typed tables of Parquet\nand commits them exactly once.", true},
		{"landfall", "net", "demo, simulator, benchmark and certificates of Landfall",
			"Shows the whole chain on one machine, simulates AIS traffic, measures, and\nkeeps a small private certificate authority for gateways and engine.", false},
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("pack", flag.ContinueOnError)
	arches := f.String("arch", "amd64,arm64,armhf", "Debian architectures")
	version := f.String("version", os.Getenv("VERSION"), "version of the packages; default: from git")
	out := f.String("out", "dist", "directory for the packages")
	compression := f.String("compression", "xz", "of the packages; gzip takes a third of the time")
	if err := f.Parse(args); err != nil {
		return err
	}
	r := release{out: *out, version: *version, compression: *compression}
	var err error
	if r.epoch, err = epoch(); err != nil {
		return err
	}
	if r.version == "" {
		r.version = fmt.Sprintf("0.1.0~git%s.%s", time.Unix(r.epoch, 0).UTC().Format("20060102150405"), git("rev-parse", "--short=8", "HEAD"))
	}
	if r.work, err = os.MkdirTemp("", "landfall-pack-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.work) }() // only our own copies
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if err := r.docs(); err != nil {
		return err
	}
	return r.all(strings.Split(*arches, ","))
}

// all makes the packages, the parts beside each other: compressing takes one
// core.
func (r *release) all(arches []string) error {
	var errs []error
	var mu sync.Mutex // guards errs
	var working sync.WaitGroup
	for _, p := range parts() {
		working.Go(func() {
			for _, arch := range arches {
				if err := r.pack(p, arch); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("pack %s for %s: %w", p.name, arch, err))
					return
				}
			}
		})
	}
	working.Wait()
	return errors.Join(errs...)
}

// epoch gives the date of the sources.
func epoch() (int64, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		text = git("log", "-1", "--format=%ct")
	}
	s, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("SOURCE_DATE_EPOCH %q: want seconds since 1970: %w", text, err)
	}
	return s, nil
}

// git gives what a git command prints; nothing where there is no repository.
func git(args ...string) string {
	out, err := exec.Command("git", args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// command runs a program with more environment and shows its complaints.
func command(env []string, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// goarch gives Go's names of a Debian architecture. armhf is ARMv6 with
// floating point, so that it runs on the oldest Raspberry Pi too.
func goarch(arch string) []string {
	if arch == "armhf" {
		return []string{"GOARCH=arm", "GOARM=6"}
	}
	return []string{"GOARCH=" + arch}
}

// build builds one static binary.
func (r *release) build(name, arch string) (string, error) {
	bin := filepath.Join(r.work, arch, name)
	flags := fmt.Sprintf("-s -w -buildid= -X main.version=%s -X landfall/cmd/internal/cli.built=%d", r.version, r.epoch)
	env := append(goarch(arch), "CGO_ENABLED=0", "GOOS=linux")
	return bin, command(env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", bin, "./cmd/"+name)
}

// pack makes one package for one architecture.
func (r *release) pack(p part, arch string) error {
	bin, err := r.build(p.name, arch)
	if err != nil {
		return err
	}
	rights := filepath.Join(r.work, arch, p.name+".copyright")
	if err := copyright(bin, rights); err != nil {
		return err
	}
	config := filepath.Join(r.work, arch, p.name+".nfpm.yaml")
	if err := r.describe(p, arch, bin, rights, config); err != nil {
		return err
	}
	target := filepath.Join(r.out, fmt.Sprintf("%s_%s_%s.deb", p.name, r.version, arch))
	env := []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch)}
	if err := command(env, "go", "run", nfpm, "package", "--packager", "deb", "--config", config, "--target", target); err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %.1f MB\n", target, float64(info.Size())/1e6)
	return nil
}
