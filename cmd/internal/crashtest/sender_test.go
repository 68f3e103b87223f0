//go:build failpoint && linux

package crashtest

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"landfall/decoders/aissim"
)

// fate is what a sender knows about lines it wanted to send.
type fate uint8

const (
	unsent fate = iota // nobody was there; nothing of it went out
	sent               // handed to the operating system whole
	unsure             // the connection broke in the middle
)

// outlet is one way for lines to an edge. It belongs to its sender's goroutine.
type outlet interface {
	// send passes on lines that belong together; it may block.
	send(lines [][]byte) fate
	// close ends it.
	close()
}

// sender plays one station: it makes lines, sends them and writes down which.
type sender struct {
	gateway, source string
	station         string // in the TAG blocks; no other sender has it
	resends         bool   // what is not captured is sent again: nothing may be missing
	out             outlet
	perTick         int // messages a tick
	harbour         *aissim.Harbour
	journal         *bufio.Writer
	file            *os.File
	lastSent        atomic.Int64 // microseconds since 1970
	lines           atomic.Int64 // sent
	err             error        // valid after run
}

// tickEvery is how often a sender sends.
const tickEvery = 20 * time.Millisecond

// newSender makes a sender whose lines differ from those of every other one.
func newSender(dir, gateway, source string, resends bool, perTick int, seed uint64, out outlet) (*sender, error) {
	station := gateway + "-" + source
	h, err := aissim.New(aissim.Config{
		Seed: seed, Start: time.Now().UnixMicro(), Rate: float64(perTick) * float64(time.Second/tickEvery),
		Receivers: []aissim.Receiver{{Name: station}},
		Tag:       aissim.TagMillis, Unique: true, Noise: 0.03, LostFragments: 0.02,
	})
	if err != nil {
		return nil, err
	}
	f, err := os.Create(fmt.Sprintf("%s/sent-%s-%s.csv", dir, gateway, source))
	if err != nil {
		return nil, err
	}
	s := &sender{
		gateway: gateway, source: source, station: station, resends: resends, perTick: perTick, out: out, harbour: h,
		file: f, journal: bufio.NewWriter(f),
	}
	_, err = fmt.Fprintln(s.journal, journalHead)
	return s, err
}

// run sends until stop is closed.
func (s *sender) run(stop <-chan struct{}) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			s.err = s.finish()
			return
		case <-tick.C:
		}
		for range s.perTick {
			if s.err = s.message(); s.err != nil {
				return
			}
		}
	}
}

func (s *sender) finish() error {
	s.out.close()
	if err := s.journal.Flush(); err != nil {
		return err
	}
	return s.file.Close()
}

// message sends the lines of one transmission, with the noise among them.
func (s *sender) message() error {
	var lines []aissim.Line
	var texts [][]byte
	for open := 1; open > 0; {
		l := s.harbour.Next()
		switch {
		case l.Kind == aissim.KindNoise:
		case l.Fragment == 1:
			open += l.Total - 2
		default:
			open--
		}
		if l.Kind != aissim.KindLost {
			lines, texts = append(lines, l), append(texts, l.Text)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	at := time.Now().UnixMicro()
	f := s.out.send(texts)
	if f == unsent {
		return nil
	}
	done := time.Now().UnixMicro()
	s.lastSent.Store(done)
	s.lines.Add(int64(len(lines)))
	return s.note(lines, at, done, f)
}

// journalHead names the columns that note writes.
const journalHead = "gateway,source,station,resends,sure,sent_at,done_at,line,message,fragment,total,msg_type,mmsi"

func (s *sender) note(lines []aissim.Line, at, done int64, f fate) error {
	for _, l := range lines {
		_, err := fmt.Fprintf(s.journal, "%s,%s,%s,%t,%t,%d,%d,%s,%d,%d,%d,%d,%d\n", s.gateway, s.source, s.station, s.resends, f == sent,
			at, done, hex.EncodeToString(l.Text), l.Message, l.Fragment, l.Total, l.MsgType, l.MMSI)
		if err != nil {
			return err
		}
	}
	return nil
}

// joined gives lines as they go over a wire.
func joined(lines [][]byte) []byte {
	var b []byte
	for _, l := range lines {
		b = append(append(b, l...), '\r', '\n')
	}
	return b
}
