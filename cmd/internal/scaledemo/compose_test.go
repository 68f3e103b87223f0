package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"landfall/cmd/internal/cli"
	"landfall/engine/landing/kafkatest"
	"landfall/sinks/object/s3/s3test"
)

// composeFile is what the test looks at in compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Environment map[string]string `yaml:"environment"`
	} `yaml:"services"`
	Configs map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
}

// TestComposeFile starts three brokers with the settings of compose.yaml, and
// lets check judge the configuration of its engines against them and a real
// store. That Docker starts it is not tested.
func TestComposeFile(t *testing.T) {
	text, err := os.ReadFile("../../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f composeFile
	if err := yaml.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	brokers := kafkatest.New(t, 3, f.brokerSettings(t)...)
	store := s3test.Start(t)
	keys, err := s3test.CredentialsIn(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config := f.Configs["engine"].Content
	for was, is := range map[string]string{
		"kafka-1:9092, kafka-2:9092, kafka-3:9092": strings.Join(brokers.Addrs(), ", "),
		"http://store:7070":                        store.URL,
		"s3://landfall/":                           "s3://" + s3test.Bucket + "/",
		"0.0.0.0:8470":                             "127.0.0.1:8470",
		"/etc/landfall/s3-credentials":             keys,
	} {
		if !strings.Contains(config, was) {
			t.Errorf("the engines' configuration has no %s:\n%s", was, config)
		}
		config = strings.ReplaceAll(config, was, is)
	}
	file := filepath.Join(t.TempDir(), "engine.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := cli.Run(t.Context(), command(), []string{engineVerb, "check", "--config", file}, &out, &errs); code != cli.ExitOK {
		t.Errorf("check: exit %d\n%s%s", code, out.String(), errs.String())
	}
	t.Log(out.String())
	s := f.Services["store"].Environment
	want := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s["ROOT_ACCESS_KEY_ID"], s["ROOT_SECRET_ACCESS_KEY"])
	if got := f.Configs["s3-credentials"].Content; got != want {
		t.Errorf("the engines' keys are not the store's:\n%s", got)
	}
}

// brokerSettings gives the brokers' server.properties as the image makes them of
// the environment, in pairs, but for what is another in this test: addresses and
// directories. It fails where the brokers differ in more than their number.
func (f *composeFile) brokerSettings(t *testing.T) []string {
	t.Helper()
	var all []map[string]string
	for n := 1; n <= 3; n++ {
		name := fmt.Sprintf("kafka-%d", n)
		env := f.Services[name].Environment
		if env["KAFKA_NODE_ID"] != fmt.Sprint(n) || env["KAFKA_ADVERTISED_LISTENERS"] != "PLAINTEXT://"+name+":9092" ||
			!strings.Contains(env["KAFKA_CONTROLLER_QUORUM_VOTERS"], fmt.Sprintf("%d@%s:9093", n, name)) {
			t.Errorf("%s: %v", name, env)
		}
		if want := "apache/kafka:" + kafkatest.Version; f.Services[name].Image != want {
			t.Errorf("%s runs %s, tests %s", name, f.Services[name].Image, want)
		}
		p := map[string]string{}
		for k, v := range env {
			if k, ok := strings.CutPrefix(k, "KAFKA_"); ok {
				p[strings.ToLower(strings.ReplaceAll(k, "_", "."))] = v
			}
		}
		for _, k := range []string{"node.id", "advertised.listeners", "listeners", "controller.quorum.voters", "log.dirs"} {
			if p[k] == "" {
				t.Errorf("%s has no %s", name, k)
			}
			delete(p, k)
		}
		all = append(all, p)
	}
	if !maps.Equal(all[0], all[1]) || !maps.Equal(all[0], all[2]) {
		t.Errorf("the brokers differ: %v", all)
	}
	var pairs []string
	for k, v := range all[0] {
		pairs = append(pairs, k, v)
	}
	return pairs
}
