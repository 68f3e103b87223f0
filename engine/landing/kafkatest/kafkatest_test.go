package kafkatest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestBrokersDieAndComeBack: what was acknowledged by two of three brokers is
// there when one was killed and another paused, and a killed one comes back
// with its own directory.
func TestBrokersDieAndComeBack(t *testing.T) {
	if os.Getenv("LANDFALL_SOAK") != "1" {
		t.Skip("LANDFALL_SOAK=1: the crash tests stand on the same")
	}
	c := New(t, 3)
	client, err := kgo.NewClient(append(c.Options(), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	produce := func(value string) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatalf("produce %s: %v", value, err)
		}
	}
	produce("all")
	c.Broker(0).Kill()
	produce("two")
	if err := c.Broker(0).Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker(1).Pause(); err != nil {
		t.Fatal(err)
	}
	produce("one paused")
	if err := c.Broker(1).Resume(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 3 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if strings.Join(got, ",") != "all,two,one paused" {
		t.Fatalf("read %q", got)
	}
	// A foreign client sees the same, once the broker that was paused knows that
	// it leads no more: until then it shows less.
	if kcat, err := exec.LookPath("kcat"); err == nil {
		out, err := exec.CommandContext(t.Context(), kcat, "-b", strings.Join(c.Addrs(), ","), "-t", "t", "-C", "-c", "3", "-q").CombinedOutput()
		if err != nil || string(out) != "all\ntwo\none paused\n" {
			t.Fatalf("kcat: %q, %v", out, err)
		}
	}
}

func TestABrokerThatEndsByItselfIsTold(t *testing.T) {
	c := New(t, 1)
	if err := c.Broker(0).Start(); err == nil {
		t.Fatal("started twice")
	}
	c.Broker(0).Kill()
	if err := c.dead(); err != nil {
		t.Fatalf("killed, and told as %v", err)
	}
	if err := c.Broker(0).Pause(); err == nil {
		t.Fatal("paused what does not run")
	}
	if err := c.Broker(0).format(map[string]string{"process.roles": "nothing"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker(0).Start(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Fatalf("%v", err)
	}
}
