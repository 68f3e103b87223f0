package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing"
)

// talker is a gateway of the bench: it sends blocks of simulated traffic, made
// on the way, and times the answers.
type talker struct {
	url, name string
	harbour   *aissim.Harbour
	client    *http.Client
	log       record.LogID
	first     record.Offset // of the newest block
	next      record.Offset
	prev      record.Hash
	block     []byte // the newest
	b         record.Builder
	brief     bool // floods of a second
}

func newTalker(url, name string) (*talker, error) {
	h, err := aissim.New(aissim.Config{Seed: 5, Start: start, Rate: 500})
	if err != nil {
		return nil, err
	}
	t := &talker{url: url, name: name, harbour: h, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	_, _ = rand.Read(t.log[:]) // never fails
	return t, nil
}

// gatewayIn names a gateway that lies in a partition.
func gatewayIn(partition, of int) string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("bench-%d", i); landing.Partition(name, of) == partition {
			return name
		}
	}
}

// seal makes the next block of about so many bytes.
func (t *talker) seal(size int) error {
	t.b.Reset()
	for t.b.Size() < size {
		l := t.harbour.Next()
		if l.Kind == aissim.KindLost {
			continue
		}
		r := record.Record{Kind: record.KindAIS, ReceivedAt: start, EventTime: record.NoTime, Raw: l.Text}
		if t.next == 0 && t.b.Count() == 0 {
			r.Kind, r.Raw = record.KindLogOpen, record.Opening{}.Encode()
		}
		if err := t.b.Add(&r); err != nil {
			return err
		}
	}
	t.block, t.first = bytes.Clone(t.b.Seal(t.log, t.next, t.prev)), t.next
	t.next, t.prev = t.next+record.Offset(t.b.Count()), record.HashBlock(t.block)
	return nil
}

// send sends so many new blocks in one request and gives the seconds to its
// answer, without those of making them.
func (t *talker) send(ctx context.Context, blocks, size int) (float64, error) {
	body, offset, err := t.make(blocks, size)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	err = t.post(ctx, body, offset)
	return time.Since(begin).Seconds(), err
}

// make makes the body of a request with so many new blocks, and gives the
// offset where it begins.
func (t *talker) make(blocks, size int) ([]byte, record.Offset, error) {
	var body bytes.Buffer
	e, err := wire.NewEncoder(&body)
	if err != nil {
		return nil, 0, err
	}
	offset := t.next
	for range blocks {
		if err := t.seal(size); err != nil {
			return nil, 0, err
		}
		if err := e.WriteBlock(t.block); err != nil {
			return nil, 0, err
		}
	}
	err = e.Close()
	return body.Bytes(), offset, err
}

// repeated is a body with the newest block again and again.
func (t *talker) repeated(times int) []byte {
	var body bytes.Buffer
	e, err := wire.NewEncoder(&body)
	for range times {
		if err == nil {
			err = e.WriteBlock(t.block)
		}
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		panic(err) // a buffer takes everything, and the block was sent before
	}
	return body.Bytes()
}

// refused is an answer with an error.
type refused struct{ status int }

// Error implements error.
func (r refused) Error() string { return fmt.Sprintf("refused with status %d", r.status) }

// request makes a request of a gateway that keeps what is not published, or does
// not.
func (t *talker) request(ctx context.Context, body []byte, offset record.Offset, keeps bool) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	h := wire.RequestHeader{Gateway: t.name, Log: t.log, Offset: offset, Keeps: keeps}
	_, _ = rand.Read(h.Request[:]) // never fails
	h.Write(req.Header, len(body) > 0)
	return req, nil
}

// post sends one request; without a body it is a question.
func (t *talker) post(ctx context.Context, body []byte, offset record.Offset) error {
	req, err := t.request(ctx, body, offset, false)
	if err != nil {
		return err
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return refused{resp.StatusCode}
	}
	return nil
}

const (
	steadyRequests = 100
	steadyEvery    = 20 * time.Millisecond // as often as a gateway without linger asks
	steadyBytes    = 2 << 10
	backlogBytes   = 16 << 20
)

// steady sends some lines now and then, and gives the median of the seconds to
// their acknowledgement.
func (t *talker) steady(ctx context.Context) (float64, error) {
	var took []float64
	tick := time.NewTicker(steadyEvery)
	defer tick.Stop()
	for range steadyRequests {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		s, err := t.send(ctx, 1, steadyBytes)
		if err != nil {
			return 0, err
		}
		took = append(took, s)
	}
	return median(took), nil
}

// backlog sends what has waited, a mebibyte a request, and gives the seconds of
// all.
func (t *talker) backlog(ctx context.Context) (float64, error) {
	sum := 0.0
	for range backlogBytes >> 20 {
		s, err := t.send(ctx, 16, 64<<10)
		if err != nil {
			return 0, err
		}
		sum += s
	}
	return sum, nil
}
