package agent

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/source"
)

// startBroker gives the address of a mosquitto of the test's own.
func startBroker(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("a real broker: %v", err)
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, []byte("listener "+port+" 127.0.0.1\nallow_anonymous true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("mosquitto", "-c", conf)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return address
}

// client gives a client of a broker, once that listens.
func client(t *testing.T, address, id string) mqtt.Client {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + address).SetClientID(id).SetAutoReconnect(false))
		token := c.Connect()
		if token.Wait(); token.Error() == nil {
			t.Cleanup(func() { c.Disconnect(0) })
			return c
		}
		err = token.Error()
	}
	t.Fatal(err)
	return nil
}

// TestTrialTakesNothing: a trial of a shared subscription sees its messages, and
// whoever shares it for real has all of them. What is published at QoS 0 is counted,
// and a message without a reading too.
func TestTrialTakesNothing(t *testing.T) {
	address := startBroker(t)
	var got atomic.Int64
	member := client(t, address, "member")
	if token := member.Subscribe("$share/g/plant/#", 1, func(mqtt.Client, mqtt.Message) { got.Add(1) }); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	c := &Config{Gateway: "ship", Sources: []SourceConfig{{Name: "plant", MQTT: &MQTTConfig{
		Broker: BrokerConfig{URL: "mqtt://" + address}, Topics: []MQTTTopicConfig{{Filter: "$share/g/plant/#", SequenceField: "n"}}}}}}
	p, sent := client(t, address, "publisher"), int64(0)
	publish := func(stop <-chan struct{}) {
		for {
			select {
			case <-stop:
				return
			default:
			}
			payload := fmt.Sprintf(`{"n":%d,"t":21.5}`, sent)
			if sent%3 == 2 {
				payload = "nothing"
			}
			if token := p.Publish("plant/a", byte(sent%2), false, payload); token.Wait() && token.Error() != nil {
				t.Error(token.Error())
				return
			}
			sent++
		}
	}
	seen := &Seen{}
	for try := 0; seen.Lines < 30 && try < 20; try++ {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			publish(stop)
		}()
		var err error
		seen, err = c.Probe(t.Context(), 0, durable.OS{}, clock.NewSystem(clock.BootID{}), 300*time.Millisecond)
		close(stop)
		<-stopped
		if err != nil {
			t.Fatal(err)
		}
	}
	if !seen.OK || seen.State != source.StateOpen || seen.Lines < 30 || seen.Downgraded == 0 || seen.Rejected == 0 || seen.Downgraded >= uint64(seen.Lines) {
		t.Errorf("%+v", seen)
	}
	if want := []string{`plant/a: plant/a t: 21.5`, `plant/a: no_json: "nothing"`}; len(seen.Sample) != 2 || !slices.Contains(seen.Sample, want[0]) || !slices.Contains(seen.Sample, want[1]) {
		t.Errorf("%q, want %q", seen.Sample, want)
	}
	for deadline := time.Now().Add(20 * time.Second); got.Load() < sent && time.Now().Before(deadline); {
		token := p.Publish("other", 1, false, "") // gives time
		token.Wait()
	}
	if got.Load() != sent {
		t.Errorf("%d of %d messages came to who shares the subscription for real", got.Load(), sent)
	}
}

// TestTrialCountsSentences: noise, wrong checksums and sentences are told apart.
func TestTrialCountsSentences(t *testing.T) {
	seen := &Seen{Sentences: map[string]int{}}
	sink := &probeSink{seen: seen}
	for _, l := range []string{"$SDDBT,7.8,f,2.4,M,1.3,F*0D", "$SDDBT,7.8,f,2.4,M,1.3,F*0D", "$SDDBT,7.8,f,2.4,M,1.3,F*0E", "\x80\x81", "hello", "hello"} {
		if err := sink.Deliver(&source.Batch{Lines: []source.Line{{Data: []byte(l)}}}); err != nil {
			t.Fatal(err)
		}
	}
	if seen.Sentences["SDDBT"] != 2 || seen.Sentences[""] != 4 || seen.Lines != 6 || len(seen.Sample) != 4 || !strings.Contains(seen.Sample[0], "*0D") {
		t.Errorf("%+v", seen)
	}
}
