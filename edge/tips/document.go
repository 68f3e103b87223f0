package tips

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// Errors of Verify, to be tested with errors.Is.
var (
	// ErrUnsigned says that nobody signed the document: anybody may have written it.
	ErrUnsigned = errors.New("the document is not signed")
	// ErrSignature says that the document is not what was signed.
	ErrSignature = errors.New("the signature does not fit the document")
	// ErrIdentity says that another than the gateway signed it.
	ErrIdentity = errors.New("the signer's certificate is not the gateway's")
	// ErrSigner says that nothing vouches for the signer's certificate.
	ErrSigner = errors.New("the signer's certificate is not trusted")
)

const (
	documentMagic = "landfall-tips"
	// MaxDocumentBytes bounds a document.
	MaxDocumentBytes = 4 << 20
)

// Encode returns the document that says b, signed with key, which belongs to the
// first of the certificates in chain (DER); key nil: unsigned. Errors: those of
// the key, and one for a kind of key that cannot sign documents.
func Encode(b Body, key crypto.Signer, chain [][]byte) ([]byte, error) {
	if b.Logs == nil {
		b.Logs = []Tip{}
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode tips: %w", err)
	}
	doc := append(fmt.Appendf(nil, "%s %d\n", documentMagic, b.version()), append(text, '\n')...)
	if key == nil {
		return doc, nil
	}
	signature, err := sign(key, doc)
	if err != nil {
		return nil, fmt.Errorf("sign tips: %w", err)
	}
	s := Signature{Signature: base64.StdEncoding.EncodeToString(signature)}
	for _, der := range chain {
		s.Certificate += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	if text, err = json.Marshal(s); err != nil {
		return nil, fmt.Errorf("encode signature of tips: %w", err)
	}
	return append(doc, append(text, '\n')...), nil
}

func sign(key crypto.Signer, text []byte) ([]byte, error) {
	switch key.Public().(type) {
	case ed25519.PublicKey:
		return key.Sign(rand.Reader, text, crypto.Hash(0))
	case *ecdsa.PublicKey, *rsa.PublicKey:
		sum := sha256.Sum256(text)
		return key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	return nil, fmt.Errorf("with a key of %T", key.Public())
}

// Decode reads a document and checks its form, not its signature. The signature
// is nil where there is none. Errors: record.ErrCorrupt, record.ErrVersion,
// record.ErrTooLarge.
func Decode(doc []byte) (Body, *Signature, error) {
	body, signature, _, err := split(doc)
	return body, signature, err
}

// split reads a document; text is what its signature is over.
func split(doc []byte) (body Body, signature *Signature, text []byte, err error) {
	if len(doc) > MaxDocumentBytes {
		return Body{}, nil, nil, fmt.Errorf("read tips of %d bytes: %w", len(doc), record.ErrTooLarge)
	}
	head, rest, ok := bytes.Cut(doc, []byte("\n"))
	magic, number, _ := bytes.Cut(head, []byte(" "))
	if !ok || string(magic) != documentMagic {
		return Body{}, nil, nil, fmt.Errorf("read tips: %w", record.ErrCorrupt)
	}
	version, err := strconv.Atoi(string(number))
	if err != nil || version < 1 || version > Version || strconv.Itoa(version) != string(number) {
		return Body{}, nil, nil, fmt.Errorf("read tips of version %.20q: %w", number, record.ErrVersion)
	}
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || !exactly(line, &body) {
		return Body{}, nil, nil, fmt.Errorf("read what the tips say: %w", record.ErrCorrupt)
	}
	if err := body.check(); err != nil {
		return Body{}, nil, nil, fmt.Errorf("read tips: %w", err)
	}
	if body.version() != version {
		return Body{}, nil, nil, fmt.Errorf("read tips of version %d with %d anchors: %w", version, len(body.Anchors), record.ErrCorrupt)
	}
	text = doc[:len(head)+len(line)+2]
	if len(rest) == 0 {
		return body, nil, text, nil
	}
	line, rest, ok = bytes.Cut(rest, []byte("\n"))
	signature = new(Signature)
	if !ok || len(rest) > 0 || !exactly(line, signature) {
		return Body{}, nil, nil, fmt.Errorf("read signature of tips: %w", record.ErrCorrupt)
	}
	return body, signature, text, nil
}

// exactly reads JSON that says what v can say and nothing else, each thing once:
// it is what json.Marshal writes of v.
func exactly(line []byte, v any) bool {
	if json.Unmarshal(line, v) != nil {
		return false
	}
	text, err := json.Marshal(v)
	return err == nil && bytes.Equal(text, line)
}

// check says whether a body has the form of one. Error: record.ErrCorrupt.
func (b *Body) check() error {
	if err := wire.CheckGateway(b.Gateway); err != nil {
		return fmt.Errorf("%w: %w", record.ErrCorrupt, err)
	}
	if b.Logs == nil {
		return fmt.Errorf("tips without logs: %w", record.ErrCorrupt)
	}
	if err := b.Merged.check(); err != nil {
		return err
	}
	known := make(map[string]bool, len(b.Logs))
	for i := range b.Logs {
		t := &b.Logs[i]
		if err := t.check(); err != nil {
			return err
		}
		if known[t.Log] {
			return fmt.Errorf("two tips of log %s: %w", t.Log, record.ErrCorrupt)
		}
		known[t.Log] = true
	}
	return checkAnchors(b.Anchors)
}

func (t *Tip) check() error {
	if !isID(t.Log) || t.Previous != "" && !isID(t.Previous) || t.Chain != "" && !isID(t.Chain) {
		return fmt.Errorf("tip of log %.40q: %w", t.Log, record.ErrCorrupt)
	}
	if t.Digest == "" {
		return nil
	}
	if d, err := record.ParseDigest(t.Digest); err != nil || d.String() != t.Digest {
		return fmt.Errorf("digest %.40q of log %s: %w", t.Digest, t.Log, record.ErrCorrupt)
	}
	return nil
}

func (m *Merged) check() error {
	if *m == (Merged{}) {
		return nil
	}
	if m.Count == 0 || !isID(m.Last) || len(m.Hash) != 2*sha256.Size || !isHex(m.Hash) {
		return fmt.Errorf("%d merged tips up to %.40q: %w", m.Count, m.Last, record.ErrCorrupt)
	}
	return nil
}

// isID tells 32 lower-case hexadecimal digits.
func isID(s string) bool { return len(s) == 2*len(record.LogID{}) && isHex(s) }

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Signer is who vouches for a document.
type Signer struct {
	Leaf    *x509.Certificate
	Trusted bool // the chain of the certificate ends in one of the roots
}

// Verify reads a document and checks that the gateway it names signed it: the
// signature, the name in the certificate, and, unless roots is nil, that the
// certificate was good at a time, issued by one of the roots for clients.
//
// Errors: those of Decode. ErrUnsigned and ErrSigner come with the Body, for
// callers that take it all the same; ErrSignature and ErrIdentity do not.
func Verify(doc []byte, roots *x509.CertPool, at time.Time) (Body, Signer, error) {
	body, signature, text, err := split(doc)
	if err != nil {
		return Body{}, Signer{}, err
	}
	if signature == nil {
		return body, Signer{}, ErrUnsigned
	}
	chain, err := signature.chain()
	if err != nil {
		return Body{}, Signer{}, err
	}
	leaf := chain[0]
	if err := signature.checkOver(text, leaf); err != nil {
		return Body{}, Signer{}, err
	}
	if !wire.CertificateNames(leaf, body.Gateway) {
		return Body{}, Signer{}, fmt.Errorf("tips of %q, certificate of %q: %w", body.Gateway, leaf.Subject.CommonName, ErrIdentity)
	}
	signer := Signer{Leaf: leaf}
	if roots == nil {
		return body, signer, nil
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return body, signer, fmt.Errorf("%w: %w", ErrSigner, err)
	}
	signer.Trusted = true
	return body, signer, nil
}

// chain returns the certificates, the leaf first. Error: record.ErrCorrupt.
func (s *Signature) chain() ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode([]byte(s.Certificate)); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("read certificate %d of the signer: %w", len(all)+1, record.ErrCorrupt)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read certificate of the signer: there is none: %w", record.ErrCorrupt)
	}
	return all, nil
}

// checkOver checks that the key of leaf signed text. Error: ErrSignature.
func (s *Signature) checkOver(text []byte, leaf *x509.Certificate) error {
	signature, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	algorithms := map[x509.PublicKeyAlgorithm]x509.SignatureAlgorithm{
		x509.ECDSA: x509.ECDSAWithSHA256, x509.Ed25519: x509.PureEd25519, x509.RSA: x509.SHA256WithRSA,
	}
	if err := leaf.CheckSignature(algorithms[leaf.PublicKeyAlgorithm], text, signature); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}
