package agent

import (
	"errors"
	"strings"
	"testing"

	"landfall/edge/config"
	"landfall/edge/durable"
)

const good = `gateway: ship-1
data_dir: /var/lib/landfall
sources:
  - name: roof
    serial: {device: /dev/ttyUSB0}
forward:
  url: https://ingest.example:8443
`

// read parses and validates a configuration as the commands do.
func read(text string) (Config, error) {
	c := Default()
	f, err := config.Parse("edge.yaml", []byte(text), &c)
	if err != nil {
		return c, err
	}
	return c, f.Locate(c.Validate())
}

func TestGoodConfiguration(t *testing.T) {
	c, err := read(good)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sources[0].Kind() != "serial" || c.Sources[0].Resends() || c.Sources[0].Where() != "/dev/ttyUSB0" || c.LogDir() != "/var/lib/landfall/log" {
		t.Errorf("%+v", c)
	}
}

func TestEachMistakeHasItsLineAndKey(t *testing.T) {
	for _, m := range []struct{ from, to, want string }{
		{"gateway: ship-1", "gateway: a b", `edge.yaml:1: gateway: got "a b", expected a name of 1 to 128`},
		{"gateway: ship-1\n", "", `gateway: got "", expected`},
		{"data_dir: /var/lib/landfall", "data_dir: here", `edge.yaml:2: data_dir: got "here", expected the absolute path`},
		{"https://", "ftp://", `edge.yaml:7: forward.url: got "ftp://ingest.example:8443", expected a URL`},
		{"https://ingest.example:8443", "http://u:p@x", `forward.url: got`},
		{"https://ingest.example:8443", "https://ingest.example:8443\n  release: late", `forward.release: got "late", expected published or landed`},
		{"serial: {device: /dev/ttyUSB0}", "serial: {device: ''}", `edge.yaml:5: sources[0].serial.device: expected the path of a device`},
		{"serial: {device: /dev/ttyUSB0}", "disorder: 5s", `edge.yaml:5: sources[0].disorder: got an unknown key`},
		{"    serial: {device: /dev/ttyUSB0}\n", "", `edge.yaml:4: sources[0]: expected exactly one of file`},
		{"serial: {device: /dev/ttyUSB0}", "udp: {listen: '10110'}", `sources[0].udp.listen: got "10110", expected host:port`},
		{"serial: {device: /dev/ttyUSB0}", "tcp_client: {address: 'h:1', stale_after: -1s}", `sources[0].tcp_client.stale_after: got -1s`},
		{"serial: {device: /dev/ttyUSB0}", "tcp_server: {listen: ':1', max_clients: -1}", `sources[0].tcp_server.max_clients: got -1`},
		{"serial: {device: /dev/ttyUSB0}", "tcp_server: {listen: ':1', max_clients_per_host: -1}", `sources[0].tcp_server.max_clients_per_host: got -1`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', idle_timeout: -1s}", `sources[0].acked.idle_timeout: got -1s`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', max_senders: -1}", `sources[0].acked.max_senders`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', max_senders: 65537}", `sources[0].acked.max_senders: got 65537, expected a number from 0 (the default) to 65536`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', max_senders: 4096, min_version: 2}", `sources[0].acked.max_senders: got 4096, expected a number from 0 (the default) to 1024, as only`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', max_senders: 4096, token_file: /t}", `sources[0].acked.max_senders: got 4096, expected a number from 0 (the default) to 1024, as only`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', min_version: 3}", `sources[0].acked.min_version: got 3, expected 1 (the default) or 2`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', allow: [10.0.0.1, 10.0.0.0/33]}", `sources[0].acked.allow[1]: got "10.0.0.0/33", expected an address, or a prefix`},
		{"serial: {device: /dev/ttyUSB0}", "acked: {listen: ':1', allow: ['2001:db8::/32', 10.0.0.7], min_version: 2}", ""},
		{"serial: {device: /dev/ttyUSB0}", "mqtt: {broker: {url: 'mqtt://b:1883'}, remember: 131073, topics: [{filter: x}]}", `sources[0].mqtt.remember: got 131073`},
		{"serial: {device: /dev/ttyUSB0}", "file: {path: ''}", `sources[0].file.path`},
		{"serial: {device: /dev/ttyUSB0}", "file: {path: x}\n    udp: {listen: ':1'}", `edge.yaml:4: sources[0]: got file and udp, expected exactly one`},
		{"name: roof", "name: a/b", `edge.yaml:4: sources[0].name: got "a/b"`},
		{"sources:\n  - name: roof\n    serial: {device: /dev/ttyUSB0}\n", "sources: []\n", `edge.yaml:3: sources: got none, expected at least one`},
		{"forward:", "  - name: roof\n    udp: {listen: ':1'}\nforward:", `edge.yaml:6: sources[1].name: got "roof", expected a name that sources[0] does not have`},
		{"forward:", "status: 0.0.0.0:80\nforward:", `status: got "0.0.0.0:80", expected host:port on loopback`},
		{"forward:", "status_hosts: [\"2001:db8::1\", \"gateway:80\"]\nforward:", `status_hosts[1]: got "gateway:80", expected the name or address of a host`},
		{"forward:", "log: {segment_size: 1KiB}\nforward:", `log.segment_size: got 1KiB, expected a size from`},
		{"forward:", "log: {quota: 9MiB}\nforward:", `log.quota: got 9MiB`},
		{"forward:", "log: {when_full: drop}\nforward:", `log.when_full: got "drop", expected block or shed-oldest`},
		{"forward:", "capture: {group_interval: 2h}\nforward:", `capture.group_interval: got 2h0m0s`},
		{"forward:", "capture: {group_size: 1GiB}\nforward:", `capture.group_size: got 1GiB`},
		{"forward:", "capture: {fragment_limit: 0s}\nforward:", `capture.fragment_limit`},
		{"forward:", "watermark: {disorder: -1s, idle_timeout: 48h}\nforward:", `watermark.idle_timeout`},
		{"forward:", "drain_timeout: -1s\nforward:", `drain_timeout`},
		{"forward:", "forward:\n  timeout: 1ms", `forward.timeout: got 1ms`},
		{"forward:", "forward:\n  linger: 2h", `forward.linger: got 2h0m0s`},
		{"forward:", "forward:\n  retry_max: 1ms", `forward.retry_max: got 1ms`},
		{"forward:", "forward:\n  proxy: nowhere", `forward.proxy: got "nowhere"`},
		{"forward:", "forward:\n  proxy: http://u:p@x", `forward.proxy: got "http://…@x", expected a URL like http://proxy:3128 without user`},
		{"forward:", "forward:\n  proxy: direct\n  proxy_username_file: /u", `forward.proxy_username_file: got "/u", expected nothing`},
		{"forward:", "forward:\n  proxy_password_file: /p", `forward.proxy_password_file: got "/p", expected proxy_username_file`},
		{"forward:", "forward:\n  cert_file: a.pem", `forward.cert_file: got "a.pem", expected cert_file and key_file together`},
		{"https:", "http:", ""},
		{"  url: https:", "  ca_file: x\n  url: http:", `forward.ca_file: got "x", expected nothing, because the URL is not https`},
	} {
		text := strings.Replace(good, m.from, m.to, 1)
		_, err := read(text)
		switch {
		case m.want == "":
			if err != nil {
				t.Errorf("%q: %v", m.to, err)
			}
		case err == nil || !strings.Contains(err.Error(), m.want):
			t.Errorf("%q:\n got %v\nwant %s", m.to, err, m.want)
		case !errors.Is(err, config.ErrInvalid):
			t.Errorf("%q: error does not wrap ErrInvalid", m.to)
		}
	}
}

