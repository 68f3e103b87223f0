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
	return fmt.Sprintf("%s %d %08x\n%s", bookMagic, bookVersion, crc32.Checksum([]byte(text), castagnoli), text)
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

// TestFrozenFormats: this version writes what was frozen, but for signatures,
// which are never the same twice, and reads all of it.
func TestFrozenFormats(t *testing.T) {
	document := func() []byte {
		p, err := Encode(sampleBody(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if !bytes.Equal(frozen(t, "document-v1.txt", document), document()) {
		t.Error("this version writes another document than the frozen one")
	}
	book := func() []byte {
		p, err := sampleBook().Encode()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := frozen(t, "book-v1.txt", book); !bytes.Equal(p, book()) {
		t.Error("this version writes another book than the frozen one")
	} else if b, err := DecodeBook(p); err != nil || !reflect.DeepEqual(b.names, sampleBook().names) {
		t.Errorf("read as %+v, %v", b, err)
	}
	a := newAuthority(t)
	for kind, key := range keys(t) {
		p := frozen(t, "document-v1-"+kind+".txt", func() []byte {
			p, err := Encode(sampleBody(), key, [][]byte{a.issue(t, key, "mv-ada")})
			if err != nil {
				t.Fatal(err)
			}
			root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
			frozen(t, "document-v1-"+kind+"-root.pem", func() []byte { return root })
			return p
		})
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(frozen(t, "document-v1-"+kind+"-root.pem", nil))
		if body, _, err := Verify(p, roots, during); err != nil || !reflect.DeepEqual(body, sampleBody()) {
			t.Errorf("signed with %s: %+v, %v", kind, body, err)
		}
	}
}
