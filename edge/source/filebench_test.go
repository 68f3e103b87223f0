package source

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
)

// BenchmarkFile reads a file of 32 MiB of lines: what the source itself costs, hashes of
// what was read included.
func BenchmarkFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ais.log")
	line := []byte("!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24\r\n")
	content := bytes.Repeat(line, (32<<20)/len(line))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		f, err := NewFile(FileConfig{Options: options("f"), FS: durable.OS{}, Path: path})
		if err != nil {
			b.Fatal(err)
		}
		sink := &sizeSink{}
		if err := f.Run(b.Context(), sink); err != nil {
			b.Fatal(err)
		}
		if sink.lines.Load() != int64(len(content)/len(line)) {
			b.Fatalf("%d lines", sink.lines.Load())
		}
	}
}
