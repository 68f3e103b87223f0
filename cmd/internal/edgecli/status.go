package edgecli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/explain"
	"landfall/edge/agent"
	"landfall/edge/config"
)

// standing is the status of a gateway with a row for each handoff.
type standing struct {
	*agent.Status
	Handoffs []explain.Progress `json:"handoffs"`
}

// ask asks the running gateway.
func ask(ctx context.Context, c *agent.Config) (*standing, error) {
	s, err := cli.AskStatus[agent.Status](ctx, "gateway", c.Status)
	if err != nil {
		return nil, err
	}
	return &standing{s, handoffs(c, s)}, nil
}

// handoffs joins what the configuration promises with what the gateway says.
func handoffs(c *agent.Config, s *agent.Status) []explain.Progress {
	now, err := time.Parse(time.RFC3339Nano, s.Time)
	if err != nil {
		now = time.Now()
	}
	promised := explain.Edge(c)
	explain.Observe(promised, c, s)
	var all []explain.Progress
	for i := range c.Sources {
		p := explain.Progress{From: c.Sources[i].Name, To: "edge log", Commit: "C1", Guarantee: promised[i].Guarantee, Seen: promised[i].Seen}
		for _, src := range s.Sources {
			if src.Name == p.From {
				p.Watermark = src.Watermark
				if s.Log.Active != "" { // the log is one for all sources; how much is a source's own, the table of sources says
					p.Offset = explain.Number(s.Log.DurableOffset)
				}
				if src.State != "open" && src.State != "finished" {
					p.LastError = string(src.State) + ": " + src.Detail
				}
			}
		}
		if s.Capture.Blocked != "" {
			p.LastError = "the log takes nothing: " + s.Capture.Blocked
		}
		all = append(all, p)
	}
	link := explain.Progress{
		From: "edge log", To: "landing log", Commit: "C2", Guarantee: promised[len(c.Sources)].Guarantee,
		Offset: ackedOffset(s), Watermark: s.Capture.Watermark, LagRecords: explain.Number(s.Forward.Pending),
		Oldest: s.Forward.OldestPending, LagSeconds: explain.Lag(s.Forward.OldestPending, now),
		LastError: lastError(&s.Forward, now),
	}
	return append(all, link)
}

// lastError is what the link's last request ended with, and when the next one is sent.
func lastError(f *agent.ForwardStatus, now time.Time) string {
	at, _ := time.Parse(time.RFC3339Nano, f.LastErrorAt) // zero: an earlier version does not say
	next, _ := time.Parse(time.RFC3339Nano, f.NextTry)
	return agent.LastError(f.LastError, at, next, now)
}

// ackedOffset is behind what the cloud has acknowledged, of the log to which C1's
// offset belongs; nil: there is no log yet.
func ackedOffset(s *agent.Status) *uint64 {
	if s.Log.Active == "" {
		return nil
	}
	return explain.Number(s.Forward.AckedOffset)
}

// statusReport is what status prints, and top again and again.
func statusReport() cli.Report[agent.Config, *standing] {
	return cli.Report[agent.Config, *standing]{
		Use: "status", Short: "Asks the running gateway how it stands, handoff by handoff", Config: DefaultConfig, Load: load,
		Value: ask, Text: printStatus,
	}
}

func printStatus(w io.Writer, s *standing) error {
	health := "healthy"
	if !s.Healthy {
		health = "not healthy: " + strings.Join(s.Reasons, "; ")
	}
	_, _ = fmt.Fprintf(w, "gateway %s, version %s, since %s: %s\n\n", s.Gateway, s.Version, s.StartedAt, health)
	rows := [][]string{{"SOURCE", "KIND", "STATE", "RECORDS", "FLAGGED", "SILENT FOR", "WATERMARK", "DETAIL"}}
	for _, src := range s.Sources {
		rows = append(rows, []string{src.Name, src.Kind, string(src.State), fmt.Sprint(src.Records), fmt.Sprint(src.Flagged), cli.Dash(src.SilentFor), cli.Dash(src.Watermark), src.Detail})
	}
	if err := cli.Table(w, rows); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w)
	if err := explain.ProgressText(w, s.Handoffs); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\nlog: %d records in %d groups, %s on disk in %d logs\nlink: %s, %d records pending, oldest %s, last transfer %s\n",
		s.Capture.Records, s.Capture.Groups, config.Bytes(s.Log.Bytes), s.Log.Logs,
		s.Forward.State, s.Forward.Pending, cli.Dash(s.Forward.OldestAge), cli.Dash(s.Forward.LastTransfer)); err != nil {
		return err
	}
	if s.Memory.Limit > 0 { // an earlier version does not say
		if _, err := fmt.Fprintf(w, "memory: %s\n", s.Memory.Text()); err != nil {
			return err
		}
	}
	if n := len(s.Log.AsideSources); n > 0 {
		if _, err := fmt.Fprintf(w, "marks: %s of %s configured no more: %s; landfall-edge forget, if it does not come back\n",
			cli.Size(s.Log.MarkAsideBytes), config.Count(n, "source"), strings.Join(s.Log.AsideSources,
				", ")); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "release: when %s; %s\n", s.Forward.Release, kept(s.Status)); err != nil || s.Forward.ReleaseNote == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "         %s\n", s.Forward.ReleaseNote)
	return err
}

// kept says what the log keeps only because it is not published, and how long an
// outage it stands at the present rate, and how that is known.
func kept(s *agent.Status) string {
	text := fmt.Sprintf("%s landed and not published, %s of the log", config.Count(s.Forward.Unpublished, "record"),
		cli.Size(s.Forward.KeptBytes))
	over := (time.Duration(s.Log.RateSeconds) * time.Second).String()
	switch {
	case s.Log.BytesPerDay == 0:
		return text + "; how long an outage there is room for is not known yet: nothing was captured since the start"
	case s.Log.RoomBytes < 0:
		return text + "; how long an outage there is room for is not known: the file system does not say what is free"
	case s.Log.Rated():
		return text + fmt.Sprintf(" (%.2f days); at %s a day, as in the %s since the start, there is room for an outage of %.1f days",
			s.Forward.KeptDays, cli.Size(int64(s.Log.BytesPerDay)), over, s.Log.OutageDays)
	}
	return text + fmt.Sprintf("; an estimate from the %s since the start: at %s a day there is room for an outage of %.1f days",
		over, cli.Size(int64(s.Log.BytesPerDay)), s.Log.OutageDays)
}

func healthCommand() *cobra.Command { return cli.HealthCommand(DefaultConfig, statusAddress) }

// statusAddress gives where the status page of a configuration is.
func statusAddress(name string) (string, *config.File, error) {
	c, f, err := load(name)
	if err != nil {
		return "", nil, err
	}
	return c.Status, f, nil
}
