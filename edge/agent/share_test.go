package agent

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestACrowdedSourceIsNamed: an open UDP port on which long fragments come without
// end costs a TCP source nothing, and status and metrics name the one that paid.
func TestACrowdedSourceIsNamed(t *testing.T) {
	c := fileGateway(t, 0, cloud(t))
	c.Status, c.Capture.FragmentLimit = freeAddress(t), c.Capture.FragmentLimit*20
	c.Sources = []SourceConfig{
		{Name: "open", UDP: &UDPConfig{Listen: freeAddress(t)}},
		{Name: "radio", TCPServer: &TCPServerConfig{Listen: freeAddress(t)}},
	}
	a := start(t, c, Options{})
	waitFor(t, func() bool { s := a.Status().Sources; return s[0].State == "open" && s[1].State == "open" })
	radio, err := net.Dial("tcp", c.Sources[1].TCPServer.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = radio.Close() }()
	fmt.Fprint(radio, "!AIVDM,2,1,3,B,55P5TL01VIaAL@7WKO@mBplU@<PDhh000000001S;AJ::4A80?4i@E53,0*3E\r\n")
	waitFor(t, func() bool { return a.Status().Capture.Waiting == 1 })
	flood, err := net.Dial("udp", c.Sources[0].UDP.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flood.Close() }()
	for i := 0; a.Status().Sources[0].Crowded < 5; i++ {
		body := fmt.Sprintf("AIVDM,2,1,%d,A,%s,0", i%10, strings.Repeat("5", 3000))
		sum := byte(0)
		for _, b := range []byte(body) {
			sum ^= b
		}
		fmt.Fprintf(flood, "\\g:1-2-%d*00\\!%s*%02X\r\n", i, body, sum)
		waitFor(t, func() bool { return a.Status().Sources[0].Lines == uint64(i+1) })
	}
	fmt.Fprint(radio, "!AIVDM,2,2,3,B,1@0000000000000,2*55\r\n")
	waitFor(t, func() bool { return a.Status().Sources[1].Records == 1 })
	if s := a.Status().Sources; s[1].Crowded != 0 || s[1].Flagged != 0 {
		t.Errorf("the other source paid: %+v", s[1])
	}
	if _, text := get(t, "http://"+c.Status+"/metrics"); !strings.Contains(text, `landfall_edge_source_crowded_total{source="radio"} 0`) ||
		!strings.Contains(text, `landfall_edge_source_crowded_total{source="open"}`) {
		t.Error("the metric does not name the source")
	}
}
