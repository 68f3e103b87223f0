package edgecli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/explain"
	"landfall/edge/agent"
	"landfall/edge/certs"
	"landfall/edge/clock"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/memory"
	"landfall/edge/source"
	"landfall/edge/wire"
)

// dialPatience bounds each attempt to reach somebody.
const dialPatience = 5 * time.Second

// trialTime is how long each source is tried where no gateway runs.
const trialTime = 2 * time.Second

func doctorCommand() *cobra.Command {
	return cli.DoctorCommand(DefaultConfig, "landfall-edge setup writes one", load, examine)
}

// healthFix is what to do about reasons for which a gateway is not healthy.
func healthFix(reasons []string) string {
	if slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, "too many senders") }) {
		return "ids that stay the same, or a higher max_senders; if strangers took the places: allow or token_file, then another name for the source, a restart, and landfall-edge forget with the old name"
	}
	return "landfall-edge status"
}

// examine looks at everything that a configuration names.
func examine(ctx context.Context, _ string, c *agent.Config) []cli.Finding {
	var all []cli.Finding
	s, err := ask(ctx, c)
	switch {
	case c.Status == "":
		all = append(all, cli.Finding{What: "service", Verdict: cli.Look, Detail: "no status address is configured: it cannot be asked", Fix: "status: 127.0.0.1:8471"})
	case err != nil:
		all = append(all, cli.Finding{What: "service", Verdict: cli.Bad, Detail: err.Error(), Fix: "systemctl status landfall-edge; journalctl -u landfall-edge"})
	case !s.Healthy:
		all = append(all, cli.Finding{What: "service", Verdict: cli.Bad, Detail: strings.Join(s.Reasons, "; "),
			Fix: healthFix(s.Reasons)})
	default:
		all = append(all, cli.Finding{What: "service", Verdict: cli.Good, Detail: "runs, and is healthy"})
	}
	all = append(all, disk(c))
	var taken *memory.Status
	if s != nil {
		taken = &s.Memory
	}
	all = append(all, cli.MemoryFinding(taken, c.WantedMemory(), c.MemoryItems(), "landfall-edge"))
	if s != nil {
		all = append(all, release(s.Status))
		if s.Forward.Lake != "" {
			all = append(all, lakeOf(&s.Forward, c.Forward.URL))
		}
	}
	all = append(all, sources(ctx, c, s)...)
	words, synchronized := cli.ClockSource(durable.OS{})
	kept := cli.Finding{What: "clock", Verdict: cli.Good, Detail: words}
	if !synchronized {
		kept.Verdict, kept.Fix = cli.Look, "event times come from receivers with a clock; for the others: apt install systemd-timesyncd, or chrony"
	}
	all = append(all, kept)
	if s != nil {
		all = append(all, believed(&s.Clock))
	}
	return append(all, link(ctx, c, s)...)
}

// farAhead is by how much what the engine proved may lie after the machine's clock
// before a person should look, in seconds.
const farAhead = 3600

// believed says what the running gateway believes of the time, who says otherwise,
// and what helps.
func believed(c *agent.ClockStatus) cli.Finding {
	f := cli.Finding{What: "time", Verdict: cli.Good, Detail: "not known; event times are receipts"}
	if c.Known {
		f.Detail = fmt.Sprintf("%s, %s, rests on: %s", c.UTC, c.Quality, strings.ReplaceAll(c.RestsOn, "_", " "))
	}
	var others []string
	for _, p := range c.Proposals {
		if p.Refused != "" && p.Refused != clock.Delays.String() {
			others = append(others, fmt.Sprintf("%s says %s (%s)", p.Name, later(p.Difference), refusal(p.Refused)))
		}
	}
	proven, errProven := time.Parse(time.RFC3339Nano, c.Proven)
	wall, errWall := time.Parse(time.RFC3339Nano, c.Wall)
	switch {
	case c.Split:
		f.Verdict, f.Detail = cli.Bad, f.Detail+"; the engine and the machine's keeper of the time contradict each other"
		f.Fix = "correct the one that is wrong: the engine's machine, or this one's NTP; landfall-edge clock shows both"
	case errProven == nil && errWall == nil && proven.Sub(wall).Seconds() > farAhead:
		f.Verdict, f.Detail = cli.Look, fmt.Sprintf("%s; the engine proved %s, and the machine's clock is behind that",
			f.Detail, c.Proven)
		f.Fix = "set the machine's clock; if it is right and the engine's was wrong: landfall-edge clock forget"
	case len(others) > 0:
		f.Verdict, f.Detail = cli.Look, f.Detail+"; not believed: "+strings.Join(others, ", ")
		f.Fix = "landfall-edge clock names each clock that was heard: a test transmitter, a receiver with a wrong year? If what is believed is wrong: NTP, and landfall-edge clock forget"
	}
	return f
}

