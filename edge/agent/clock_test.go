package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/certs"
	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/record"
)

// ownCertificate makes a keeper with a certificate that is valid between two times.
func ownCertificate(t *testing.T, from, until time.Time) *certs.Keeper {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "g"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, keyFile := filepath.Join(dir, "g.pem"), filepath.Join(dir, "g.key")
	if err := errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600)); err != nil {
		t.Fatal(err)
	}
	k, err := certs.Open(certs.Config{FS: durable.OS{}, CertFile: cert, KeyFile: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestWhatTheEngineProves: a time over TLS, while the gateway's own certificate is
// valid: an engine whose clock is years wrong would not have taken it.
func TestWhatTheEngineProves(t *testing.T) {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	until := from.Add(2 * 365 * 24 * time.Hour)
	k := ownCertificate(t, from, until)
	for _, c := range []struct {
		name  string
		url   string
		certs *certs.Keeper
		at    time.Time
		want  bool
	}{
		{"plain HTTP", "http://engine", nil, from, false},
		{"over TLS", "https://engine", k, from.Add(time.Hour), true},
		{"over TLS, without an own certificate", "https://engine", nil, until.Add(time.Hour), true},
		{"after the own certificate", "https://engine", k, until.Add(time.Hour), false},
		{"before the own certificate", "https://engine", k, from.Add(-time.Hour), false},
	} {
		a := &Agent{cfg: Config{Forward: ForwardConfig{URL: c.url}}, certs: c.certs}
		if got := a.proves(c.at); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// wallClock is a machine's clock that stands still.
type wallClock struct{ at record.Micros }

func (c wallClock) Now() (record.Micros, int64) { return c.at, 1_000_000 }
func (c wallClock) Boot() clock.BootID          { return clock.BootID{1} }

// TestCertificatesBeforeAnythingIsHeard are judged by the machine's clock, and never by
// one before this program was made.
func TestCertificatesBeforeAnythingIsHeard(t *testing.T) {
	for wall, want := range map[record.Micros]record.Micros{0: clock.Floor, clock.Floor + 5: clock.Floor + 5} {
		a := &Agent{opt: Options{Clock: wallClock{wall}}}
		if got := a.certificateTime(); got.UnixMicro() != int64(want) || a.certificateTimeWeak() {
			t.Errorf("wall %d: %v, weak %v", wall, got, a.certificateTimeWeak())
		}
	}
}

// TestProposalsAreComparedWithSomething: where nothing is believed, with the machine's
// clock, and not with 1970.
func TestProposalsAreComparedWithSomething(t *testing.T) {
	if got := comparedWith(&clock.Estimate{}, 7); got != 7 {
		t.Errorf("nothing is believed: %d", got)
	}
	if got := comparedWith(&clock.Estimate{Known: true, Offset: 9}, 7); got != 9 {
		t.Errorf("something is believed: %d", got)
	}
}

// keptClock is a machine's clock that NTP keeps.
type keptClock struct{ *clock.System }

func (keptClock) Discipline() (time.Duration, bool) { return 10 * time.Millisecond, true }

// TestHealthIsRedUntilTheClocksAgree: the engine's proven time and the machine's that NTP
// keeps contradict each other, which health and a metric say until they agree.
func TestHealthIsRedUntilTheClocksAgree(t *testing.T) {
	c := fileGateway(t, 10, "http://"+freeAddress(t))
	c.Sources[0].File.Follow, c.Status = true, freeAddress(t)
	machine := keptClock{clock.NewSystem(clock.BootID{1})}
	a, err := New(c, Options{Clock: machine})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	engineSays := func(ahead time.Duration) {
		wall, mono := machine.Now()
		a.live.Tell(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, Trusted: true, UTC: wall + record.Micros(ahead.Microseconds()), Mono: mono, Before: mono - 20_000})
	}
	red := func() bool {
		s := a.Status()
		said := strings.Contains(strings.Join(s.Reasons, "; "), "contradict each other")
		if said && s.Healthy || said != s.Clock.Split {
			t.Errorf("healthy %v, split %v, %q", s.Healthy, s.Clock.Split, s.Reasons)
		}
		return said
	}
	metric := func(value string) bool {
		_, body := get(t, "http://"+c.Status+"/metrics")
		return strings.Contains(body, "landfall_edge_clock_authorities_disagree "+value+"\n")
	}
	for range 2 {
		engineSays(0)
		waitFor(t, func() bool { return a.Status().Clock.RestsOn != "nobody" && !red() && metric("0") })
		engineSays(time.Hour)
		waitFor(t, func() bool { return red() && metric("1") })
	}
	engineSays(0)
	waitFor(t, func() bool { return !red() })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
