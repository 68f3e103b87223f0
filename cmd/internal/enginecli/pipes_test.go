//go:build linux

package enginecli

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/tips"
)

// TestPipesAreNotWaitedFor: whatever an audit is told to read beside the lake, a pipe
// in its place ends it at once.
func TestPipesAreNotWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := tips.Encode(tips.Body{Gateway: "gw"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, filepath.Join(t.TempDir(), "gw.tips"), string(body))
	for name, read := range map[string]func() error{
		"--tips":    func() error { _, _, _, err := readTips([]string{pipe}, "", ""); return err },
		"--tips-ca": func() error { _, _, _, err := readTips([]string{file}, pipe, ""); return err },
		"--tips-crl": func() error {
			_, err := readLists(pipe, nil)
			return err
		},
		"--since": func() error { _, err := readSince(pipe); return err },
	} {
		if err := read(); !errors.Is(err, durable.ErrNoFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
