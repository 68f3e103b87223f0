package config

import (
	"errors"
	"net"
	"testing"
)

// TestListening: an address that somebody else has is not free now; one that is none, or
// that this user may not have, is wrong. The text says both with the key.
func TestListening(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	file, err := Parse("f.yaml", []byte("listen: x\n"), &struct {
		Listen string `yaml:"listen"`
	}{})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]error{taken.Addr().String(): ErrBusy, "192.0.2.1:8470": ErrBusy,
		"127.0.0.1:99999": ErrInvalid, "nowhere": ErrInvalid} {
		ln, err := net.Listen("tcp", address)
		if err == nil {
			_ = ln.Close()
			t.Fatalf("%s is free", address)
		}
		err = Listening("listen", "a free address", err)
		if located := file.Locate(err); !errors.Is(err, want) || !errors.Is(located, want) ||
			errors.Is(located, ErrInvalid) != (want == ErrInvalid) {
			t.Errorf("%s: %v, located %v", address, err, located)
		}
	}
}
