//go:build linux

package lifetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestExitCodes: what the programs end with as processes, by sysexits.h, for that is
// what service managers and scripts act on; and what they say on the way.
func TestExitCodes(t *testing.T) {
	work, taken := t.TempDir(), freePort(t)
	file := func(name, text string) string { put(t, work+"/"+name, text); return work + "/" + name }
	edge := fmt.Sprintf("gateway: ada\ndata_dir: %s/edge\nsources:\n  - {name: file, file: {path: %[1]s/in.nmea, follow: true}}\nforward: {url: \"http://%s/\"}\n", work, freePort(t))
	engine := fmt.Sprintf("listen: %[1]s\nidentity: {unauthenticated: true}\nlanding: {dir: %[2]s/landing, reserve: 0B}\nlake: {dir: %[2]s/lake}\n", taken, work)
	run(t, "landfall-engine", engine+"status: STATUS\n")
	packed := zipped(t, strings.Repeat("!AIVDM,1,1,,A,15Muq60001G?tRPE`gv<0?vN0<0=,0*3E\r\n", 50))
	cut := fmt.Sprintf("gateway: bo\ndata_dir: %s/cut\nsources:\n  - {name: file, file: {path: %[1]s/cut.gz}}\nforward: {url: \"http://%s/\"}\n", work, taken)
	file("cut.gz", packed[:len(packed)/2])
	other := strings.ReplaceAll(engine, work, t.TempDir()) // the same port, another directory
	for _, c := range []struct {
		what string
		code int
		says string
		args []string
	}{
		{"usage", 64, "unknown flag", []string{"landfall-edge", "run", "--confg", "x"}},
		{"usage", 64, "unknown command", []string{"landfall-engine", "rn"}},
		{"no input", 66, "no such file", []string{"landfall-engine", "audit", "--lake", work + "/nowhere"}},
		{"no configuration", 66, "no such file", []string{"landfall-edge", "run", "--config", work + "/nowhere"}},
		{"nobody answers", 69, "", []string{"landfall-edge", "status", "--config", file("alone.yaml", edge+"status: "+freePort(t)+"\n")}},
		{"a configuration with an unknown key", 78, "bad.yaml:6: forwrd", []string{"landfall-edge", "run", "--config", file("bad.yaml", edge+"forwrd: x\n")}},
		{"a configuration that is refused", 78, "engine.yaml:1: listen", []string{"landfall-engine", "run", "--config", file("engine.yaml", "listen: nowhere\n")}},
		{"an address that another program has", 69, "taken.yaml:1: listen", []string{"landfall-engine", "run", "--config", file("taken.yaml", other)}},
		{"a status address that another program has", 69, "page.yaml:5: status", []string{"landfall-engine", "run", "--config", file("page.yaml", strings.Replace(other, taken, freePort(t), 1)+"status: "+taken+"\n")}},
		{"a gateway's status address that another program has", 69, "gatewayspage.yaml:6: status", []string{"landfall-edge", "run", "--config", file("gatewayspage.yaml", edge+"status: "+taken+"\n")}},
		{"an address that the machine does not have", 69, "elsewhere.yaml:1: listen", []string{"landfall-engine", "run", "--config", file("elsewhere.yaml", strings.Replace(other, taken, "192.0.2.1:8470", 1))}},
		{"all sources have ended, and one could not be read", 65, "cannot be unpacked", []string{"landfall-edge", "run", "--config", file("cut.yaml", cut)}},
		{"a directory of another's", 78, "", []string{"landfall-edge", "check", "--config", file("dir.yaml", strings.Replace(edge, "/edge\n", "/bad.yaml/edge\n", 1))}},
	} {
		out, err := tool(t, c.args[0], c.args[1:]...)
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: %v ended with %v, want %d with %q:\n%s", c.what, c.args, err, c.code, c.says, out)
		}
	}
}

// zipped returns text in gzip.
func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
