package explain

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"landfall/cmd/internal/cli"
)

// Progress is how far one handoff has come: what explain promises, with the
// numbers of now. A field that does not apply is nil or empty.
type Progress struct {
	From      string  `json:"from"`
	To        string  `json:"to"`
	Commit    string  `json:"commit"`
	Offset    *uint64 `json:"offset"`    // behind what has passed
	Watermark string  `json:"watermark"` // event time complete through, RFC 3339
	// LagRecords is what waits before it (blocks or epochs where Unit says so);
	// LagSeconds is how old the oldest of it is.
	LagRecords *uint64   `json:"lag_records"`
	Unit       string    `json:"lag_unit"`
	LagSeconds *float64  `json:"lag_seconds"`
	Oldest     string    `json:"oldest_unacknowledged_at"`
	Guarantee  Guarantee `json:"guarantee"`
	LastError  string    `json:"last_error"`
	// Seen is what was seen in place of Guarantee since the start.
	Seen []Guarantee `json:"seen,omitempty"`
}

// Lag gives how old a time of RFC 3339 is at now; nil for none.
func Lag(at string, now time.Time) *float64 {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return nil
	}
	s := max(0, now.Sub(t).Seconds())
	return &s
}

// Number gives a number that is there.
func Number(n uint64) *uint64 { return &n }

// ProgressText prints a row a handoff.
func ProgressText(w io.Writer, all []Progress) error {
	rows := [][]string{{"HANDOFF", "AT", "OFFSET", "WATERMARK", "LAG", "OLDEST UNACKED", "GUARANTEE", "LAST ERROR"}}
	for _, p := range all {
		rows = append(rows, []string{p.From + " -> " + p.To, p.Commit, number(p.Offset), cli.Dash(short(p.Watermark)), p.lag(), p.age(), Words(p.Guarantee, p.Seen), cli.Dash(p.LastError)})
	}
	return cli.Table(w, rows)
}

func (p *Progress) lag() string {
	if p.LagRecords == nil {
		return "-"
	}
	unit := p.Unit
	if unit == "" {
		unit = "records"
	}
	return fmt.Sprintf("%d %s", *p.LagRecords, unit)
}

func (p *Progress) age() string {
	if p.LagSeconds == nil {
		return "-"
	}
	return time.Duration(*p.LagSeconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func number(n *uint64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatUint(*n, 10)
}

// short leaves out the fraction of a second.
func short(at string) string {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return at
	}
	return t.UTC().Format(time.RFC3339)
}
