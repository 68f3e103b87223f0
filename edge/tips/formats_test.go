package tips

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

func summed(text string) string {
	return fmt.Sprintf("%s %d %08x\n%s", bookMagic, bookVersion,
		crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)), text)
}

// frozen returns a frozen file; make makes one that is not there yet.
func frozen(t *testing.T, name string, make func() []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "formats", name)
	p, err := os.ReadFile(path)
	if os.IsNotExist(err) && *writeFormats {
		p = make()
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, p, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// anchored is a body that a document of version 2 says.
func anchored() Body {
	b := sampleBody()
	b.Anchors = sampleAnchors()
	return b
}

// TestFrozenFormats: this version writes what was frozen, but for signatures,
// which are never the same twice, and reads all of it. A document without anchors
// is of version 1, as every audit before reads it; a book of version 1 is only
// read.
func TestFrozenFormats(t *testing.T) {
	for name, body := range map[string]Body{"document-v1.txt": sampleBody(), "document-v2.txt": anchored()} {
		document := func() []byte {
			p, err := Encode(body, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := frozen(t, name, document)
		if !bytes.Equal(p, document()) {
			t.Errorf("this version writes another document than %s", name)
		}
		if got, _, err := Decode(p); err != nil || !reflect.DeepEqual(got, body) {
			t.Errorf("%s is read as %+v, %v", name, got, err)
		}
	}
	book := func() []byte {
		p, err := sampleBook().Encode()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := frozen(t, "book-v2.txt", book); !bytes.Equal(p, book()) {
		t.Error("this version writes another book than the frozen one")
	} else if b, err := DecodeBook(p); err != nil || !reflect.DeepEqual(b, sampleBook()) {
		t.Errorf("read as %+v, %v", b, err)
	}
	if b, err := DecodeBook(frozen(t, "book-v1.txt", nil)); err != nil || !reflect.DeepEqual(b.names, sampleBook().names) || len(b.anchors) != 0 {
		t.Errorf("version 1 read as %+v, %v", b, err)
	}
	a := newAuthority(t)
	for kind, key := range keys(t) {
		for version, body := range map[int]Body{1: sampleBody(), 2: anchored()} {
			name := fmt.Sprintf("document-v%d-%s", version, kind)
			p := frozen(t, name+".txt", func() []byte {
				p, err := Encode(body, key, [][]byte{a.issue(t, key, "mv-ada")})
				if err != nil {
					t.Fatal(err)
				}
				root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
				frozen(t, name+"-root.pem", func() []byte { return root })
				return p
			})
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(frozen(t, name+"-root.pem", nil))
			if got, _, err := Verify(p, roots, during); err != nil || !reflect.DeepEqual(got, body) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	}
}