func disk(c *agent.Config) cli.Finding {
	f := cli.Finding{What: c.DataDir, Verdict: cli.Good}
	if err := config.TryDir(durable.OS{}, "data_dir", c.DataDir); err != nil {
		return cli.Finding{What: c.DataDir, Verdict: cli.Bad, Detail: err.Error(), Fix: "run doctor as the service does: sudo -u landfall landfall-edge doctor"}
	}
	free, err := cli.FreeBelow(durable.OS{}, c.DataDir)
	if err != nil {
		return cli.Finding{What: c.DataDir, Verdict: cli.Bad, Detail: err.Error()}
	}
	left := free - int64(c.Log.Reserve)
	f.Detail = fmt.Sprintf("%s free, of which the log may take %s: %.1f days at %d sentences a second", cli.Size(free), cli.Size(max(0, left)), offlineDays(max(0, left), assumedRate), assumedRate)
	if left < 2*int64(c.Log.SegmentSize) {
		f.Verdict, f.Fix = cli.Bad, "make room, or lower log.reserve: under the reserve nothing is captured"
	} else if c.Log.Quota > 0 && left < int64(c.Log.Quota)/2 {
		f.Verdict, f.Fix = cli.Look, fmt.Sprintf("log.quota is %s, and there is not so much room: the reserve ends it first", c.Log.Quota)
	}
	return f
}

// fewDays is so little room for an outage that a person should look at it.
const fewDays = 2

// release says what the log keeps until it is published, and how long an outage it
// stands.
func release(s *agent.Status) cli.Finding {
	f := cli.Finding{What: "release", Verdict: cli.Good, Detail: fmt.Sprintf("when %s; %s", s.Forward.Release, kept(s))}
	switch {
	case s.Forward.ReleaseNote != "":
		f.Verdict, f.Detail, f.Fix = cli.Look, s.Forward.ReleaseNote, "landfall-engine version; an engine of this version that has a lake tells it"
	case s.Log.Rated() && s.Log.RoomBytes >= 0 && s.Log.OutageDays < fewDays:
		f.Verdict, f.Fix = cli.Look, "a larger disk, and log.quota; or forward.release: landed, if the engine's landing log is safe by itself"
	}
	return f
}

// lakeOf says to which lake records go, and whether that is the one which the engine
// feeds that answers.
func lakeOf(f *agent.ForwardStatus, address string) cli.Finding {
	if f.OtherLake == "" {
		return cli.Finding{What: "lake", Verdict: cli.Good, Detail: "records go to lake " + f.Lake + "…"}
	}
	return cli.Finding{
		What: "lake", Verdict: cli.Bad,
		Detail: fmt.Sprintf("the engine that answers at %s feeds lake %s…, and the records of this gateway go to lake %s…: nothing is sent to it, and nothing let go", address, f.OtherLake, f.Lake),
		Fix: fmt.Sprintf("forward.url of the engine that feeds lake %s…, or that engine back under this address; where lake %s… is meant from now on: forward.lake: %s",
			f.Lake, f.OtherLake, f.OtherLake),
	}
}

// silentFor is how long an open source may be silent before a person should look
// at it.
const silentFor = 15 * time.Minute

// sources asks the running gateway how its sources stand. Without one, s is nil,
// and each is tried.
func sources(ctx context.Context, c *agent.Config, s *standing) []cli.Finding {
	all := make([]cli.Finding, len(c.Sources))
	handoffs := explain.Edge(c)
	if s != nil {
		explain.Observe(handoffs, c, s.Status)
	}
	var trials sync.WaitGroup
	for i := range c.Sources {
		src := &c.Sources[i]
		if s != nil {
			all[i] = running(src, s)
			guaranteed(&all[i], &handoffs[i])
			continue
		}
		trials.Go(func() { all[i] = tried(ctx, c, i) })
	}
	trials.Wait()
	return all
}

