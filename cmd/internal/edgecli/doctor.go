package edgecli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/certs"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/source"
	"landfall/edge/wire"
)

// verdict is what doctor says of one thing.
type verdict string

const (
	good    verdict = "ok"
	unsure  verdict = "look"
	failing verdict = "bad"
)

// finding is one thing that doctor looked at.
type finding struct {
	What    string  `json:"what"`
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Fix     string  `json:"fix,omitempty"`
}

// dialPatience bounds each attempt to reach somebody.
const dialPatience = 5 * time.Second

func doctorCommand() *cobra.Command {
	c := &cobra.Command{Use: "doctor", Short: "Looks for what keeps data from flowing, and says how to mend it", Args: cli.NoArgs,
		Long: "Exit 0: nothing is bad. 78: the configuration cannot be used. 69: something else is bad."}
	name := cli.ConfigFlag(c, DefaultConfig)
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, _, err := load(*name)
		var all []finding
		if err != nil {
			all = []finding{{*name, failing, err.Error(), "landfall-edge setup writes one"}}
		} else {
			all = examine(c.Context(), *name, cfg)
		}
		if *asJSON {
			err = errors.Join(err, cli.JSON(c.OutOrStdout(), all))
		} else {
			err = errors.Join(err, printFindings(c.OutOrStdout(), all))
		}
		if err == nil && worst(all) == failing {
			return cli.Fail(cli.ExitUnavailable, errors.New("something is bad"))
		}
		return err
	}
	return c
}

func worst(all []finding) verdict {
	w := good
	for _, f := range all {
		if f.Verdict == failing || f.Verdict == unsure && w == good {
			w = f.Verdict
		}
	}
	return w
}

func printFindings(w io.Writer, all []finding) error {
	for _, f := range all {
		if _, err := fmt.Fprintf(w, "%-5s %s: %s\n", f.Verdict, f.What, f.Detail); err != nil {
			return err
		}
		if f.Fix != "" && f.Verdict != good {
			if _, err := fmt.Fprintf(w, "      %s\n", f.Fix); err != nil {
				return err
			}
		}
	}
	return nil
}

// examine looks at everything that a configuration names.
func examine(ctx context.Context, name string, c *agent.Config) []finding {
	all := []finding{{name, good, "every key is known and valid", ""}}
	s, err := ask(ctx, c)
	switch {
	case c.Status == "":
		all = append(all, finding{"service", unsure, "no status address is configured: it cannot be asked", "status: 127.0.0.1:8471"})
	case err != nil:
		all = append(all, finding{"service", failing, err.Error(), "systemctl status landfall-edge; journalctl -u landfall-edge"})
	case !s.Healthy:
		all = append(all, finding{"service", failing, strings.Join(s.Reasons, "; "), "landfall-edge status"})
	default:
		all = append(all, finding{"service", good, "runs, and is healthy", ""})
	}
	all = append(all, disk(c))
	for i := range c.Sources {
		all = append(all, examineSource(ctx, &c.Sources[i], s))
	}
	words, synchronized := clockSource(durable.OS{})
	clock := finding{"clock", good, words, ""}
	if !synchronized {
		clock.Verdict, clock.Fix = unsure, "event times come from receivers with a clock; for the others: apt install systemd-timesyncd, or chrony"
	}
	return append(append(all, clock), link(ctx, c)...)
}

func disk(c *agent.Config) finding {
	f := finding{What: c.DataDir, Verdict: good}
	if err := config.CheckDir(durable.OS{}, "data_dir", c.DataDir); err != nil {
		return finding{c.DataDir, failing, err.Error(), "run doctor as the service does: sudo -u landfall landfall-edge doctor"}
	}
	free, err := freeBelow(durable.OS{}, c.DataDir)
	if err != nil {
		return finding{c.DataDir, failing, err.Error(), ""}
	}
	left := free - int64(c.Log.Reserve)
	f.Detail = fmt.Sprintf("%s free, of which the log may take %s: %.1f days at %d sentences a second", cli.Size(free), cli.Size(max(0, left)), offlineDays(max(0, left), assumedRate), assumedRate)
	if left < 2*int64(c.Log.SegmentSize) {
		f.Verdict, f.Fix = failing, "make room, or lower log.reserve: under the reserve nothing is captured"
	} else if c.Log.Quota > 0 && left < int64(c.Log.Quota)/2 {
		f.Verdict, f.Fix = unsure, fmt.Sprintf("log.quota is %s, and there is not so much room: the reserve ends it first", c.Log.Quota)
	}
	return f
}

