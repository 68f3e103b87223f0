package edgecli

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
	"landfall/edge/record"
)

func clockCommand() *cobra.Command {
	return cli.Report[agent.Config, *agent.ClockStatus]{
		Use: "clock", Short: "Says what the running gateway believes the time to be and why, evidence by evidence", Config: DefaultConfig, Load: load,
		Value: func(ctx context.Context, c *agent.Config) (*agent.ClockStatus, error) {
			s, err := cli.AskStatus[agent.Status](ctx, "gateway", c.Status)
			if err != nil {
				return nil, err
			}
			return &s.Clock, nil
		},
		Text: printClock,
	}.Command()
}

func printClock(w io.Writer, c *agent.ClockStatus) error {
	switch {
	case !c.Known:
		_, _ = fmt.Fprintf(w, "time: not known; event times are receipts by the machine's clock, which says %s\n", c.Wall)
	default:
		_, _ = fmt.Fprintf(w, "time: %s, give or take %s: %s%s\nthe machine's clock says %s, %s\n", c.UTC, span(c.Uncertainty), c.Quality, why(c), c.Wall, ahead(c.WallAhead))
	}
	_, _ = fmt.Fprintf(w, "boot %s, up %s; %d records captured while nothing confirmed the time\n", c.Boot, span(float64(c.Monotonic)/1e6), c.Untimed)
	if c.RolledOver+c.Refused > 0 {
		_, _ = fmt.Fprintf(w, "%d GNSS dates moved by 1,024 weeks, %d dates refused\n", c.RolledOver, c.Refused)
	}
	if len(c.Proposals) > 0 {
		rows := [][]string{{"WHO", "BY", "SAYS", "GIVE OR TAKE", "CLOCKS", "DELAYS", "DATE", "SUPPORTED BY", "VERDICT"}}
		for _, p := range c.Proposals {
			rows = append(rows, []string{p.Name, p.Finest, later(p.Difference), span(p.Uncertainty), fmt.Sprint(p.Clocks), choice(p.Tight, "no", "may"),
				choice(p.Dated, "heard", "assumed"), fmt.Sprint(p.Supporters), judged(&p)})
		}
		_, _ = fmt.Fprintln(w)
		if err := cli.Table(w, rows); err != nil {
			return err
		}
	}
	if len(c.Witnesses) == 0 {
		return nil
	}
	rows := [][]string{{"SOURCE", "EVIDENCE", "CLOCK", "HEARD", "IN USE", "AGREE", "LAST", "ALLOWS", "VERDICT"}}
	for _, e := range c.Witnesses {
		allows := "-"
		if e.Used && c.Known {
			allows = later(e.Least) + " to " + later(e.Most)
		}
		rows = append(rows, []string{e.Source, e.Kind, number(e.Clock), fmt.Sprint(e.Heard), fmt.Sprint(e.Samples), fmt.Sprint(e.Cluster), e.Age + " ago", allows,
			choice(!e.Used, "too few or too scattered", choice(e.Agrees, "agrees", "contradicts"))})
	}
	_, _ = fmt.Fprintln(w)
	return cli.Table(w, rows)
}

func why(c *agent.ClockStatus) string {
	why := ""
	switch {
	case c.Held:
		why = ", held from earlier evidence"
	case c.Radio:
		why = ", from AIS traffic"
	}
	if c.Quality == record.QualityUnsynchronised.String() {
		why += "; the day is the machine's own, for nothing that was heard states one"
	}
	return why
}

func judged(p *agent.ClockProposal) string {
	switch {
	case p.Chosen:
		return "taken"
	case p.Agrees:
		return "agrees"
	case !p.Tight && p.Difference < 0:
		return "late"
	}
	return "contradicts"
}

func ahead(s float64) string {
	switch {
	case math.Abs(s) < 0.5e-3:
		return "the same to the millisecond"
	case s < 0:
		return span(-s) + " behind"
	}
	return span(s) + " ahead"
}

// later gives a signed difference.
func later(s float64) string {
	if s < 0 {
		return "-" + span(-s)
	}
	return "+" + span(s)
}

// span gives seconds as a time with three significant parts.
func span(s float64) string {
	switch {
	case s >= 2*86_400:
		return fmt.Sprintf("%.1f days", s/86_400)
	case s >= 60:
		return (time.Duration(math.Round(s)) * time.Second).String()
	}
	return (time.Duration(math.Round(s*1e3)) * time.Millisecond).String()
}

func choice(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func number(n uint32) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
