package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUnitsLeaveTheDaemonsNothing: a user of its own, files that it alone reads
// on a gateway, no privileges, no capabilities, and nothing to write but its own
// directory. TestInstall has systemd rate them.
func TestUnitsLeaveTheDaemonsNothing(t *testing.T) {
	const common = "User=landfall Group=landfall StateDirectory=landfall StateDirectoryMode=0750 NoNewPrivileges=yes CapabilityBoundingSet= AmbientCapabilities= " +
		"ProtectSystem=strict ProtectHome=yes PrivateTmp=yes RestrictSUIDSGID=yes"
	for _, unit := range []struct{ name, own string }{{"landfall-edge", "UMask=0077"}, {"landfall-engine", "UMask=0027"}} {
		file := filepath.Join(root, "systemd", unit.name+".service")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for _, want := range strings.Fields(common + " " + unit.own) {
			if !slices.Contains(lines, want) {
				t.Errorf("%s has no %s", unit.name, want)
			}
		}
		for _, line := range lines {
			key, _, _ := strings.Cut(line, "=")
			given := slices.Contains([]string{"ReadWritePaths", "BindPaths", "CapabilityBoundingSet", "AmbientCapabilities"}, key)
			if given && !strings.HasSuffix(line, "=") || strings.HasPrefix(line, "ExecStart=+") || strings.HasPrefix(line, "ExecStart=!") {
				t.Errorf("%s gives more: %s", unit.name, line)
			}
		}
	}
}