func TestCertificateFilesAreRead(t *testing.T) {
	for _, f := range []ForwardConfig{{CAFile: "/nowhere/ca.pem"}, {CertFile: "/nowhere/a.pem", KeyFile: "/nowhere/a.key"}, {CAFile: "/proc/self/stat"}} {
		var fe *config.FieldError
		if err := (&Config{Forward: f}).Check(durable.OS{}); !errors.As(err, &fe) || !strings.HasPrefix(fe.Key, "forward.") {
			t.Errorf("%+v: %v", f, err)
		}
	}
	broker := BrokerConfig{URL: "mqtts://b:8883", CAFile: "/nowhere/ca.pem"}
	for i, s := range []SourceConfig{{MQTT: &MQTTConfig{Broker: broker}}, {Sparkplug: &SparkplugConfig{Broker: broker}}} {
		var fe *config.FieldError
		c := Config{Sources: []SourceConfig{{Serial: &SerialConfig{}}, s}}
		if err := c.Check(durable.OS{}); !errors.As(err, &fe) || fe.Key != "sources[1]."+s.Kind()+".broker.ca_file" {
			t.Errorf("broker %d: %v", i, err)
		}
	}
	if err := (&Config{}).Check(durable.OS{}); err != nil {
		t.Error(err)
	}
}
