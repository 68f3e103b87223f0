package enginecli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/engine/move"
	"landfall/engine/server"
	"landfall/sinks/object"
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
	with := config(fmt.Sprintf("lake: {dir: %s/lake}", dir))
	if code, out, errs := engine(t, "check", "-c", with); code != 0 || !strings.Contains(out, "gateways are told what is published") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "lake", "_checkpoint"))
	if err == nil {
		err = move.Bind(t.Context(), store, move.Landing{Kind: move.Kafka, ID: "6a", Partitions: 1, Place: "other"})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"check", "run"} {
		if code, out, errs := engine(t, verb, "-c", with); code != cli.ExitConfig || !strings.Contains(errs, "landing.kafka.topic: got") {
			t.Errorf("%s with a topic that is not the lake's: exit %d\n%s%s", verb, code, out, errs)
		}
	}
	if _, _, err := loadAll(with, true); err == nil || !strings.Contains(err.Error(), "landing.kafka.topic: got") {
		t.Errorf("a reload: %v", err)
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
