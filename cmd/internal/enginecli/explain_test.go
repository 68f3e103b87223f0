package enginecli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestExplainSaysThatEveryNameIsBelieved, where it is, and only there.
func TestExplainSaysThatEveryNameIsBelieved(t *testing.T) {
	dir := t.TempDir()
	pki := fleet(t, filepath.Join(dir, "pki"))
	proven := fmt.Sprintf("tls: {cert_file: %[1]s/127.0.0.1.pem, key_file: %[1]s/127.0.0.1.key, client_ca_file: %[1]s/ca.pem}", pki)
	for identity, says := range map[string]bool{"identity: {unauthenticated: true}": true, proven: false} {
		file := write(t, filepath.Join(dir, "e.yaml"), fmt.Sprintf("listen: 127.0.0.1:0\n%s\nlanding: {dir: %s/landing}\nlake: {dir: %s/lake}\n", identity, dir, dir))
		code, out, errs := engine(t, "explain", "-c", file)
		if code != 0 || strings.Contains(out, "a sender is whoever it says") != says {
			t.Errorf("%s: exit %d\n%s%s", identity, code, out, errs)
		}
	}
}
