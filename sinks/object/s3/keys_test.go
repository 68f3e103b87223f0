package s3_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// TestNewKeysAreTakenUp by a store that is open, from the file that is named as
// from the one where S3's tools look; what is no file of keys changes nothing.
func TestNewKeysAreTakenUp(t *testing.T) {
	server := s3test.Start(t)
	file, err := s3test.CredentialsIn(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	for name, named := range map[string]bool{"named": true, "where tools look": false} {
		t.Run(name, func(t *testing.T) {
			cfg := s3test.Config(server.URL)
			if cfg.Credentials = nil; named {
				cfg.Credentials = s3.KeysIn(file)
			}
			store, err := s3.OpenStore(t.Context(), cfg, s3test.At("x"))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct {
				text string
				ok   bool
			}{
				{"[default\n", true}, {"", true}, {"[default]\naws_access_key_id = somebody\n", true},
				{strings.ReplaceAll(string(right), s3test.SecretKey, "another"), false},
				{string(right), true},
			} {
				if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := store.List(t.Context(), ""); (err == nil) != step.ok {
					t.Errorf("with %q: %v", step.text, err)
				}
			}
		})
	}
}
