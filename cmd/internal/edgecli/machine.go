package edgecli

import (
	"context"
	"net"
	"strings"
	"time"

	"landfall/edge/config"
)

// bytesPerRecord is about what one AIS sentence takes in the log: itself with a
// TAG block, the record's head, and its share of the block's.
const bytesPerRecord = 120

// offlineDays gives how many days of records fit into bytes.
func offlineDays(bytes int64, perSecond float64) float64 {
	if perSecond <= 0 {
		return 0
	}
	return float64(bytes) / (perSecond * bytesPerRecord) / (24 * 60 * 60)
}

// heard is what came in on a UDP port for a while.
type heard struct {
	Sentences int      `json:"sentences"`
	Senders   []string `json:"senders"`
	Busy      bool     `json:"busy"` // another program has the port
	seconds   float64
}

// listenUDP counts sentences on a port until ctx ends.
func listenUDP(ctx context.Context, address string) (heard, error) {
	var h heard
	begin := time.Now()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		h.Busy = true
		return h, nil //nolint:nilerr // that it is taken is the answer
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	buf := make([]byte, 64<<10)
	seen := map[string]bool{}
	for ctx.Err() == nil {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			break
		}
		h.Sentences += strings.Count(string(buf[:n]), "!") + strings.Count(string(buf[:n]), "$")
		if host, _, err := net.SplitHostPort(from.String()); err == nil && !seen[host] {
			seen[host] = true
			h.Senders = append(h.Senders, host)
		}
	}
	h.seconds = time.Since(begin).Seconds()
	return h, conn.Close()
}

// room gives what a log may take of a disk with so many free bytes: four
// fifths, in whole MiB.
func room(free int64) config.Bytes {
	return config.Bytes(max(free/5*4, 64<<20) >> 20 << 20)
}
