package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"landfall/edge/config"
	"landfall/edge/tap"
)

// Tap is what the verb tap of both daemons shares: which stage is shown, what of
// it, and how.
type Tap struct {
	// Stages are those of the daemon, the standard one first.
	Stages []string
	// Judged are the stages at which it is known why a record gives no row.
	Judged []string
	// Rows are the stages of rows, which have no lines: they are shown as JSON.
	Rows []string

	Stage, Format, Source string
	Rejects               bool
	Count                 int
	json                  bool
}

// The formats that every tap has.
const (
	FormatNMEA = "nmea"
	FormatJSON = "json"
)

// Command makes the verb of a daemon, which who names. address reads its
// configuration and gives where its page is; more adds flags of its own and gives
// what they add to the query.
func (t Tap) Command(short, long, who, standard string, address func(name string) (string, *config.File, error), more func(*cobra.Command) func(url.Values)) *cobra.Command {
	c := &cobra.Command{Use: "tap", Short: short, Long: long, Args: NoArgs}
	name := ConfigFlag(c, standard)
	t.flags(c)
	add := more(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := t.check(c.Flags().Changed("format")); err != nil {
			return err
		}
		at, f, err := address(*name)
		if err != nil {
			return err
		}
		q := t.query()
		add(q)
		return f.Locate(t.follow(c.Context(), who, at, q, t.show(c.OutOrStdout(), c.ErrOrStderr())))
	}
	return c
}

func (t *Tap) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.Stage, "stage", t.Stages[0], strings.Join(t.Stages, ", "))
	c.Flags().StringVar(&t.Format, "format", FormatNMEA, "nmea or json")
	c.Flags().BoolVar(&t.json, "json", false, "the same as --format json")
	c.Flags().StringVar(&t.Source, "source", "", "only of the source of this `NAME`")
	c.Flags().BoolVar(&t.Rejects, "rejects", false, "only what gives no typed row; nmea then names the reason first")
	c.Flags().IntVar(&t.Count, "count", 0, "end after so many; 0: when interrupted")
	Choices(c, "stage", t.Stages...)
	Choices(c, "format", FormatNMEA, FormatJSON)
}

// check says what of the flags cannot be; chosen says that the format was. Error:
// ExitUsage.
func (t *Tap) check(chosen bool) error {
	rows := slices.Contains(t.Rows, t.Stage)
	if t.json || rows && !chosen {
		t.Format = FormatJSON
	}
	switch {
	case !slices.Contains(t.Stages, t.Stage):
		return Fail(ExitUsage, fmt.Errorf("--stage %q: want %s", t.Stage, strings.Join(t.Stages, ", ")))
	case t.Format != FormatNMEA && t.Format != FormatJSON:
		return Fail(ExitUsage, fmt.Errorf("--format %q: want nmea or json", t.Format))
	case rows && t.Format != FormatJSON:
		return Fail(ExitUsage, fmt.Errorf("--format %q: at stage %s there are rows and no lines; want --format json", t.Format, t.Stage))
	case t.Rejects && !slices.Contains(t.Judged, t.Stage):
		return Fail(ExitUsage, fmt.Errorf("--rejects: at stage %s nothing is judged yet; want --stage %s", t.Stage, strings.Join(t.Judged, " or ")))
	}
	return nil
}

// query is what the daemon is asked for.
func (t *Tap) query() url.Values {
	q := url.Values{"stage": {t.Stage}}
	if t.Source != "" {
		q.Set("source", t.Source)
	}
	if t.Rejects {
		q.Set("reject", "1")
	}
	return q
}

// follow asks a running daemon at an address and gives each line it sends to
// show, which says whether it counts, until Count did or ctx ends. who names the
// daemon in errors, which have ExitUnavailable.
func (t *Tap) follow(ctx context.Context, who, address string, q url.Values, show func(line []byte) (bool, error)) error {
	body, err := t.ask(ctx, who, address, q)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewReader(body)
	for shown := 0; t.Count == 0 || shown < t.Count; {
		line, err := lines.ReadBytes('\n')
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return Fail(ExitUnavailable, fmt.Errorf("the %s at %s ended the stream: %w", who, address, err))
		}
		counts, err := show(line)
		if err != nil {
			return err
		}
		if counts {
			shown++
		}
	}
	return nil
}

// ask begins a stream.
func (t *Tap) ask(ctx context.Context, who, address string, q url.Values) (io.ReadCloser, error) {
	if address == "" {
		return nil, &config.FieldError{Key: "status", Want: "an address like 127.0.0.1:8471, or there is nobody to ask"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/tap?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, Fail(ExitUnavailable, fmt.Errorf("ask the %s at %s: %w", who, address, err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what it says beside the code
	_ = resp.Body.Close()
	return nil, Fail(ExitUnavailable, fmt.Errorf("the %s at %s says %s: %s", who, address, resp.Status, bytes.TrimSpace(why)))
}

// show gives what prints one line of a stream of records.
func (t *Tap) show(out, errs io.Writer) func(line []byte) (bool, error) {
	return func(line []byte) (bool, error) {
		var r struct {
			tap.Record
			tap.Missed
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return false, fmt.Errorf("read the stream: %w", err)
		}
		switch {
		case r.Missed.Missed > 0 && t.Format == FormatJSON:
			_, err := out.Write(line)
			return false, err
		case r.Missed.Missed > 0:
			_, err := fmt.Fprintf(errs, "missed %d: this end did not keep up, or they are gone from the log\n", r.Missed.Missed)
			return false, err
		case t.Rejects && r.Reject+r.Conflict == "", t.Source != "" && r.Source != t.Source:
			return false, nil
		case t.Format == FormatJSON:
			_, err := out.Write(line)
			return true, err
		}
		return t.nmea(out, &r.Record)
	}
}

// nmea prints the lines of a record as they were received.
func (t *Tap) nmea(out io.Writer, r *tap.Record) (bool, error) {
	raw := []byte(r.Raw)
	if r.RawBase64 != "" {
		var err error
		if raw, err = base64.StdEncoding.DecodeString(r.RawBase64); err != nil {
			return false, fmt.Errorf("read the stream: %w", err)
		}
	}
	var err error
	switch {
	case r.Kind == "log_open":
		return false, nil
	case !t.Rejects && r.Count > 0:
		return false, nil // a range of offsets has no lines
	case r.Count > 0:
		_, err = fmt.Fprintf(out, "%s:%s\toffsets %d to %d of log %s of gateway %s\n", r.Kind, r.Reject+r.Conflict, r.Offset, r.Offset+r.Count-1, r.Log, r.Gateway)
	case t.Rejects:
		_, err = fmt.Fprintf(out, "%s\t%s\n", r.Reject+r.Conflict, bytes.ReplaceAll(raw, []byte("\n"), []byte("\n\t")))
	default:
		_, err = out.Write(append(raw, '\n'))
	}
	return true, err
}
