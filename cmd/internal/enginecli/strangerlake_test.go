package enginecli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/engine/checkpoint"
)

// TestAStrangerLakeIsRefusedEverywhere: a second lake on the topic of the first, under
// a group of its own, is refused by check, at its start and by a reload, with the way
// out, and has made nothing in the topic by then.
func TestAStrangerLakeIsRefusedEverywhere(t *testing.T) {
	dir, broker := t.TempDir(), brokers(t)
	config := func(name, group string) string {
		return write(t, filepath.Join(dir, name+".yaml"), fmt.Sprintf("listen: %s\nidentity: {unauthenticated: true}\nlanding: {reserve: 1MiB, kafka: {brokers: [%q], topic: landing, partitions: 3, replication: 1, group: %q}}\nlake: {dir: %s/%s}\n",
			freeAddress(t), broker, group, dir, name))
	}
	first, second := config("first", ""), config("second", "others")
	if code, out, errs := engine(t, "check", "-c", first); code != 0 || !strings.Contains(out, "topic landing: absent") {
		t.Fatalf("check before the first start: exit %d\n%s%s", code, out, errs)
	}
	cfg, _, err := load(first)
	if err != nil {
		t.Fatal(err)
	}
	store, _, err := openLake(t.Context(), placeOf(cfg))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := checkpoint.FindLakeID(t.Context(), store); id != "" || err != nil {
		t.Fatalf("check gave the lake the identity %q, %v", id, err)
	}
	topic, err := cfg.Landing.Kafka.Open(t.Context(), durable.OS{}, store, cfg.Lake.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = topic.Close() }()
	if code, out, errs := engine(t, "check", "-c", first); code != 0 || !strings.Contains(out, "feeds no other lake than "+dir+"/first") {
		t.Errorf("check of its own lake: exit %d\n%s%s", code, out, errs)
	}
	if _, _, err := loadAll(first, true); err != nil {
		t.Errorf("reload of its own lake: %v", err)
	}
	refused := func(what string, code int, text string) {
		t.Helper()
		for _, want := range []string{"landing.kafka.topic", dir + "/first", dir + "/second", "a topic of its own", "delete the topic landing-lakes"} {
			if code != cli.ExitConfig || !strings.Contains(text, want) {
				t.Errorf("%s of a stranger: exit %d, want %q in\n%s", what, code, want, text)
			}
		}
	}
	for _, verb := range []string{"check", "run"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // one that is not refused would run on
		code, _, errs := run(ctx, Command("landfall-engine", "test"), verb, "-c", second)
		cancel()
		refused(verb, code, errs)
	}
	_, _, err = loadAll(second, true)
	refused("reload", cli.Code(err), fmt.Sprint(err))
	if _, out, errs := engine(t, "doctor", "-c", second); !strings.Contains(out+errs, "a topic of its own") {
		t.Errorf("doctor of a stranger:\n%s%s", out, errs)
	}
	if problems := topic.Problems(); len(problems) > 0 {
		t.Errorf("the first lake's log: %v", problems)
	}
}
