package enginecli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/memory"
	"landfall/edge/wire"
	"landfall/engine/checkpoint"
	"landfall/engine/server"
)

// The patience of doctor: with an address that does not answer, with a gateway
// that is not heard, with a certificate that ends.
const (
	dialPatience  = 5 * time.Second
	gatewayQuiet  = 6 * time.Hour
	expiresSoon   = 30 * 24 * time.Hour
	manyBehind    = 10_000
	serviceBroken = "systemctl status landfall-engine; journalctl -u landfall-engine"
)

func doctorCommand() *cobra.Command {
	return cli.DoctorCommand(DefaultConfig, "docs/operator.md begins with one that works; landfall-engine check says what is wrong with it", load, examine)
}

// examine looks at everything that a configuration names.
func examine(ctx context.Context, _ string, c *server.Config) []cli.Finding {
	defer leave(c)()
	s, err := ask(ctx, c)
	all := []cli.Finding{serviceFinding(c, s, err)}
	var taken *memory.Status
	if s != nil {
		taken = &s.Memory
	}
	all = append(all, cli.MemoryFinding(taken, c.WantedMemory(), c.MemoryItems(), "landfall-engine"))
	all = append(all, directoryFindings(ctx, c)...)
	all = append(all, certificates(c)...)
	if c.Runs(server.RoleIngest) {
		all = append(all, listening(ctx, c, s), whoMayDeliver(c))
	}
	if s != nil {
		all = append(all, share(s)...)
		all = append(all, tasks(s)...)
	}
	if s != nil && c.Runs(server.RoleIngest) {
		all = append(all, gateways(s, time.Now())...)
		all = append(all, refusals(s)...)
	}
	words, synchronized := cli.ClockSource(durable.OS{})
	kept := cli.Finding{What: "clock", Verdict: cli.Good, Detail: words}
	if !synchronized {
		kept.Verdict, kept.Fix = cli.Look, "landed_at, and the expiry of certificates, go by this clock: apt install systemd-timesyncd, or chrony"
	}
	return append(all, kept)
}

// serviceFinding says how the running engine is.
func serviceFinding(c *server.Config, s *standing, err error) cli.Finding {
	switch {
	case c.Status == "":
		return cli.Finding{What: "service", Verdict: cli.Look, Detail: "no status address is configured: it cannot be asked", Fix: "status: 127.0.0.1:8481"}
	case err != nil:
		return cli.Finding{What: "service", Verdict: cli.Bad, Detail: err.Error(), Fix: serviceBroken}
	case !s.Healthy:
		return cli.Finding{What: "service", Verdict: cli.Bad, Detail: strings.Join(s.Reasons, "; "), Fix: "landfall-engine status; docs/operator.md has a line for each reason"}
	}
	return cli.Finding{What: "service", Verdict: cli.Good, Detail: "runs, and is healthy"}
}

// directoryFindings looks at the disks, and whether the store can compare and
// swap.
func directoryFindings(ctx context.Context, c *server.Config) []cli.Finding {
	if err := directories(c); err != nil {
		return []cli.Finding{{What: "directories", Verdict: cli.Bad, Detail: err.Error(), Fix: "run doctor as the service does: sudo -u landfall landfall-engine doctor"}}
	}
	var lake []cli.Finding
	var store checkpoint.Store
	if c.Runs(server.RoleTasks) {
		store, lake = lakeFindings(ctx, c)
	}
	if c.Landing.Kafka.Used() {
		return append([]cli.Finding{topicFinding(ctx, c, store)}, lake...)
	}
	return append([]cli.Finding{roomFor("landing.dir", c.Landing.Dir, c)}, lake...)
}

// lakeFindings looks at the lake, and returns the store of its checkpoints; nil: it
// cannot be used, or not from here.
func lakeFindings(ctx context.Context, c *server.Config) (checkpoint.Store, []cli.Finding) {
	var all []cli.Finding
	lake := cli.Finding{What: "lake", Verdict: cli.Good, Detail: fmt.Sprintf("%s can be written, and %s compares before it swaps", c.Lake.Dir, c.CheckpointDir())}
	fix := "another file system: without this two engines could both commit"
	if server.IsBucket(c.Lake.Dir) {
		fix = "the store, the bucket's name, the credentials and their rights; landfall-engine check says what was tried"
	} else {
		all = append(all, roomFor("lake.dir", c.Lake.Dir, c))
	}
	p := placeOf(c)
	if name := p.withheld(); name != "" {
		lake.Verdict, lake.Detail, lake.Fix = cli.Look, fmt.Sprintf("%s: not asked: systemd hands %s to the service alone", c.Lake.Dir, name), "landfall-engine status says whether it commits"
		return nil, append(all, lake)
	}
	p.note = func(note string) { lake.Verdict, lake.Detail = cli.Look, lake.Detail+"; "+note }
	store, _, err := openLake(ctx, p)
	if err != nil {
		lake.Verdict, lake.Detail, lake.Fix = cli.Bad, err.Error(), fix
	} else if err := server.CheckLanding(ctx, durable.OS{}, c, store); err != nil {
		lake.Verdict, lake.Detail, lake.Fix = cli.Bad, err.Error(), "put the key back, or mount its disk; landfall-engine landing replace moves the lake"
	}
	return store, append(all, lake)
}

