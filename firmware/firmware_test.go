package firmware

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tool skips the test where a program is absent; in CI that is a failure.
func tool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed; .ci/deps names its package", name)
			}
			t.Skipf("%s is not installed; .ci/deps names its package", name)
		}
	}
}

// depend reads what make reads, so that go test does not answer from its cache
// when it has changed.
func depend(t *testing.T) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "build" {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			files++
			_, err = os.ReadFile(name)
		}
		return err
	})
	if err != nil || files < 20 {
		t.Fatalf("%d files read: %v", files, err)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestHost runs the host tests, each once as it is and once with the sanitizers
// of addresses and undefined behaviour.
func TestHost(t *testing.T) {
	tool(t, "gcc", "make")
	depend(t)
	tests := [][]string{
		{"frames", "testdata/frames.txt"}, {"session", "testdata/session.txt"}, {"frozen", "testdata/formats/flash-v1.bin"}, {"tear"}, {"model"}, {"damage"}, {"stuck"}, {"mount"},
		{"wear"}, {"clock"}, {"schema"}, {"rollback"}, {"noise"},
	}
	for flavour, flags := range map[string]string{"plain": "", "sanitized": "-fsanitize=address,undefined -fno-sanitize-recover"} {
		build := t.TempDir()
		command(t, "make", "host", "BUILD="+build, "HOSTFLAGS="+flags)
		for _, args := range tests {
			if flavour == "sanitized" && args[0] == "tear" {
				continue // it leaves functions by longjmp, some 70,000 times
			}
			t.Run(flavour+"/"+args[0], func(t *testing.T) {
				t.Parallel()
				t.Log(command(t, filepath.Join(build, "host-test"), args...))
			})
		}
	}
}

// TestBoundsOfImage builds the image and wants it within its bounds, without a
// heap.
func TestBoundsOfImage(t *testing.T) {
	tool(t, "arm-none-eabi-gcc", "arm-none-eabi-nm", "make")
	depend(t)
	build := t.TempDir()
	out := command(t, "make", "BUILD="+build)
	m := regexp.MustCompile(`image (\d+) of 16384 bytes, RAM with stack (\d+) of 8192 bytes`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no size report:\n%s", out)
	}
	t.Log(m[0])
	for i, bound := range []int{16 << 10, 8 << 10} {
		if n, err := strconv.Atoi(m[i+1]); err != nil || n == 0 || n >= bound {
			t.Errorf("%s: %d is not below %d", m[0], n, bound)
		}
	}
	if symbols := command(t, "arm-none-eabi-nm", filepath.Join(build, "node.elf")); regexp.MustCompile(`(?m) (_?malloc|_sbrk|_?free|_malloc_r)$`).MatchString(symbols) {
		t.Error("the image has a heap")
	}
}

func TestCppcheck(t *testing.T) {
	tool(t, "cppcheck", "make")
	depend(t)
	command(t, "make", "check")
}