// examineSource looks at what a source needs of this machine. s is the running
// gateway, nil when there is none: then ports can be tried.
func examineSource(ctx context.Context, src *agent.SourceConfig, s *standing) finding {
	f := finding{What: "source " + src.Name, Verdict: good}
	if s != nil {
		for _, running := range s.Sources {
			if running.Name != src.Name {
				continue
			}
			f.Detail = fmt.Sprintf("%s, %d records, silent for %s", running.State, running.Records, cli.Dash(running.SilentFor))
			if running.State != "open" && running.State != "finished" {
				f.Verdict, f.Detail, f.Fix = failing, fmt.Sprintf("%s: %s", running.State, running.Detail), fixOf(src)
			} else if running.Records == 0 {
				f.Verdict, f.Fix = unsure, "it is open and nothing has come: cable, baud rate, antenna?"
			}
			return f
		}
	}
	if err := try(ctx, src); err != nil {
		f.Verdict, f.Detail, f.Fix = failing, err.Error(), fixOf(src)
		return f
	}
	f.Detail = src.Where() + " can be used"
	return f
}

// try reaches for what a source reads.
func try(ctx context.Context, src *agent.SourceConfig) error {
	switch {
	case src.Serial != nil:
		devices, err := source.Devices(durable.OS{}, src.Serial.Device)
		if err != nil {
			return err
		}
		return unix.Access(devices[0], unix.R_OK|unix.W_OK)
	case src.File != nil:
		return unix.Access(src.File.Path, unix.R_OK)
	case src.TCPClient != nil:
		d := net.Dialer{Timeout: dialPatience}
		conn, err := d.DialContext(ctx, "tcp", src.TCPClient.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	case src.UDP != nil:
		conn, err := net.ListenPacket("udp", src.UDP.Listen)
		if err != nil {
			return err
		}
		return conn.Close()
	case src.TCPServer != nil, src.Acked != nil:
		ln, err := net.Listen("tcp", src.Where())
		if err != nil {
			return err
		}
		return ln.Close()
	}
	return nil
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
	return "another program may have the port: ss -lnp"
}

// link looks at the way to the engine.
func link(ctx context.Context, c *agent.Config) []finding {
	u, err := url.Parse(c.Forward.URL)
	if err != nil {
		return []finding{{"engine", failing, err.Error(), ""}}
	}
	var secure *tls.Config
	var all []finding
	if u.Scheme == "https" {
		k, err := certs.Open(certs.Config{FS: durable.OS{}, CAFile: c.Forward.CAFile, CertFile: c.Forward.CertFile, KeyFile: c.Forward.KeyFile, Prefix: "forward.", Floor: cli.Built()})
		if err != nil {
			return []finding{{"certificates", failing, err.Error(), "landfall cert gateway " + c.Gateway + " makes them; the user landfall must be able to read them"}}
		}
		all, secure = append(all, certificate(k)), k.Client(c.Forward.ServerName, u.Hostname())
	} else if host := u.Hostname(); !config.IsLoopback(net.JoinHostPort(host, "1")) {
		all = append(all, finding{"certificates", unsure, "the link is not encrypted and proves nobody's name", "https, with landfall cert"})
	}
	return append(all, reach(ctx, c, secure))
}

func certificate(k *certs.Keeper) finding {
	st, left := k.Status(), time.Duration(0)
	if st.Subject == "" {
		return finding{"certificates", unsure, "the gateway has none of its own: the engine must believe its name", "forward.cert_file and key_file"}
	}
	left = st.NotAfter.Sub(k.Time())
	f := finding{"certificates", good, fmt.Sprintf("of %s, until %s", st.Subject, st.NotAfter.Format(time.DateOnly)), "landfall cert gateway " + st.Subject + " renews it; put the new files in place of the old"}
	switch {
	case left < 0:
		f.Verdict = failing
	case left < 30*24*time.Hour:
		f.Verdict = unsure
	}
	return f
}

// reach asks the engine something it refuses in its own words, so that a
// captive portal is not taken for it.
func reach(ctx context.Context, c *agent.Config, secure *tls.Config) finding {
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, DisableKeepAlives: true}, Timeout: dialPatience}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Forward.URL, "/")+wire.Path, nil)
	if err != nil {
		return finding{"engine", failing, err.Error(), ""}
	}
	resp, err := client.Do(req)
	if err != nil {
		return finding{"engine", failing, err.Error(), "what is captured meanwhile waits on the disk; is the URL right, and a firewall or proxy in between?"}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != http.MethodPost {
		return finding{"engine", failing, fmt.Sprintf("somebody else answers at %s: %s", c.Forward.URL, resp.Status), "a captive portal, a proxy, or another service on that port?"}
	}
	return finding{"engine", good, c.Forward.URL + " answers", ""}
}