// roomFor says how much room a directory's disk has.
func roomFor(key, dir string, c *server.Config) cli.Finding {
	f := cli.Finding{What: key, Verdict: cli.Good}
	free, err := cli.FreeBelow(durable.OS{}, dir)
	if err != nil {
		return cli.Finding{What: key, Verdict: cli.Bad, Detail: err.Error()}
	}
	f.Detail = fmt.Sprintf("%s: %s free, landing.reserve %s", dir, cli.Size(free), c.Landing.Reserve)
	switch reserve := int64(c.Landing.Reserve); {
	case free < reserve:
		f.Verdict, f.Fix = cli.Bad, "make room: under the reserve nothing is landed; gateways wait and lose nothing"
	case free < 2*reserve:
		f.Verdict, f.Fix = cli.Look, "make room: under the reserve nothing is landed"
	}
	return f
}

// certificates looks at the ingest's own.
func certificates(c *server.Config) []cli.Finding {
	k, err := c.TLS.Open(durable.OS{}, certs.Config{Floor: cli.Built()})
	if err != nil {
		return []cli.Finding{{What: "certificates", Verdict: cli.Bad, Detail: err.Error(), Fix: "landfall cert engine HOST makes them; the user landfall must be able to read them"}}
	}
	if k == nil {
		return nil // whoMayDeliver says what that means
	}
	st := k.Status()
	f := cli.Finding{What: "certificates", Verdict: cli.Good, Detail: fmt.Sprintf("of %s, until %s", st.Subject, st.NotAfter.Format(time.DateOnly)), Fix: "landfall cert engine HOST renews it; put the new files in place of the old"}
	if !st.CANotAfter.IsZero() && st.CANotAfter.Before(st.NotAfter) {
		st.NotAfter = st.CANotAfter
		f.Detail, f.Fix = fmt.Sprintf("of the gateways' signer, until %s", st.CANotAfter.Format(time.DateOnly)), "a new authority beside the old one in tls.client_ca_file, then new certificates for the gateways"
	}
	switch left := st.NotAfter.Sub(k.Time()); {
	case left < 0:
		f.Verdict = cli.Bad
	case left < expiresSoon:
		f.Verdict = cli.Look
	}
	return []cli.Finding{f}
}

// listening reaches for the ingest as a gateway on this machine would, and asks
// something that it refuses in its own words. Without an engine, the port is
// tried.
func listening(ctx context.Context, c *server.Config, s *standing) cli.Finding {
	f := cli.Finding{What: "ingest", Verdict: cli.Good, Detail: c.Listen + " answers"}
	if s == nil {
		ln, err := net.Listen("tcp", c.Listen)
		if err == nil {
			err = ln.Close()
			f.Detail = c.Listen + " is free"
		}
		if err != nil {
			f.Verdict, f.Detail, f.Fix = cli.Bad, err.Error(), "another program has the port, perhaps an engine without a status address: ss -lnp"
		}
		return f
	}
	host, port, _ := net.SplitHostPort(c.Listen) // Validate checked it
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c.TLS.CertFile != "" {
		scheme = "https"
	}
	// Whether the certificate is the right one is the gateway's to say; here it
	// is asked under another name.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, Timeout: dialPatience}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+wire.Path, nil)
	if err != nil {
		return cli.Finding{What: "ingest", Verdict: cli.Bad, Detail: err.Error()}
	}
	resp, err := client.Do(req)
	switch {
	case err != nil && strings.Contains(err.Error(), "certificate required"):
		f.Detail = c.Listen + " answers, and asks for a gateway's certificate"
	case err != nil:
		f.Verdict, f.Detail, f.Fix = cli.Bad, err.Error(), serviceBroken
	default:
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
			f.Verdict, f.Detail, f.Fix = cli.Bad, fmt.Sprintf("somebody else answers at %s: %s", c.Listen, resp.Status), "which program has the port? ss -lnp"
		}
	}
	if f.Verdict == cli.Good && config.IsLoopback(c.Listen) {
		f.Verdict, f.Fix = cli.Look, "only this machine can deliver; for gateways elsewhere: listen: 0.0.0.0:8470, or a proxy before it"
	}
	return f
}

