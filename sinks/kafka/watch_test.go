package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestSettingsThatChangeAreNoticed while the sink is at work: each by topic and
// setting, together where two are wrong, still while the brokers do not say, and
// forgotten when they are mended.
func TestSettingsThatChangeAreNoticed(t *testing.T) {
	cluster, brokers := fake(t)
	c := Config{Brokers: brokers, Prefix: "p.", Tables: some}
	s, outputs := staged(t, c, 1, rowsOf(0, 1))
	if err := s.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	w, err := NewWatch(c, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	admin := kadm.NewClient(client(t, brokers))
	set := func(topic, key, value string) {
		t.Helper()
		if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, ok func(problems []string) bool) {
		t.Helper()
		patience, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for !ok(w.Problems()) {
			if err := sleep(patience, 10*time.Millisecond); err != nil {
				t.Fatalf("%s: %q", what, w.Problems())
			}
		}
	}
	names := func(topic, setting string) func([]string) bool {
		return func(problems []string) bool {
			return strings.Contains(fmt.Sprint(problems), "topic "+topic+": "+setting)
		}
	}
	none := func(problems []string) bool { return len(problems) == 0 }
	set("p.record", "cleanup.policy", "compact")
	until("rows that are compacted", names("p.record", "cleanup.policy"))
	set("p.markers", "cleanup.policy", "delete")
	until("markers that expire too", func(problems []string) bool {
		return len(problems) == 2 && names("p.markers", "retention.ms")(problems)
	})
	set("p.markers", "cleanup.policy", "compact")
	until("mended markers", func(problems []string) bool { return len(problems) == 1 })
	asked := make(chan struct{}, 1)
	cluster.ControlKey(int16(kmsg.DescribeConfigs), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		select {
		case asked <- struct{}{}:
		default:
		}
		return nil, nil, false
	})
	silent := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	for range 3 {
		<-asked
	}
	if problems := w.Problems(); len(problems) != 1 {
		t.Errorf("without an answer: %q", problems)
	}
	silent.Remove()
	set("p.record", "cleanup.policy", "delete")
	until("all mended", none)
	set("p.record", "unclean.leader.election.enable", "true")
	until("rows that may be taken back", names("p.record", "unclean.leader.election.enable"))
	cancel()
	<-ended
}
