package edgecli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckConnects: each source is tried, what it saw is printed, and nothing
// is left of it.
func TestCheckConnects(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in.nmea"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	receiver, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	go func() {
		for {
			c, err := receiver.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("$SDDPT,0.5,0.5,*7B\r\n"))
		}
	}()
	config := filepath.Join(dir, "edge.yaml")
	write := func(sources string) {
		text := fmt.Sprintf("gateway: pier\ndata_dir: %s/data\nsources:\n%sforward: {url: \"http://127.0.0.1:9/\"}\n", dir, sources)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := fmt.Sprintf("  - {name: file, file: {path: %s/in.nmea}}\n  - {name: roof, tcp_client: {address: \"%s\"}}\n  - {name: station, acked: {listen: \"127.0.0.1:0\"}}\n", dir, receiver.Addr())
	write(good)
	code, out, errs := run(t, "check", "-c", config, "--connect", "--for", "500ms")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"file (file ", "ok    file (file ", "finished, 4 lines", `"hello"`, "roof (tcp_client ", "open, 1 lines", `"$SDDPT,0.5,0.5,*7B"`, "station (acked ", "the port is free"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("data_dir was left behind: %v", err)
	}
	write(good + fmt.Sprintf("  - {name: port, serial: {device: %s/gone}}\n  - {name: plant, mqtt: {broker: {url: \"mqtt://127.0.0.1:9\"}, topics: [{filter: a}]}}\n  - {name: plc, modbus: {url: \"tcp://127.0.0.1:9\", devices: [{sensor: pump, registers: [{address: \"40001\", metric: p}]}]}}\n", dir))
	code, out, errs = run(t, "check", "-c", config, "--connect", "--for", "500ms")
	if code != 69 || !strings.Contains(errs, "3 of 6 sources") {
		t.Errorf("exit %d, %s", code, errs)
	}
	for _, want := range []string{"bad   port (serial ", "it is not plugged in", "plant (mqtt mqtt://127.0.0.1:9): absent: connect", "> nobody listens there", "plc (modbus tcp://127.0.0.1:9): absent", "pump p: no value (bad_connection)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
