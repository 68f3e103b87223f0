package edgecli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/wire"
)

// found is what setup finds on a machine.
type found struct {
	Gateway     string       `json:"gateway"`
	Serial      []serialLine `json:"serial_devices"`
	UDP         heard        `json:"udp"`
	Clock       string       `json:"clock"`
	Free        int64        `json:"free_bytes"`
	Quota       config.Bytes `json:"log_quota"`
	Rate        float64      `json:"sentences_per_second"` // heard, or assumed
	OfflineDays float64      `json:"offline_days"`
	dataDir     string
	url         string
}

// assumedRate is what a busy harbour gives, where nothing was heard.
const assumedRate = 100

// udpPort is where AIS receivers send by default.
const udpPort = ":10110"

func setupCommand() *cobra.Command {
	c := &cobra.Command{Use: "setup", Short: "Finds receivers and writes a configuration", Args: cli.NoArgs,
		Long: "Looks for serial devices, listens for AIS on UDP 10110, looks at the clock and the disk, and prints a configuration,\n" +
			"or writes it with --write. What it found it says on stderr."}
	var f found
	gateway := c.Flags().String("gateway", "", "`NAME` of this gateway; default: the machine's")
	c.Flags().StringVar(&f.url, "url", "", "`URL` of the engine, like https://landfall.example:8470/")
	c.Flags().StringVar(&f.dataDir, "data-dir", "/var/lib/landfall/edge", "`DIR` of the log")
	listen := c.Flags().Duration("listen", 5*time.Second, "how long to listen on UDP 10110; 0s: not at all")
	write := c.Flags().String("write", "", "write the configuration to this `FILE`")
	force := c.Flags().Bool("force", false, "overwrite a configuration that is valid")
	asJSON := c.Flags().Bool("json", false, "print what was found as JSON, and no configuration")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.look(c.Context(), *gateway, *listen); err != nil {
			return err
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), f)
		}
		f.say(c.ErrOrStderr())
		if *write == "" {
			_, err := io.WriteString(c.OutOrStdout(), f.config())
			return err
		}
		return f.write(c.ErrOrStderr(), *write, *force)
	}
	return c
}

func (f *found) look(ctx context.Context, gateway string, listen time.Duration) error {
	f.Gateway = gateway
	if gateway == "" {
		name, _ := os.Hostname() // without one the name below is asked for
		f.Gateway = strings.SplitN(name, ".", 2)[0]
	}
	if err := wire.CheckGateway(f.Gateway); err != nil {
		return cli.Fail(cli.ExitUsage, fmt.Errorf("%w\nname it with --gateway", err))
	}
	f.Serial = serialLines(durable.OS{}, "")
	if listen > 0 {
		listening, cancel := context.WithTimeout(ctx, listen)
		defer cancel()
		var err error
		if f.UDP, err = listenUDP(listening, udpPort); err != nil {
			return err
		}
	}
	f.Clock, _ = cli.ClockSource(durable.OS{})
	var err error
	if f.Free, err = cli.FreeBelow(durable.OS{}, f.dataDir); err != nil {
		return err
	}
	f.Quota, f.Rate = room(f.Free), assumedRate
	if f.UDP.Sentences > 0 {
		f.Rate = float64(f.UDP.Sentences) / f.UDP.seconds
	}
	f.OfflineDays = offlineDays(int64(f.Quota), f.Rate)
	return nil
}

// say tells what was found, on lines of their own.
func (f *found) say(w io.Writer) {
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	if len(f.Serial) == 0 {
		line("serial: no line was found; plug the receiver in and run setup again, or name its device")
	}
	for _, d := range f.Serial {
		if d.LeftOut != "" {
			line("serial: %s: %s; in the configuration behind #", d.Device, d.LeftOut)
			continue
		}
		line("serial: %s", d.Device)
	}
	switch {
	case f.UDP.Busy:
		line("UDP 10110: another program has the port, perhaps this gateway")
	case f.UDP.Sentences > 0:
		line("UDP 10110: %d sentences from %s", f.UDP.Sentences, strings.Join(f.UDP.Senders, ", "))
	default:
		line("UDP 10110: nothing was heard")
	}
	line("clock: %s", f.Clock)
	how := "assumed; nothing was heard"
	if f.UDP.Sentences > 0 {
		how = "as heard"
	}
	line("release: records stay on this disk until they are in the lake (forward.release: published); that and the outage share this room, and each hour takes %s", cli.Size(int64(f.Rate*bytesPerRecord*60*60)))
	line("disk: %s free, the log may take %s: %.1f days without a link at %.0f sentences a second (%s)", cli.Size(f.Free), f.Quota, f.OfflineDays, f.Rate, how)
}

// config gives the configuration as text.
func (f *found) config() string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by landfall-edge setup. landfall-edge check says what is wrong with it, landfall-edge explain")
	line("# what it guarantees. Every key: configuration.md in docs or /usr/share/doc/landfall-edge")
	line("gateway: %s\ndata_dir: %s\nstatus: 127.0.0.1:8471\nlog:\n  quota: %s # %.1f days without a link, or without a lake that takes it, at %.0f sentences a second\nsources:", f.Gateway, f.dataDir, f.Quota, f.OfflineDays, f.Rate)
	sources := 0
	for i, d := range f.Serial {
		if d.LeftOut != "" {
			line("  # %s: %s\n  #- name: serial%d\n  #  serial: {device: %q, baud: 38400}", d.Device, d.LeftOut, i+1, d.Device)
			continue
		}
		sources++
		line("  - name: serial%d\n    serial: {device: %q, baud: 38400}", i+1, d.Device)
	}
	if f.UDP.Sentences > 0 || f.UDP.Busy || sources == 0 {
		address, why := f.listenOn()
		line("  - name: udp\n    udp: {listen: \"%s%s\"} # %s", address, udpPort, why)
	}
	line("forward:")
	if f.url == "" {
		line("  url: https://landfall.example:8470/ # the engine's; change it")
	} else {
		line("  url: %s", f.url)
	}
	if f.url == "" || strings.HasPrefix(f.url, "https:") {
		line("  # landfall cert gateway %s makes these files:\n  #ca_file: /etc/landfall/ca.pem\n  #cert_file: /etc/landfall/%[1]s.pem\n  #key_file: /etc/landfall/%[1]s.key", f.Gateway)
	}
	return b.String()
}

// listenOn gives the address for UDP, and why: nothing is to be reached from
// other machines but what was heard from them.
func (f *found) listenOn() (address, why string) {
	for _, sender := range f.UDP.Senders {
		if !net.ParseIP(sender).IsLoopback() {
			return "0.0.0.0", "from any machine, as " + sender + " was heard"
		}
	}
	return "127.0.0.1", "from this machine only; 0.0.0.0 hears others too"
}

// write writes the configuration, but over none that works.
func (f *found) write(w io.Writer, name string, force bool) error {
	_, _, err := load(name)
	if err == nil && !force {
		return cli.Fail(cli.ExitUsage, fmt.Errorf("%s is a configuration that works; --force overwrites it", name))
	}
	if old, readErr := durable.ReadFile(durable.OS{}, name); readErr == nil {
		if err := durable.WriteFileAtomic(durable.OS{}, name+".before-setup", old); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w, "kept what was there: %s.before-setup\n", name)
	} else if !errors.Is(readErr, fs.ErrNotExist) {
		return readErr
	}
	if err := durable.WriteFileAtomic(durable.OS{}, name, []byte(f.config())); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "wrote %s\nnext: landfall-edge check --connect, which says what each source gives; systemctl enable --now landfall-edge\n", name)
	return nil
}
