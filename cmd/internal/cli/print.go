package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"landfall/edge/record"
)

// JSON prints v indented, with a line end.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Table prints rows in columns, the first row being the heads.
func Table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// Wrap breaks text at blanks into lines of at most width characters, each but
// the first after indent.
func Wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column > 0 && column+1+len(word) > width:
			b.WriteString("\n" + indent)
			column = 0
		case column > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// Time prints a time in UTC, "-" for none.
func Time(at record.Micros) string {
	if at == record.NoTime {
		return "-"
	}
	return time.UnixMicro(int64(at)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// Age prints how long at is before now, "-" for no time.
func Age(at record.Micros, now time.Time) string {
	if at == record.NoTime {
		return "-"
	}
	return now.Sub(time.UnixMicro(int64(at))).Round(100 * time.Millisecond).String()
}

// Size prints a number of bytes for people, in the unit that suits it.
func Size(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
