package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
	"landfall/engine/ledger"
	"landfall/engine/published"
	"landfall/engine/stream"
)

// answerQuestions is how many questions a round asks.
const answerQuestions = 10_000

// answering measures what the second offset, published, costs beside the first,
// landed: bytes on the link, in headers, bodies and answers, and CPU time of the
// ingest for a question. The peer is the same handler without it, asked by a
// gateway that does not keep its records. Both are called in this process:
// network and TLS cost more, and the same on both sides.
func answering(ctx context.Context, cfg Config) ([]row, error) {
	log, err := embedded.Open(embedded.Config{Dir: filepath.Join(cfg.Dir, "landing"), Partitions: 1})
	if err != nil {
		return nil, fmt.Errorf("measure answers: %w", err)
	}
	rows, err := answers(ctx, cfg, log)
	if err := errors.Join(err, log.Close()); err != nil {
		return nil, fmt.Errorf("measure answers: %w", err)
	}
	return rows, nil
}

func answers(ctx context.Context, cfg Config, log *embedded.Log) ([]row, error) {
	t, err := newTalker("http://bench"+wire.Path, "bench")
	if err != nil {
		return nil, err
	}
	task := stream.TaskID{Landing: string(log.ID())}
	registry := published.New(published.Config{Landing: log.ID(), Partitions: 1, AgainIn: 5 * time.Minute})
	registry.Feeds(strings.Repeat("ab", 16))
	with, err := newAsked(t, ingest.Config{Log: log, Published: registry})
	if err != nil {
		return nil, err
	}
	without, err := newAsked(t, ingest.Config{Log: log})
	if err != nil {
		return nil, err
	}
	exchange, err := without.send(ctx)
	if err != nil {
		return nil, err
	}
	tip := ledger.Tip{Name: task.String() + "/ledger/1", Number: 1000, SHA256: strings.Repeat("ab", 32)}
	published := ledger.Log{Gateway: t.name, Log: t.log.String(), Next: t.next, Chain: t.prev.String()}
	registry.Claimed(task, []ledger.Log{published}, &tip)

	questions := answerQuestions
	if cfg.Brief {
		questions /= 100
	}
	var bytesWith, bytesWithout int
	var cpuWith, cpuWithout, more []float64
	for range cfg.Rounds {
		var a, b float64
		if a, bytesWith, err = with.ask(ctx, questions); err == nil {
			b, bytesWithout, err = without.ask(ctx, questions)
		}
		if err != nil {
			return nil, err
		}
		cpuWith, cpuWithout, more = append(cpuWith, a), append(cpuWithout, b), append(more, a-b)
	}
	extra := bytesWith - bytesWithout
	return []row{
		{
			what:  "the second offset on the link, a request and its answer",
			ours:  fmt.Sprintf("%d bytes more", extra),
			limit: fmt.Sprintf("%d bytes with %d KiB of lines, without it", exchange, steadyBytes>>10),
			ratio: fmt.Sprintf("%.0f%%", 100*float64(extra)/float64(exchange)),
		}, {
			what:  "the second offset in the engine, CPU time a question",
			ours:  fmt.Sprintf("%.1f µs more", 1e6*median(more)),
			limit: fmt.Sprintf("%.1f µs without it", 1e6*median(cpuWithout)),
			ratio: fmt.Sprintf("%.2f x", median(cpuWith)/median(cpuWithout)),
		},
	}, nil
}

// asked is an ingest that a talker asks without a network.
type asked struct {
	*talker
	handler *ingest.Handler
	keeps   bool
}

func newAsked(t *talker, cfg ingest.Config) (asked, error) {
	cfg.Identity = ingest.Identity{AllowUnauthenticated: true}
	h, err := ingest.New(cfg)
	return asked{t, h, cfg.Published != nil}, err
}

// send sends the talker's next block and returns the bytes of the exchange.
func (a asked) send(ctx context.Context) (int, error) {
	body, offset, err := a.make(1, steadyBytes)
	if err != nil {
		return 0, err
	}
	return a.serve(ctx, body, offset)
}

// ask asks so many questions and returns the seconds of CPU and the bytes of one.
func (a asked) ask(ctx context.Context, n int) (cpu float64, exchange int, err error) {
	began := ownCPU()
	for range n {
		if exchange, err = a.serve(ctx, nil, a.next); err != nil {
			return 0, 0, err
		}
	}
	return (ownCPU() - began).Seconds() / float64(n), exchange, nil
}

// serve has a request answered and returns the bytes of both.
func (a asked) serve(ctx context.Context, body []byte, offset record.Offset) (int, error) {
	req, err := a.request(ctx, body, offset, a.keeps)
	if err != nil {
		return 0, err
	}
	var sent bytes.Buffer // headers of both sides
	if err := req.Header.Write(&sent); err != nil {
		return 0, err
	}
	w := &answered{header: http.Header{}}
	a.handler.ServeHTTP(w, req)
	if w.status != http.StatusOK {
		return 0, fmt.Errorf("status %d: %s", w.status, w.body.Bytes())
	}
	if tells := bytes.Contains(w.body.Bytes(), []byte(`"ledger"`)); len(body) == 0 && tells != a.keeps {
		return 0, fmt.Errorf("the answer to a gateway that keeps its records, %t, is %s", a.keeps, w.body.Bytes())
	}
	if err := w.header.Write(&sent); err != nil {
		return 0, err
	}
	return sent.Len() + len(body) + w.body.Len(), nil
}

// answered takes one answer.
type answered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answered) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answered) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answered) Write(p []byte) (int, error) { return a.body.Write(p) }