// running says how a source of the running gateway stands.
func running(src *agent.SourceConfig, s *standing) cli.Finding {
	f := cli.Finding{What: "source " + src.Name, Verdict: cli.Bad, Detail: "the running gateway has no such source", Fix: "systemctl reload landfall-edge takes the configuration up"}
	for _, r := range s.Sources {
		if r.Name != src.Name {
			continue
		}
		f.Detail = fmt.Sprintf("%s, %d records, silent for %s", r.State, r.Records, cli.Dash(r.SilentFor))
		silent, err := time.ParseDuration(r.SilentFor)
		switch {
		case r.State != source.StateOpen && r.State != source.StateFinished:
			f.Detail, f.Fix = fmt.Sprintf("%s: %s", r.State, r.Detail), fixOf(src)
			if strings.HasPrefix(r.Detail, agent.Held) {
				f.Fix = "landfall-edge acknowledge, with what stands in brackets, when you have looked"
			}
		case r.State == source.StateOpen && (r.Records == 0 || err == nil && silent > silentFor):
			f.Verdict, f.Fix = cli.Look, "it is open and nothing comes: cable, baud rate, antenna? landfall-edge tap --stage received --source "+src.Name
		case r.PossiblyTwice > 0 && src.Identified():
			f.Detail, f.Fix = fmt.Sprintf("%s, %d of %d records may be there twice", r.State, r.PossiblyTwice, r.Records), "landfall-edge explain says what was seen"
		case r.Unidentified > 0 && src.Identified():
			f.Verdict, f.Detail = cli.Look, fmt.Sprintf("%s, %d of %d messages had no time or number that can be used: not exactly once", r.State, r.Unidentified, r.Records)
			f.Fix = "time_field, time_unit and sequence_field: landfall-edge tap --stage received --source " + src.Name
		case r.Oversized > 0:
			f.Verdict, f.Detail = cli.Look, fmt.Sprintf("%s, %d messages were larger than max_payload and were rejected", r.State, r.Oversized)
			f.Fix = "broker.max_payload, or the broker's own limit (mosquitto: message_size_limit)"
		default:
			f.Verdict, f.Fix = cli.Good, ""
		}
	}
	return f
}

// guaranteed says what landfall-edge explain says of the source, where that is not exactly
// once: as configured, or as was seen, which an operator should look at.
func guaranteed(f *cli.Finding, h *explain.Handoff) {
	if h.Guarantee != explain.ExactlyOnce || len(h.Seen) > 0 {
		f.Detail += "; " + explain.Words(h.Guarantee, h.Seen)
	}
	if len(h.Seen) > 0 && f.Verdict == cli.Good {
		f.Verdict, f.Fix = cli.Look, "landfall-edge explain says what was seen"
	}
}

// tried says what a trial of a source saw.
func tried(ctx context.Context, c *agent.Config, i int) cli.Finding {
	src := &c.Sources[i]
	f := cli.Finding{What: "source " + src.Name, Verdict: cli.Bad, Fix: fixOf(src)}
	seen, err := c.Probe(ctx, i, durable.OS{}, clock.NewSystem(clock.BootID{}), trialTime)
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	t := judge(src, seen)
	f.Verdict, f.Detail = t.Verdict, t.what()
	if len(t.Hints) > 0 || t.OK {
		f.Fix = strings.Join(t.Hints, "; ")
	}
	return f
}

func fixOf(src *agent.SourceConfig) string {
	switch {
	case src.Serial != nil:
		return "is it plugged in? landfall-edge setup lists devices; the user landfall must be in the group dialout"
	case src.File != nil:
		return "may the user landfall read it?"
	case src.TCPClient != nil:
		return "is the receiver on, and its address right?"
	}
	switch src.Kind() {
	case "mqtt", "sparkplug", "modbus":
		return "does it answer, under that address? landfall-edge check --connect says what it saw"
	case "node":
		return "is it plugged in? landfall-edge setup lists devices; the user landfall must be in the group dialout"
	}
	return "another program may have the port: ss -lnp"
}

// judging returns the clock by which the running gateway judges certificates; nil: none
// runs, and the machine's serves.
func judging(s *standing) func() time.Time {
	if s == nil || s.Certs == nil {
		return nil
	}
	at, err := time.Parse(time.RFC3339, s.Certs.JudgedAt)
	if err != nil {
		return nil
	}
	asked := time.Now()
	return func() time.Time { return at.Add(time.Since(asked)) }
}

