//go:build linux

package lifetest

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestNothingListensBeyondThisMachine: the daemons as they are configured by
// default, by the packages' files and by setup are reached from this machine
// only, by what the kernel says of their sockets. One that is told to listen on
// every interface is found by the same look.
func TestNothingListensBeyondThisMachine(t *testing.T) {
	work, silent := t.TempDir(), freePort(t)
	put(t, work+"/in.nmea", "")
	const told = "0.0.0.0:0"
	source := fmt.Sprintf("sources:\n  - {name: file, file: {path: %s/in.nmea, follow: true}}\n", work)
	forward := fmt.Sprintf("forward: {url: \"http://%s/\"}\n", silent)
	engine := func(name string) string {
		return fmt.Sprintf("landing: {dir: %[1]s/%[2]s-landing, reserve: 0B}\nlake: {dir: %[1]s/%[2]s-lake}\n", work, name)
	}
	const anybody = "identity: {unauthenticated: true}\n"
	for _, c := range []struct {
		name, daemon, config string
		beyond               bool
	}{
		{"gateway by default", "landfall-edge", fmt.Sprintf("gateway: a\ndata_dir: %s/default\nstatus: STATUS\n", work) + source + forward, false},
		{"gateway of the package", "landfall-edge", packaged(t, "edge", work) + "gateway: a\n" + source + forward, false},
		{"gateway after setup", "landfall-edge", afterSetup(t, work, silent), false},
		{"gateway that is told", "landfall-edge", fmt.Sprintf("gateway: a\ndata_dir: %s/told\nstatus: STATUS\nsources:\n  - {name: udp, udp: {listen: %q}}\n", work, told) + forward, true},
		{"engine by default", "landfall-engine", "listen: " + freePort(t) + "\nstatus: STATUS\n" + anybody + engine("default"), false},
		{"engine of the package", "landfall-engine", packaged(t, "engine", work) + "listen: " + freePort(t) + "\n" + anybody, false},
		{"engine that is told", "landfall-engine", "listen: " + told + "\nstatus: STATUS\n" + anybody + engine("told"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := run(t, c.daemon, c.config)
			var on []net.UDPAddr
			beyond := false
			until(t, "what is to be open is open", func() bool { // the page may answer before a source is open
				on = listens(t, d.cmd.Process.Pid)
				beyond = slices.ContainsFunc(on, func(a net.UDPAddr) bool { return !a.IP.IsLoopback() })
				return len(on) > 0 && (beyond || !c.beyond)
			})
			t.Logf("listens on %v", on)
			if beyond != c.beyond {
				t.Errorf("beyond this machine: %v, want %v: %v", beyond, c.beyond, on)
			}
		})
	}
}

// packaged gives the configuration that a package brings, with its directories
// and the address of its page moved.
func packaged(t *testing.T, name, work string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "systemd", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	moved := string(text)
	for _, c := range [][2]string{{"/var/lib/landfall", work + "/packaged"}, {"127.0.0.1:8471", "STATUS"}, {"127.0.0.1:8481", "STATUS"}} {
		moved = strings.ReplaceAll(moved, c[0], c[1])
	}
	if !strings.Contains(moved, "STATUS") || !strings.Contains(moved, work) {
		t.Fatalf("the packaged configuration has no status or directory:\n%s", text)
	}
	return moved
}

// afterSetup gives the configuration that setup writes on a machine without
// receivers.
func afterSetup(t *testing.T, work, engine string) string {
	t.Helper()
	file := work + "/setup.yaml"
	if out, err := tool(t, "landfall-edge", "setup", "--gateway", "a", "--url", "http://"+engine+"/", "--listen", "10ms", "--data-dir", work+"/setup", "--write", file); err != nil {
		t.Fatalf("setup: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(freePort(t))
	moved := strings.ReplaceAll(strings.ReplaceAll(string(text), "127.0.0.1:8471", "STATUS"), ":10110", ":"+port)
	return moved
}

// listens gives the addresses at which a process can be reached: TCP sockets
// that listen, and UDP sockets without a peer (proc(5), net/tcp and net/udp).
func listens(t *testing.T, pid int) (on []net.UDPAddr) {
	t.Helper()
	own := map[string]bool{} // by inode
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("no files of process %d: %v", pid, err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink(fd) // one that was closed meanwhile is none
		if inode, is := strings.CutPrefix(to, "socket:["); is {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []struct{ name, state string }{{"tcp", "0A"}, {"tcp6", "0A"}, {"udp", "07"}, {"udp6", "07"}} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table.name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if f := strings.Fields(line); len(f) > 9 && f[3] == table.state && own[f[9]] {
				on = append(on, address(t, f[1]))
			}
		}
	}
	return on
}

// address reads one as the kernel prints it: words in the byte order of the
// machine, which is little-endian wherever these tests run.
func address(t *testing.T, text string) net.UDPAddr {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	ip, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(ip); i += 4 {
		slices.Reverse(ip[i : i+4])
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return net.UDPAddr{IP: ip, Port: int(n)}
}
