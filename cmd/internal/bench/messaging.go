package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// benchMessages is how many messages the broker keeps for whoever is measured.
const benchMessages = 100_000

// messaging measures MQTT at QoS 1 into C1: a real broker beside the edge has
// messages queued for it, each with a number by which it is known again. The
// limit is the broker's own: a reader of the same queue that looks at nothing,
// keeps nothing and acknowledges at once.
func messaging(ctx context.Context, cfg Config) ([]row, error) {
	what := "MQTT QoS 1 into C1, mosquitto on the same cores"
	if _, err := exec.LookPath("mosquitto"); err != nil {
		return []row{{what: what, ours: "not measured: no mosquitto here"}}, nil
	}
	var ours, cpu, bare, ratio []float64
	for i := range min(cfg.Rounds, 3) {
		a, spent, err := captureQueued(ctx, cfg, filepath.Join(cfg.Dir, fmt.Sprint("ours-", i)))
		if err != nil {
			return nil, fmt.Errorf("measure MQTT: %w", err)
		}
		b, err := drainQueued(ctx, filepath.Join(cfg.Dir, fmt.Sprint("bare-", i)))
		if err != nil {
			return nil, fmt.Errorf("measure the broker: %w", err)
		}
		ours, cpu, bare, ratio = append(ours, a), append(cpu, spent), append(bare, b), append(ratio, a/b)
	}
	return []row{{
		what: what, ours: rate(median(ours), "messages"), limit: rate(median(bare), "messages") + " the broker, to a reader that keeps nothing",
		ratio: fmt.Sprintf("%.0f%%", 100*median(ratio)), aim: "30 k messages/s",
	}, {
		what: "the same, CPU time of the gateway, start and end included", ours: fmt.Sprintf("%.1f µs a message", 1e6*median(cpu)),
	}}, nil
}

// benchBroker is a broker that bounds nothing and keeps nothing on disk.
func benchBroker(ctx context.Context, dir string) (address string, stop func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		return "", nil, err
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 0\nset_tcp_nodelay true\n", port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "mosquitto", "-c", conf)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			return address, stop, c.Close()
		}
		if !pass(ctx, 20*time.Millisecond) {
			break
		}
	}
	stop()
	return "", nil, errors.New("the broker does not listen")
}

// pass lets d pass and tells whether ctx is alive.
func pass(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// queue publishes the messages.
func queue(ctx context.Context, address string) error {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("mqtt://" + address).SetClientID("publisher").SetAutoReconnect(false))
	if token := c.Connect(); token.Wait() && token.Error() != nil {
		return token.Error()
	}
	defer c.Disconnect(100)
	var tokens []mqtt.Token
	for i := range benchMessages {
		payload := fmt.Sprintf(`{"n":%d,"ts":1780000000%03d,"temperature":%d.5,"running":true}`, i, i%1000, i%40)
		tokens = append(tokens, c.Publish(fmt.Sprintf("plant/pump%d/state", i%16), 1, false, payload))
		if len(tokens) >= 1000 {
			if tokens[0].Wait(); tokens[0].Error() != nil {
				return tokens[0].Error()
			}
			tokens = tokens[1:]
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, t := range tokens {
		if t.Wait(); t.Error() != nil {
			return t.Error()
		}
	}
	return nil
}

// captureQueued gives the messages a second from the first captured to the
// last, and the gateway's CPU time for each in seconds.
func captureQueued(ctx context.Context, cfg Config, dir string) (perSecond, cpu float64, err error) {
	address, stop, err := benchBroker(ctx, dir)
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	status, err := freeAddress()
	if err != nil {
		return 0, 0, err
	}
	config := filepath.Join(dir, "edge.yaml")
	text := fmt.Sprintf("gateway: bench\ndata_dir: %s\nstatus: %s\ndrain_timeout: 0s\nforward:\n  url: http://127.0.0.1:9/\nsources:\n  - name: plant\n    mqtt:\n"+
		"      broker: {url: \"mqtt://%s\"}\n      remember: 131072\n      topics:\n        - {filter: plant/+/state, sensor: \"{2}\", sequence_field: n, time_field: ts, time_unit: ms}\n",
		filepath.Join(dir, "edge"), status, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	// The first life subscribes; what comes after is kept for the second.
	if _, _, err := edgeLife(ctx, cfg, config, status, 0); err != nil {
		return 0, 0, err
	}
	if err := queue(ctx, address); err != nil {
		return 0, 0, err
	}
	return edgeLife(ctx, cfg, config, status, benchMessages)
}

// edgeLife runs an edge until it is connected and has captured n records.
func edgeLife(ctx context.Context, cfg Config, config, status string, n uint64) (perSecond, cpu float64, err error) {
	args := append(cfg.Edge, "run", "--config", config, "--log-level", "error")
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("run %s: %w", shell(args), err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err = errors.Join(err, cmd.Wait())
		cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() / float64(max(n, 1))
	}()
	var first time.Time
	var firstCount uint64
	limit := time.Now().Add(2 * time.Minute)
	for time.Now().Before(limit) {
		count, open := captured(status)
		switch {
		case n == 0 && open:
			return 0, 0, nil
		case n > 0 && count > 0 && first.IsZero():
			first, firstCount = time.Now(), count
		case n > 0 && count >= n:
			return float64(count-firstCount) / time.Since(first).Seconds(), 0, nil
		}
		if !pass(ctx, 5*time.Millisecond) {
			return 0, 0, ctx.Err()
		}
	}
	return 0, 0, fmt.Errorf("not captured within two minutes: %d records", n)
}

// captured asks an edge how many records are durable, and whether its source is
// open.
func captured(status string) (records uint64, open bool) {
	resp, err := http.Get("http://" + status + "/status")
	if err != nil {
		return 0, false
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	var s struct {
		Log     struct{ Records uint64 }
		Sources []struct{ State string }
	}
	if err != nil || json.Unmarshal(data, &s) != nil || len(s.Sources) != 1 {
		return 0, false
	}
	return s.Log.Records, s.Sources[0].State == "open"
}
