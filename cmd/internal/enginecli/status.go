package enginecli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/explain"
	"landfall/edge/config"
	"landfall/engine/server"
)

// standing is the status of an engine with a row for each handoff.
type standing struct {
	*server.Status
	Handoffs []explain.Progress `json:"handoffs"`
}

// ask asks the running engine.
func ask(ctx context.Context, c *server.Config) (*standing, error) {
	s, err := cli.AskStatus[server.Status](ctx, "engine", c.Status)
	if err != nil {
		return nil, err
	}
	return &standing{s, progress(s)}, nil
}

// progress gives a row for each gateway's landing, and two for each partition.
func progress(s *server.Status) []explain.Progress {
	now, err := time.Parse(time.RFC3339Nano, s.Time)
	if err != nil {
		now = time.Now()
	}
	var all []explain.Progress
	for _, g := range s.Gateways {
		all = append(all, landedOf(&g))
	}
	for _, t := range s.Tasks {
		commit := explain.Progress{
			From: fmt.Sprintf("landing log %d", t.Partition), To: "checkpoint", Commit: "C4", Guarantee: explain.ExactlyOnce,
			Offset: explain.Number(t.Epoch), Unit: "blocks", LastError: t.Error,
		}
		if t.Behind >= 0 {
			commit.LagRecords = explain.Number(uint64(t.Behind))
		}
		if t.Behind != 0 {
			commit.Oldest, commit.LagSeconds = t.OldestLandedAt, explain.Lag(t.OldestLandedAt, now)
		}
		publish := explain.Progress{
			From: fmt.Sprintf("staged files %d", t.Partition), To: "tables", Commit: "C5", Guarantee: explain.ExactlyOnce,
			Offset: explain.Number(t.Published), Unit: "epochs", LagRecords: explain.Number(t.Epoch - min(t.Epoch, t.Published)),
			Oldest: t.OldestUnpublishedAt, LagSeconds: explain.Lag(t.OldestUnpublishedAt, now), LastError: cmp.Or(t.PublishError, t.Error),
		}
		all = append(all, commit, publish)
		for _, k := range s.Sinks {
			publish.From, publish.To = fmt.Sprintf("staged rows %d", t.Partition), k.Sink+" topics"
			all = append(all, publish)
		}
	}
	return all
}

// landedOf is how far a gateway's records have landed. What waits is on the
// gateway, which tells when it is behind.
func landedOf(g *server.GatewayStatus) explain.Progress {
	p := explain.Progress{
		From: g.Gateway, To: "landing log", Commit: "C2", Guarantee: explain.ExactlyOnce, Offset: explain.Number(g.Acked), Watermark: g.Watermark,
		LagRecords: explain.Number(g.BehindRecords), LastError: g.LastError,
	}
	if g.BehindRecords > 0 {
		p.LagSeconds = &g.BehindSeconds
	}
	return p
}

// statusReport is what status prints, and top again and again.
func statusReport() cli.Report[server.Config, *standing] {
	return cli.Report[server.Config, *standing]{
		Use: "status", Short: "Asks the running engine how it stands, handoff by handoff", Config: DefaultConfig, Load: load,
		Value: ask, Text: printStatus,
	}
}

// shortLog is the beginning of a log's name; a dash: nothing has come of a log, for the
// gateway was refused. An engine of an earlier version says zeros then.
func shortLog(log string) string {
	if strings.Trim(log, "0") == "" {
		return cli.Dash("")
	}
	return log[:min(8, len(log))]
}

