package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/certs"
	"landfall/edge/durable"
)

// TestSecretsOfBrokersAreReadForEachConnection: a password that was changed on
// both sides is used by the next connection of a client that was made before; a
// file that cannot be used leaves the one that was read last.
func TestSecretsOfBrokersAreReadForEachConnection(t *testing.T) {
	for mechanism, scram := range map[string]kadm.ScramMechanism{"SCRAM-SHA-256": kadm.ScramSha256, "SCRAM-SHA-512": kadm.ScramSha512} {
		t.Run(mechanism, func(t *testing.T) { changesPassword(t, mechanism, scram) })
	}
}

func changesPassword(t *testing.T, mechanism string, scram kadm.ScramMechanism) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "engine", "first"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	dir := t.TempDir()
	put := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	sasl := &KafkaSASLConfig{mechanism, put("user", "engine\n"), put("password", "first\n")}
	options, _, err := KafkaOptions(durable.OS{}, "x.", &KafkaTLSConfig{}, sasl, certs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	connect := func() (*kgo.Client, error) { // anew, with what was made once
		c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c, c.Ping(t.Context())
	}
	first, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	changed, err := kadm.NewClient(first).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "engine", Mechanism: scram, Iterations: 4096, Password: "second"}})
	if err != nil || changed.Error() != nil {
		t.Fatal(err, changed.Error())
	}
	if _, err := connect(); err == nil {
		t.Error("the brokers still take the old password")
	}
	for _, text := range []string{"second\n", "\n"} {
		put("password", text)
		if _, err := connect(); err != nil {
			t.Errorf("with %q in the file: %v", text, err)
		}
	}
}
