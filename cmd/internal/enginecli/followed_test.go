package enginecli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"landfall/engine/server"
	"landfall/sinks/object/s3"
)

// TestCheckSaysWhetherAnIngestTells what is published: with the lake's place it does,
// and without it warns.
func TestCheckSaysWhetherAnIngestTells(t *testing.T) {
	dir, broker := t.TempDir(), brokers(t)
	config := func(lake string) string {
		return write(t, filepath.Join(dir, "engine.yaml"), fmt.Sprintf(`roles: [ingest]
listen: 127.0.0.1:0
identity: {unauthenticated: true}
landing: {kafka: {brokers: [%q], topic: landing, partitions: 1, replication: 1}}
%s
`, broker, lake))
	}
	if code, out, errs := engine(t, "check", "-c", config("")); code != 0 || !strings.Contains(out, "warning: lake.dir is not set") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "check", "-c", config(fmt.Sprintf("lake: {dir: %s/lake}", dir))); code != 0 || !strings.Contains(out, "gateways are told what is published") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

// TestAFollowedStoreIsOpenedLate: it need not answer at the start, and nothing is
// written.
func TestAFollowedStoreIsOpenedLate(t *testing.T) {
	c := server.Default()
	c.Roles, c.Lake.Dir, c.Lake.S3.Endpoint = []string{server.RoleIngest}, "s3://lake/x", "http://127.0.0.1:1"
	if !follows(&c) {
		t.Fatal("it does not follow")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	f := &followed{place: placeOf(&c)}
	if _, _, err := f.Read(t.Context(), "x"); err == nil || f.store != nil && !s3.Transient(err) {
		t.Errorf("%v", err)
	}
	d := t.TempDir()
	f.place = place{checkpoints: d}
	f.store = nil
	if names, err := f.List(t.Context(), ""); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
	if err := f.Create(t.Context(), "x", nil); !errors.Is(err, errReading) {
		t.Error(err)
	}
	if _, err := f.Swap(t.Context(), "x", "", nil); !errors.Is(err, errReading) {
		t.Error(err)
	}
}
