package tips

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
)

// idOf is a LogID or a hash of one repeated digit.
func idOf(digit string) string { return strings.Repeat(digit, 32) }

// sampleBody says one of everything.
func sampleBody() Body {
	merged := Merged{}.Merge(Tip{Log: idOf("1"), End: 3, Digest: "5", Chain: idOf("c"), Closed: true, Acked: 3})
	return Body{Gateway: "mv-ada", MadeAt: 1_790_000_000_000_000, Merged: merged, Logs: []Tip{
		{Log: idOf("a"), Previous: idOf("1"), End: 1000, Digest: "18446744073709551615", Chain: idOf("9"), Closed: true, Acked: 900},
		{Log: idOf("b"), Previous: idOf("a"), End: 1 << 62},
	}}
}

// authority is a signer of certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Unix(1_780_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue signs a certificate of a client for key.
func (a authority) issue(t testing.TB, key crypto.Signer, name string, dns ...string) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: dns, NotBefore: time.Unix(1_780_000_000, 0), NotAfter: time.Unix(1_795_000_000, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// during is when certificates of issue are good.
var during = time.Unix(1_790_000_000, 0)

// keys are one of each kind that signs documents.
func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err1 := ed25519.GenerateKey(rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err3 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ed25519": ed, "ecdsa": ec, "rsa": rs}
}

func TestSignedDocument(t *testing.T) {
	a, other, body := newAuthority(t), newAuthority(t), sampleBody()
	for kind, key := range keys(t) {
		t.Run(kind, func(t *testing.T) {
			doc, err := Encode(body, key, [][]byte{a.issue(t, key, "mv-ada"), a.cert.Raw})
			if err != nil {
				t.Fatal(err)
			}
			got, signer, err := Verify(doc, a.roots(), during)
			if err != nil || !reflect.DeepEqual(got, body) || !signer.Trusted || signer.Leaf.Subject.CommonName != "mv-ada" {
				t.Fatalf("%+v signed by %+v, %v", got, signer, err)
			}
			if got, signer, err := Verify(doc, nil, during); err != nil || !reflect.DeepEqual(got, body) || signer.Trusted || signer.Leaf == nil {
				t.Errorf("without roots: signed by %+v, %v", signer, err)
			}
			for name, c := range map[string]struct {
				roots *x509.CertPool
				at    time.Time
			}{"other roots": {other.roots(), during}, "expired": {a.roots(), time.Unix(1_796_000_000, 0)}, "too early": {a.roots(), time.Unix(1_700_000_000, 0)}} {
				if got, signer, err := Verify(doc, c.roots, c.at); !errors.Is(err, ErrSigner) || signer.Trusted || got.Gateway != "mv-ada" {
					t.Errorf("%s: signed by %+v, %v", name, signer, err)
				}
			}
			changed := bytes.Replace(doc, []byte(`"end":1000`), []byte(`"end":1001`), 1)
			if _, _, err := Verify(changed, nil, during); !errors.Is(err, ErrSignature) {
				t.Errorf("one end changed: %v", err)
			}
			lines := bytes.SplitAfter(doc, []byte("\n"))
			if got, _, err := Verify(bytes.Join(lines[:2], nil), a.roots(), during); !errors.Is(err, ErrUnsigned) || !reflect.DeepEqual(got, body) {
				t.Errorf("without the signature: %+v, %v", got, err)
			}
		})
	}
}

// TestIdentityOfASigner: a certificate signs for its own gateway only, by the rule
// of the ingest.
func TestIdentityOfASigner(t *testing.T) {
	a, key := newAuthority(t), keys(t)["ecdsa"]
	for name, c := range map[string]struct {
		cert []byte
		good bool
	}{
		"common name":     {a.issue(t, key, "mv-ada"), true},
		"DNS name":        {a.issue(t, key, "x", "other", "mv-ada"), true},
		"another gateway": {a.issue(t, key, "mv-bob"), false},
		"prefix":          {a.issue(t, key, "mv-ad", "mv-ada.example"), false},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := Encode(sampleBody(), key, [][]byte{c.cert})
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := Verify(doc, a.roots(), during)
			if c.good && err != nil || !c.good && (!errors.Is(err, ErrIdentity) || got.Gateway != "") {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestServersDoNotSign: a certificate that is not a client's signs nothing.
func TestServersDoNotSign(t *testing.T) {
	a, key := newAuthority(t), keys(t)["ecdsa"]
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mv-ada"}, NotBefore: during.Add(-time.Hour), NotAfter: during.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Encode(sampleBody(), key, [][]byte{der})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(doc, a.roots(), during); !errors.Is(err, ErrSigner) {
		t.Errorf("%v", err)
	}
}

// TestDocumentsThatAreNone: each is refused, and says how.
func TestDocumentsThatAreNone(t *testing.T) {
	doc, err := Encode(sampleBody(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	withAnchors, err := Encode(anchored(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, anchoredText := string(doc), string(withAnchors)
	replaced := func(old, with string) string {
		if strings.Count(text, old) == 0 {
			t.Fatalf("no %q in %s", old, text)
		}
		return strings.Replace(text, old, with, 1)
	}
	for name, c := range map[string]struct {
		doc  string
		want error
	}{
		"empty":                  {"", record.ErrCorrupt},
		"another file":           {"landfall-forward 1 00000000\n{}\n", record.ErrCorrupt},
		"newer":                  {replaced("landfall-tips 1", "landfall-tips 3"), record.ErrVersion},
		"older than the first":   {replaced("landfall-tips 1", "landfall-tips 0"), record.ErrVersion},
		"version 02":             {replaced("landfall-tips 1", "landfall-tips 01"), record.ErrVersion},
		"version 2, no anchors":  {replaced("landfall-tips 1", "landfall-tips 2"), record.ErrCorrupt},
		"version 1, anchors":     {strings.Replace(anchoredText, "landfall-tips 2", "landfall-tips 1", 1), record.ErrCorrupt},
		"anchors that are none":  {replaced(`}]}`, `}],"anchors":[]}`), record.ErrCorrupt},
		"no end of line":         {strings.TrimSuffix(text, "\n"), record.ErrCorrupt},
		"unknown field":          {replaced(`"gateway"`, `"more":1,"gateway"`), record.ErrCorrupt},
		"a field twice":          {replaced(`"gateway":"mv-ada"`, `"gateway":"mv-bob","gateway":"mv-ada"`), record.ErrCorrupt},
		"spaces":                 {replaced(`"gateway":`, `"gateway": `), record.ErrCorrupt},
		"no logs":                {"landfall-tips 1\n{\"gateway\":\"g\",\"made_at\":0,\"merged\":{\"count\":0,\"last\":\"\",\"hash\":\"\"},\"logs\":null}\n", record.ErrCorrupt},
		"no gateway":             {replaced("mv-ada", ""), record.ErrCorrupt},
		"no log id":              {replaced(`"log":"`+idOf("b"), `"log":"`+idOf("B")), record.ErrCorrupt},
		"a log twice":            {replaced(`"log":"`+idOf("b"), `"log":"`+idOf("a")), record.ErrCorrupt},
		"digest beyond 64 bits":  {replaced("18446744073709551615", "18446744073709551616"), record.ErrCorrupt},
		"digest with zeros":      {replaced("18446744073709551615", "05"), record.ErrCorrupt},
		"negative end":           {replaced(`"end":1000`, `"end":-1`), record.ErrCorrupt},
		"merged without a count": {replaced(`"count":1`, `"count":0`), record.ErrCorrupt},
		"more than a signature":  {text + "{\"certificate\":\"\",\"signature\":\"\"}\nmore\n", record.ErrCorrupt},
		"signature is no JSON":   {text + "x\n", record.ErrCorrupt},
		"no certificate":         {text + "{\"certificate\":\"\",\"signature\":\"\"}\n", record.ErrCorrupt},
		"too large":              {text + strings.Repeat(" ", MaxDocumentBytes), record.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if body, _, err := Verify([]byte(c.doc), nil, during); !errors.Is(err, c.want) || body.Gateway != "" {
				t.Errorf("%+v, %v", body, err)
			}
		})
	}
}

// weirdKey is of a kind that signs no documents.
type weirdKey struct{ crypto.Signer }

func (weirdKey) Public() crypto.PublicKey { return "weird" }

func TestKeysThatCannotSign(t *testing.T) {
	if _, err := Encode(sampleBody(), weirdKey{}, nil); err == nil {
		t.Error("a document was signed")
	}
}

// FuzzVerify: no document takes the reader down, and what it takes reads the same
// when it is written again.
func FuzzVerify(f *testing.F) {
	a, key := newAuthority(f), keys(f)["ed25519"]
	for _, body := range []Body{sampleBody(), anchored()} {
		k := crypto.Signer(nil)
		if len(body.Anchors) > 0 {
			k = key
		}
		doc, err := Encode(body, k, [][]byte{a.issue(f, key, "mv-ada")})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		_, _, _ = Verify(doc, a.roots(), during)
		body, signature, err := Decode(doc)
		if err != nil {
			return
		}
		again, err := Encode(body, nil, nil)
		if err != nil || !bytes.HasPrefix(doc, again) || (signature == nil) != (len(doc) == len(again)) {
			t.Errorf("written again it is %q, %v", again, err)
		}
	})
}
