//go:build linux

package lifetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// attacker sends requests of the protocol from a host of this machine that no honest
// gateway is on.
func attacker(host byte) *http.Client {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, host)}}
	return &http.Client{Transport: &http.Transport{DialContext: from.DialContext}, Timeout: 30 * time.Second}
}

// deliver sends blocks in one request, and returns where the log stands by the answer.
func deliver(client *http.Client, ingest, gateway string, log record.LogID, from record.Offset, blocks ...[]byte) (a wire.Answer, err error) {
	var body bytes.Buffer
	e, err := wire.NewEncoder(&body)
	if err != nil {
		return a, err
	}
	for _, b := range blocks {
		if err := e.WriteBlock(b); err != nil {
			return a, err
		}
	}
	if err := e.Close(); err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+ingest+wire.Path, &body)
	if err != nil {
		return a, err
	}
	head := wire.RequestHeader{Gateway: gateway, Log: log, Offset: from, Request: wire.RequestID{1}}
	head.Write(req.Header, true)
	resp, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	return wire.DecodeAnswer(resp.StatusCode, resp.Header.Get("Content-Type"), text, head)
}

// sentence is an AIS message of a type with n random symbols behind it.
func sentence(rng *rand.Rand, kind byte, n int) []byte {
	const symbols = "0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVW`abcdefghijklmnopqrstuvw"
	p := []byte{kind}
	for range n {
		p = append(p, symbols[rng.IntN(len(symbols))])
	}
	return []byte("!" + checked(fmt.Sprintf("AIVDM,1,1,,A,%s,0", p)))
}

// silentClock sends 300,000 positions and 300,000 halves of type 24 without ever saying a
// watermark, and then a log after the other as long as new ones are taken.
func silentClock(t *testing.T, ingest string, _ net.Conn) {
	client, rng := attacker(1), rand.New(rand.NewPCG(7, 20))
	log, next, prev := record.LogID{7}, record.Offset(0), record.Hash{}
	for range 300 {
		var b record.Builder
		now := record.Micros(time.Now().UnixMicro())
		for range 1000 {
			for _, raw := range [][]byte{sentence(rng, '1', 27), sentence(rng, 'H', 27)} {
				r := record.Record{Kind: record.KindAIS, ReceivedAt: now, EventTime: now, TimeSource: record.TimeTag, TimeQuality: record.QualityAsserted, Raw: raw}
				if err := b.Add(&r); err != nil {
					t.Error(err)
					return
				}
			}
		}
		p := b.Seal(log, next, prev)
		a, err := deliver(client, ingest, "mallory", log, next, p)
		if err != nil || a.Acked <= next {
			continue // it goes on where it stood
		}
		next, prev = a.Acked, record.HashBlock(p)
	}
	told := map[string]int{}
	for i := range 1500 { // some are refused because they come too fast
		var b record.Builder
		_ = b.Add(&record.Record{Kind: record.KindLogOpen, ReceivedAt: 1, EventTime: record.NoTime})
		id := record.LogID{8}
		binary.BigEndian.PutUint32(id[4:], uint32(i))
		a, err := deliver(client, ingest, "mallory", id, 0, b.Seal(id, 0, record.Hash{}))
		if err == nil && strings.Contains(a.Detail, "new logs") {
			return
		}
		told[fmt.Sprint(a.Code, " ", a.Detail, " ", err)]++
	}
	t.Errorf("no new log was ever too many: %v", told)
}

// payloads makes a block of n records that are the same bytes each.
func payloads(t *testing.T, log record.LogID, n int, p ...byte) []byte {
	var b record.Builder
	for range n {
		if err := b.AddPayload(p); err != nil {
			t.Error(err)
			return nil
		}
	}
	return b.Seal(log, 0, record.Hash{})
}

// manyRecords sends blocks of as many records as a block may have, and of more.
func manyRecords(t *testing.T, ingest string, _ net.Conn) {
	client := attacker(2)
	for i, n := range []int{8_000_000, record.MaxRecords, record.MaxRecords, 8_000_000, record.MaxRecords} {
		log := record.LogID{9, byte(i)}
		p := payloads(t, log, n)
		a, err := deliver(client, ingest, "mallory", log, 0, p)
		if err != nil {
			t.Error(err)
		}
		if refused := a.Code == wire.CodeMalformed; refused != (n > record.MaxRecords) {
			t.Errorf("of %d records: %+v", n, a)
		}
	}
}

// heldBodies has 200 requests of as many names bring the most of a block that costs
// nothing to send, and then stand still.
func heldBodies(t *testing.T, ingest string, _ net.Conn) {
	// A block whose end never comes: what was flushed is unpacked, and kept.
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithWindowSize(8<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Error(err)
		return
	}
	_, err = z.Write(append(binary.LittleEndian.AppendUint32(nil, wire.MaxBlockBytes), make([]byte, wire.MaxBlockBytes-1000)...))
	if err = errors.Join(err, z.Flush()); err != nil {
		t.Error(err)
		return
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, 3)}}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			c, err := from.Dial("tcp", ingest)
			if err != nil {
				return // more connections than one host may have
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(15 * time.Second))
			h := http.Header{"Host": {"ingest"}, "Transfer-Encoding": {"chunked"}}
			head := wire.RequestHeader{Gateway: fmt.Sprintf("mallory-%d", i), Log: record.LogID{10, byte(i)}, Request: wire.RequestID{1}}
			head.Write(h, true)
			var request bytes.Buffer
			fmt.Fprintf(&request, "POST %s HTTP/1.1\r\n", wire.Path)
			_ = h.Write(&request)
			fmt.Fprintf(&request, "\r\n%x\r\n%s\r\n", out.Len(), out.Bytes())
			_, _ = c.Write(request.Bytes())
			_, _ = io.Copy(io.Discard, c) // until it is answered, or the time is over
		})
	}
	all.Wait()
}
