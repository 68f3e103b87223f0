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
	"landfall/edge/clock"
	"landfall/edge/durable"
	"landfall/edge/record"
)

func clockCommand() *cobra.Command {
	c := clockReport().Command()
	c.AddCommand(forgetClockCommand())
	return c
}

// clockForgotten is what the verb did, for programs.
type clockForgotten struct {
	Running bool `json:"running"` // a gateway runs, and forgets at once
}

func forgetClockCommand() *cobra.Command {
	c := &cobra.Command{Use: "forget",
		Short: "Has the gateway forget what it believes of the time and what it kept, when that is wrong",
		Args:  cli.NoArgs,
		Long: "Drops everything that was learned about the time: what is believed, the time of earlier boots, and the last time that the engine proved,\n" +
			"before which no receiver is believed. The gateway begins again with what it hears now: the running one within seconds, else at its next start.\n\n" +
			"Use it when landfall-edge clock shows a wrong time and the machine's clock and the engine's are right: after a test transmitter, a receiver with a\n" +
			"wrong year, or an engine whose own clock was wrong. See first who tells the wrong time: what goes on to be heard is believed again by the same rules.\n" +
			"No record is lost or changed. Records of earlier boots that wait to be sent and never had a time keep none."}
	name := cli.ConfigFlag(c, DefaultConfig)
	asJSON := cli.JSONFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, _, err := load(*name)
		if err != nil {
			return err
		}
		if err := cfg.ForgetClock(durable.OS{}); err != nil {
			return err
		}
		_, err = ask(c.Context(), cfg)
		f := clockForgotten{Running: err == nil}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), f)
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), choice(f.Running,
			"the running gateway forgets the time within seconds; landfall-edge clock shows what it believes then",
			"no gateway answers; it forgets the time when it starts"))
		return err
	}
	return c
}

func clockReport() cli.Report[agent.Config, *agent.ClockStatus] {
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
	}
}

func printClock(w io.Writer, c *agent.ClockStatus) error {
	switch {
	case !c.Known:
		_, _ = fmt.Fprintf(w, "time: not known; event times are receipts by the machine's clock, which says %s\n", c.Wall)
	default:
		_, _ = fmt.Fprintf(w, "time: %s, give or take %s: %s%s\nthe machine's clock says %s, %s\n", c.UTC, span(c.Uncertainty), c.Quality, why(c), c.Wall, ahead(c.WallAhead))
	}
	_, _ = fmt.Fprintf(w, "boot %s, up %s; %d records captured while nothing confirmed the time\n", c.Boot, span(float64(c.Monotonic)/1e6), c.Untimed)
	if c.Proven != "" {
		_, _ = fmt.Fprintf(w, "the engine last proved %s; what strangers say is not believed before that, in this boot and the next\n", c.Proven)
	}
	if c.RolledOver+c.Refused > 0 {
		_, _ = fmt.Fprintf(w, "%d GNSS dates moved by 1,024 weeks, %d dates refused\n", c.RolledOver, c.Refused)
	}
	if c.Split {
		_, _ = fmt.Fprintln(w, "the engine and the machine's own keeper of the time contradict each other: the earlier is believed")
	}
	if len(c.Proposals) > 0 {
		rows := [][]string{{"WHO", "BY", "SAYS", "GIVE OR TAKE", "CLOCKS", "DATES", "DELAYS", "DATE", "SUPPORTED BY",
			"VERDICT"}}
		for _, p := range c.Proposals {
			rows = append(rows, []string{p.Name, p.Finest, later(p.Difference), span(p.Uncertainty),
				fmt.Sprint(p.Clocks), fmt.Sprint(p.Dates), choice(p.Tight, "no", "may"),
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
	switch c.RestsOn {
	case record.BasisEngine.String():
		why += ", within what the engine proved"
	case record.BasisHost.String():
		why += ", within what NTP or PTP says of the machine's clock"
	case record.BasisWord.String():
		why += ", on one word"
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
	case p.Refused != "":
		return refusal(p.Refused)
	case p.Agrees:
		return "agrees"
	case !p.Tight && p.Difference < 0:
		return "late"
	}
	return "contradicts"
}

// refusal says why a proposal is not believed.
func refusal(why string) string {
	switch why {
	case clock.AgainstAuthority.String():
		return "contradicts what is authenticated"
	case clock.JumpForward.String():
		return "days ahead of the engine's word"
	case clock.LoneStation.String():
		return "one station alone tells no date"
	case clock.Delays.String():
		return "delays what it brings"
	case clock.Outvoted.String():
		return "contradicts"
	case clock.SensorsAlone.String():
		return "sensors alone move no clock that was set"
	case clock.AuthoritiesDisagree.String():
		return "contradicts the other keeper"
	}
	return why
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