// whoMayDeliver says how gateways prove their names.
func whoMayDeliver(c *server.Config) cli.Finding {
	f := cli.Finding{What: "identity", Verdict: cli.Good}
	switch {
	case c.Identity.Unauthenticated && !config.IsLoopback(c.Listen):
		f.Verdict, f.Detail, f.Fix = cli.Look, "whoever reaches "+c.Listen+" delivers under any name", "tls with client_ca_file; landfall cert makes the files"
	case c.Identity.Unauthenticated:
		f.Detail = "senders are believed, on loopback only"
	case c.TLS.ClientCAFile != "" && c.TLS.CRLFile == "":
		f.Verdict, f.Detail, f.Fix = cli.Look, "certificates, but none can be revoked", "tls.crl_file: the crl.pem of landfall cert"
	case c.TLS.ClientCAFile != "":
		f.Detail = "certificates, and a list of those revoked"
	default:
		f.Detail = "a header of a proxy that is trusted"
	}
	return f
}

// share looks at the consumer group's assignment.
func share(s *standing) []cli.Finding {
	if s.Group == nil || !s.Group.Member {
		return nil
	}
	f := cli.Finding{What: "consumer group", Verdict: cli.Good, Detail: groupLine(s.Group)}
	switch {
	case s.Group.Error != "":
		f.Verdict, f.Fix = cli.Bad, "the right Read on the group and the topic, and brokers that answer; what gateways send still lands"
	case len(s.Group.Mine) == 0:
		f.Verdict, f.Fix = cli.Look, "it stands by: more engines than partitions help only when one dies"
	}
	return []cli.Finding{f}
}

// tasks looks at each partition.
func tasks(s *standing) []cli.Finding {
	var all []cli.Finding
	for _, t := range s.Tasks {
		f := cli.Finding{What: fmt.Sprintf("partition %d", t.Partition), Verdict: cli.Good, Detail: fmt.Sprintf("%s, epoch %d, %d blocks behind", t.State, t.Epoch, max(0, t.Behind))}
		switch {
		case t.State != server.TaskRunning:
			f.Verdict, f.Detail, f.Fix = cli.Bad, fmt.Sprintf("%s: %s", t.State, t.Error), "what gateways send still lands, and waits; docs/operator.md says what each text means"
		case t.Contradictions > t.Acknowledged:
			f.Verdict, f.Detail, f.Fix = cli.Look, fmt.Sprintf("%d blocks contradict a log", t.Contradictions-t.Acknowledged), "SELECT * FROM conflict: two machines under one gateway name, or a restored image; then landfall-engine acknowledge"
		case t.Behind > manyBehind:
			f.Verdict, f.Fix = cli.Look, "it catches up while behind falls: landfall-engine top"
		}
		all = append(all, f)
	}
	return all
}

// gateways says who delivers, and who was not heard for long.
func gateways(s *standing, now time.Time) []cli.Finding {
	if len(s.Gateways) == 0 {
		return []cli.Finding{{What: "gateways", Verdict: cli.Look, Detail: "none was heard since the start", Fix: "landfall-edge doctor on a gateway looks at the way to here"}}
	}
	var all []cli.Finding
	for _, g := range s.Gateways {
		f := cli.Finding{What: "gateway " + g.Gateway, Verdict: cli.Good, Detail: fmt.Sprintf("last heard %s, complete through %s", cli.Dash(g.SeenAt), cli.Dash(g.Watermark))}
		if at, err := time.Parse(time.RFC3339Nano, g.SeenAt); err == nil && now.Sub(at) > gatewayQuiet {
			f.Verdict, f.Fix = cli.Look, "no link, or no power; its data comes when it is back"
		}
		all = append(all, f)
	}
	return all
}

// refusals says who was turned away, and why.
func refusals(s *standing) []cli.Finding {
	var all []cli.Finding
	for _, reason := range certs.Reasons() {
		if n := s.Ingest.Unproven[reason]; n > 0 {
			all = append(all, cli.Finding{
				What: "refused", Verdict: cli.Look, Detail: fmt.Sprintf("%d requests since the start whose gateway was not proved: %s", n, reason),
				Fix: "journalctl -u landfall-engine names the gateway; landfall cert gateway NAME renews a certificate",
			})
		}
	}
	return all
}

// topicFinding asks for the topic of the landing log.
func topicFinding(ctx context.Context, c *server.Config, store checkpoint.Store) cli.Finding {
	f := cli.Finding{What: "landing.kafka", Verdict: cli.Good}
	out := &strings.Builder{}
	if err := checkTopic(ctx, c, store, out); err != nil {
		f.Verdict, f.Detail = cli.Bad, err.Error()
		f.Fix = "see to the brokers, or change the topic as the message says"
		return f
	}
	f.Detail = strings.TrimSpace(out.String())
	return f
}