func printStatus(w io.Writer, s *standing) error {
	health := "healthy"
	if !s.Healthy {
		health = "not healthy: " + strings.Join(s.Reasons, "; ")
	}
	_, _ = fmt.Fprintf(w, "engine version %s, since %s: %s\nlanding log %s: %d blocks, %d records landed\n\n", s.Version, s.StartedAt, health, s.Landing, s.Ingest.Blocks, s.Ingest.Records)
	if g := s.Group; g != nil {
		_, _ = fmt.Fprintf(w, "%s\n\n", groupLine(g))
	}
	if s.Memory.Limit > 0 { // an earlier version does not say
		_, _ = fmt.Fprintf(w, "memory: %s\n\n", s.Memory.Text())
	}
	if s.Published == server.TellsNobody {
		_, _ = fmt.Fprintf(w, "what is published is %s\n\n", s.Published)
	}
	rows := [][]string{{"GATEWAY", "LOG", "ACKED", "PUBLISHED", "LAST SEEN", "WATERMARK"}}
	for _, g := range s.Gateways {
		published := ""
		if g.Published != nil {
			published = fmt.Sprint(*g.Published)
		}
		rows = append(rows, []string{g.Gateway, shortLog(g.Log), fmt.Sprint(g.Acked), cli.Dash(published), cli.Dash(g.SeenAt), cli.Dash(g.Watermark)})
	}
	if err := cli.Table(w, rows); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "\ncomplete through %s for %s\n", cli.Dash(s.Complete.Through), cli.Dash(strings.Join(s.Complete.Gateways, ", ")))
	for _, l := range s.Complete.LeftOut {
		own := ""
		if l.Watermark != "" {
			own = ", complete through " + l.Watermark
		}
		_, _ = fmt.Fprintf(w, "left out: %s%s: %s\n", l.Gateway, own, l.Reason)
	}
	_, _ = fmt.Fprintln(w)
	rows = [][]string{{"PARTITION", "STATE", "EPOCH", "COMMITTED", "BEHIND", "RECORDS", "DUPLICATES", "LOST", "CONFLICTS", "ERROR"}}
	for _, t := range s.Tasks {
		behind := "-"
		if t.Behind >= 0 {
			behind = fmt.Sprint(t.Behind)
		}
		rows = append(rows, []string{fmt.Sprint(t.Partition), string(t.State), fmt.Sprint(t.Epoch), cli.Dash(t.CommitAt), behind, fmt.Sprint(t.Records),
			fmt.Sprint(t.Duplicates), fmt.Sprint(t.Lost), fmt.Sprint(t.Conflicts), t.Error})
	}
	if err := cli.Table(w, rows); err != nil {
		return err
	}
	for _, t := range s.Tasks {
		for _, o := range t.OverShare {
			_, _ = fmt.Fprintf(w, "partition %d: %s\n", t.Partition, &o)
		}
	}
	_, _ = fmt.Fprintln(w)
	if err := costTable(w, s.Tasks); err != nil {
		return err
	}
	return explain.ProgressText(w, s.Handoffs)
}

// shownCosts is how many gateways the table of costs has at most.
const shownCosts = 10

// costTable prints what the gateways cost that cost the most, of all partitions.
func costTable(w io.Writer, tasks []server.TaskStatus) error {
	type cost struct {
		partition int
		*server.CostStatus
	}
	var all []cost
	more := 0
	for i := range tasks {
		for n := range tasks[i].Costs {
			all = append(all, cost{tasks[i].Partition, &tasks[i].Costs[n]})
		}
		more += tasks[i].CostsMore
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortStableFunc(all, func(a, b cost) int {
		return cmp.Or(cmp.Compare(b.Hour.Seconds, a.Hour.Seconds), cmp.Compare(b.StateBytes, a.StateBytes))
	})
	more += max(0, len(all)-shownCosts)
	rows := [][]string{{"COST OF AN HOUR", "PARTITION", "SECONDS", "BYTES", "ROWS", "UNREAD", "STATE", "LOGS", "WINDOWS", "RECEPTIONS", "DATES", "DENIED"}}
	for _, c := range all[:min(len(all), shownCosts)] {
		rows = append(rows, []string{c.Gateway, fmt.Sprint(c.partition), fmt.Sprintf("%.3f", c.Hour.Seconds), fmt.Sprint(c.Hour.Bytes),
			fmt.Sprint(c.Hour.Rows), fmt.Sprint(c.Unread), fmt.Sprint(c.StateBytes), fmt.Sprint(c.Logs), fmt.Sprint(c.Windows),
			fmt.Sprint(c.Receptions), fmt.Sprint(c.Dates), cli.Dash(strings.Join(c.Denied, ", "))})
	}
	if err := cli.Table(w, rows); err != nil {
		return err
	}
	if more > 0 {
		_, _ = fmt.Fprintf(w, "and %d more gateways\n", more)
	}
	_, _ = fmt.Fprintln(w)
	return nil
}

// groupLine says which partitions of a topic are this engine's.
func groupLine(g *server.GroupStatus) string {
	line := fmt.Sprintf("topic %s, %d partitions", g.Topic, g.Partitions)
	switch {
	case !g.Member:
		return line + ": this engine is an ingest, and works on none"
	case len(g.Mine) == 0:
		line += fmt.Sprintf(": none is this engine's in group %s; others have them, or it is being told", g.Group)
	default:
		line += fmt.Sprintf(": %d of them this engine's in group %s: %s", len(g.Mine), g.Group, strings.Trim(fmt.Sprint(g.Mine), "[]"))
	}
	if g.Error != "" {
		line += "; " + g.Error
	}
	return line
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
