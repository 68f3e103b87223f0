package edgecli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/config"
)

// tapFlags are tap's settings.
type tapFlags struct {
	format, source  string
	rejects, oldest bool
	count           int
}

func tapCommand() *cobra.Command {
	c := &cobra.Command{Use: "tap", Short: "Shows records as they are captured, behind their fsync", Args: cli.NoArgs,
		Long: "Asks the running gateway, whose configuration must have status: an address. nmea prints the lines as they were received;\n" +
			"json one object a record, with its offset, its times, and under reject why the engine will give it no typed row."}
	name := cli.ConfigFlag(c, DefaultConfig)
	var f tapFlags
	c.Flags().StringVar(&f.format, "format", "nmea", "nmea or json")
	c.Flags().StringVar(&f.source, "source", "", "only of the source of this `NAME`")
	c.Flags().BoolVar(&f.rejects, "rejects", false, "only what will give no typed row; nmea then names the reason first")
	c.Flags().BoolVar(&f.oldest, "oldest", false, "begin with the oldest record on the disk, not with the next one")
	c.Flags().IntVar(&f.count, "count", 0, "end after so many; 0: when interrupted")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.format != "nmea" && f.format != "json" {
			return cli.Fail(cli.ExitUsage, fmt.Errorf("--format %q: want nmea or json", f.format))
		}
		cfg, file, err := load(*name)
		if err != nil {
			return err
		}
		return file.Locate(f.run(c.Context(), cfg, c.OutOrStdout()))
	}
	return c
}

func (f *tapFlags) run(ctx context.Context, c *agent.Config, w io.Writer) error {
	if c.Status == "" {
		return &config.FieldError{Key: "status", Want: "an address like 127.0.0.1:8471, or there is nobody to ask"}
	}
	url := "http://" + c.Status + "/tap"
	if f.oldest {
		url += "?from=oldest"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return cli.Fail(cli.ExitUnavailable, fmt.Errorf("ask the gateway at %s: %w", c.Status, err))
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	for shown := 0; f.count == 0 || shown < f.count; {
		line, err := lines.ReadBytes('\n')
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return cli.Fail(cli.ExitUnavailable, fmt.Errorf("the gateway at %s ended the stream: %w", c.Status, errors.Join(err)))
		}
		ok, err := f.show(w, line)
		if err != nil {
			return err
		}
		if ok {
			shown++
		}
	}
	return nil
}

// show prints one record, and says whether it was wanted.
func (f *tapFlags) show(w io.Writer, line []byte) (bool, error) {
	var t agent.Tapped
	if err := json.Unmarshal(line, &t); err != nil {
		return false, fmt.Errorf("read the stream: %w", err)
	}
	if f.rejects && t.Reject == "" || f.source != "" && t.Source != f.source {
		return false, nil
	}
	var err error
	switch {
	case f.format == "json":
		_, err = w.Write(line)
	case f.rejects:
		_, err = fmt.Fprintf(w, "%s\t%s\n", t.Reject, strings.ReplaceAll(t.Raw, "\n", "\n\t"))
	default:
		_, err = fmt.Fprintf(w, "%s\n", t.Raw)
	}
	return true, err
}