// link looks at the way to the engine.
func link(ctx context.Context, c *agent.Config, s *standing) []cli.Finding {
	u, err := url.Parse(c.Forward.URL)
	if err != nil {
		return []cli.Finding{{What: "engine", Verdict: cli.Bad, Detail: err.Error()}}
	}
	if names := config.Absent(c.Forward.CAFile, c.Forward.CertFile, c.Forward.KeyFile, c.Forward.ProxyUsernameFile, c.Forward.ProxyPasswordFile); len(names) > 0 {
		return []cli.Finding{{What: "engine", Verdict: cli.Look, Detail: "not asked: systemd hands " + strings.Join(names, ", ") + " to the service alone", Fix: "landfall-edge status says how the link stands"}}
	}
	var secure *tls.Config
	var all []cli.Finding
	if u.Scheme == "https" {
		k, err := certs.Open(certs.Config{FS: durable.OS{}, CAFile: c.Forward.CAFile, CertFile: c.Forward.CertFile,
			KeyFile: c.Forward.KeyFile, Prefix: "forward.", Floor: cli.Built(), Now: judging(s)})
		if err != nil {
			return []cli.Finding{{What: "certificates", Verdict: cli.Bad, Detail: err.Error(), Fix: "landfall cert gateway " + c.Gateway + " makes them; the user landfall must be able to read them"}}
		}
		all, secure = append(all, certificate(k)), k.Client(c.Forward.ServerName, u.Hostname())
	} else if host := u.Hostname(); !config.IsLoopback(net.JoinHostPort(host, "1")) {
		all = append(all, cli.Finding{What: "certificates", Verdict: cli.Look, Detail: "the link is not encrypted and proves nobody's name", Fix: "https, with landfall cert"})
	}
	return append(all, reach(ctx, c, secure))
}

func certificate(k *certs.Keeper) cli.Finding {
	st, left := k.Status(), time.Duration(0)
	if st.Subject == "" {
		return cli.Finding{What: "certificates", Verdict: cli.Look, Detail: "the gateway has none of its own: the engine must believe its name", Fix: "forward.cert_file and key_file"}
	}
	left = st.NotAfter.Sub(k.Time())
	f := cli.Finding{What: "certificates", Verdict: cli.Good, Detail: fmt.Sprintf("of %s, until %s", st.Subject, st.NotAfter.Format(time.DateOnly)), Fix: "landfall cert gateway " + st.Subject + " renews it; put the new files in place of the old"}
	switch {
	case left < 0:
		f.Verdict = cli.Bad
	case left < 30*24*time.Hour:
		f.Verdict = cli.Look
	}
	return f
}

// reach asks the engine something it refuses in its own words, so that a
// captive portal is not taken for it. It goes the way that forwarding goes.
func reach(ctx context.Context, c *agent.Config, secure *tls.Config) cli.Finding {
	proxy, err := c.ProxyTo(durable.OS{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return cli.Finding{What: "engine", Verdict: cli.Bad, Detail: err.Error()}
	}
	client := &http.Client{Transport: &http.Transport{Proxy: proxy, TLSClientConfig: secure, DisableKeepAlives: true}, Timeout: dialPatience}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Forward.URL, "/")+wire.Path, nil)
	if err != nil {
		return cli.Finding{What: "engine", Verdict: cli.Bad, Detail: err.Error()}
	}
	resp, err := client.Do(req)
	if refused := new(certs.Refusal); errors.As(err, &refused) &&
		(refused.Reason == certs.Expired || refused.Reason == certs.NotYetValid) {
		return cli.Finding{What: "engine", Verdict: cli.Bad, Detail: err.Error(),
			Fix: "renew the engine's certificate if it is out of date; else the time is wrong by which it is judged: landfall-edge clock says whose it is, then set the machine's clock (NTP), or landfall-edge clock forget"}
	}
	if err != nil {
		return cli.Finding{What: "engine", Verdict: cli.Bad, Detail: err.Error(), Fix: "what is captured meanwhile waits on the disk; is the URL right, and a firewall or proxy in between?"}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
		return cli.Finding{What: "engine", Verdict: cli.Bad, Detail: fmt.Sprintf("somebody else answers at %s: %s", c.Forward.URL, resp.Status), Fix: "a captive portal, a proxy, or another service on that port?"}
	}
	return cli.Finding{What: "engine", Verdict: cli.Good, Detail: c.Forward.URL + " answers"}
}
