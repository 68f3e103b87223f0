package capture

import (
	"bytes"
	"fmt"
	"testing"

	"landfall/edge/record"
	"landfall/edge/source"
)

// benchFeed is n lines with one message in twenty of two sentences.
func benchFeed(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() == 0 || i < n; i++ {
		if i%20 == 0 {
			fmt.Fprintf(&b, "%s\r\n%s\r\n", sentence(fmt.Sprintf("AIVDM,2,1,%d,A,55?MbV02>H97ac<H4eEK6W@T4@Dn2222220l1@D885Bh0B1j0,0", i/20%10)),
				sentence(fmt.Sprintf("AIVDM,2,2,%d,A,88888888880,2", i/20%10)))
			continue
		}
		b.WriteString(sentence(fmt.Sprintf("AIVDM,1,1,,A,15M%05d00G?Vhl@2d4<000000000,0", i)) + "\r\n")
	}
	return b.Bytes()
}

func sentence(body string) string {
	var sum byte
	for _, c := range []byte(body) {
		sum ^= c
	}
	return fmt.Sprintf("!%s*%02X", body, sum)
}

// BenchmarkReplay: lines of a file to records, the core alone.
func BenchmarkReplay(b *testing.B) {
	feed := benchFeed(100_000)
	lines := bytes.Count(feed, []byte("\n"))
	b.ReportAllocs()
	for b.Loop() {
		records := 0
		c := New(Config{Replay: true, BaseTime: 1, Emit: func(*record.Record) { records++ }})
		s := c.Stream(0, "file")
		var split source.Splitter
		for p := feed; len(p) > 0; {
			n := min(len(p), 64<<10)
			split.Feed(p[:n], func(line []byte, truncated bool) { c.Feed(s, line, truncated, Receipt{}) })
			p = p[n:]
		}
		if records < lines*9/10 {
			b.Fatal(records)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
