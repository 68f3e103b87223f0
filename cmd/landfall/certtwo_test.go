package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"landfall/cmd/internal/ca"
	"landfall/cmd/internal/cli"
)

// TestProcessesOfOneAuthorityUndoNothing: processes that sign and revoke at one time
// lose no entry of the index and undo no revocation: one has the authority, the others
// are told that it is taken and try again.
func TestProcessesOfOneAuthorityUndoNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	cert := func(args ...string) error {
		for {
			var errs bytes.Buffer
			c := exec.Command(os.Args[0], append([]string{certVerb, "--dir", dir}, args...)...)
			c.Stderr = &errs
			err := c.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == cli.ExitUnavailable {
				continue // another process has it
			}
			if err != nil {
				err = fmt.Errorf("%q: %w: %s", args, err, errs.Bytes())
			}
			return err
		}
	}
	if err := errors.Join(cert("init"), cert("gateway", "stolen-0"), cert("gateway", "stolen-1"),
		cert("gateway", "stolen-2")); err != nil {
		t.Fatal(err)
	}
	const gateways = 5
	var all sync.WaitGroup
	failed := make(chan error, 2*gateways)
	for i := range gateways {
		all.Go(func() { failed <- cert("gateway", fmt.Sprint("pier-", i)) })
		if i < 3 {
			all.Go(func() { failed <- cert("revoke", fmt.Sprint("stolen-", i)) })
		}
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	code, out, errs := run(t, certVerb, "--dir", dir, "list", "--json")
	if code != 0 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	var list []ca.Signed
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	valid, revoked := map[string]bool{}, map[string]bool{}
	for _, s := range list {
		if s.RevokedAt.IsZero() {
			valid[s.Name] = true
		} else {
			revoked[s.Name] = true
		}
	}
	if len(list) != 3+gateways || len(valid) != gateways || len(revoked) != 3 {
		t.Errorf("of %d entries %v are valid and %v revoked", len(list), valid, revoked)
	}
}
