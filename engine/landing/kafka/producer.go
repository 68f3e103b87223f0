package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/engine/landing"
)

// producer is one idempotent producer. After a promise that was not kept it is
// not used again: its client can no longer tell which sequence numbers the
// broker has, and would go on under another epoch with records that may be
// there already. What is in flight of it may land later, behind what its
// successor lands; the argument in doc.go says why that does no harm.
type producer struct {
	client *kgo.Client
	users  int  // Appends that wait for promises; guarded by Log.mu
	failed bool // guarded by Log.mu

	mu    sync.Mutex
	known bool // the client's topic is the log's; guarded by mu
}

func (c Config) newProducer() (*producer, error) {
	client, err := kgo.NewClient(c.client(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(MaxMessageBytes),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedBytes(1<<30), // ingest bounds its sessions, each with one block here
		kgo.RecordDeliveryTimeout(c.DeliveryTimeout),
		kgo.ProduceRequestTimeout(min(c.DeliveryTimeout, produceTimeout)),
		// Without these a promise waits for ever while no broker answers, or is
		// kept by producing the record a second time.
		kgo.AllowIdempotentProduceCancellation(),
		kgo.StopProducerOnDataLossDetected(),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a producer: %w", err)
	}
	return &producer{client: client}, nil
}

// produceTimeout is how long a broker may wait for its replicas.
const produceTimeout = 10 * time.Second

// headerKey is the header of every record that is a landed block, so that what
// others write into the topic is not taken for a block of a newer format.
const headerKey = "landfall-landed"

// Append implements landing.Log. Blocks that are appended at the same time
// share batches.
func (l *Log) Append(ctx context.Context, block landing.Landed) error {
	h, err := record.ParseHeader(block.Block)
	if err != nil {
		return fmt.Errorf("append block of %s: %w", block.Gateway, err)
	}
	if len(block.Block) > MaxBlockBytes {
		return fmt.Errorf("append block of %s of %d bytes: %w", block.Gateway, len(block.Block), record.ErrTooLarge)
	}
	value, err := block.Encode()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := l.acquire()
	if err != nil {
		return err
	}
	err = l.produce(ctx, p, &kgo.Record{
		Topic: l.cfg.Topic, Partition: int32(landing.Partition(block.Gateway, l.cfg.Partitions)),
		Key: []byte(block.Gateway), Value: value, Headers: []kgo.RecordHeader{{Key: headerKey}},
	})
	l.release(p, err)
	if err == nil {
		l.landed(block, h)
		return nil
	}
	if closed := l.usable(); closed != nil {
		return closed
	}
	l.failed.Add(1)
	return fmt.Errorf("append block of %s to topic %s: %w", block.Gateway, l.cfg.Topic, err)
}

// produce waits for the promise of one record. Steps, and what a crash after
// each leaves: produce (the record, on all in-sync replicas, or nothing, or,
// when no answer comes, either), answer (a block that nobody was told of: the
// gateway sends it again from the acknowledged offset, and the task drops it).
func (l *Log) produce(ctx context.Context, p *producer, r *kgo.Record) error {
	failpoint.Hit("c2.before-append")
	promise := make(chan error, 1)
	p.client.Produce(ctx, r, func(_ *kgo.Record, err error) { promise <- err })
	if err := <-promise; err != nil { // Commit point C2
		return err
	}
	failpoint.Hit("c2.after-append")
	return l.knows(ctx, p)
}

// knows makes sure, once a producer, that it writes to the topic that was
// opened. A client keeps to the topic id that it loaded; that was between
// Open's look and this one. An id never comes back, so if it is the same at
// both ends, it was the same in between.
func (l *Log) knows(ctx context.Context, p *producer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return nil
	}
	if _, err := l.identify(ctx); err != nil {
		return err
	}
	p.known = true
	return nil
}

// acquire gives the producer in use.
func (l *Log) acquire() (*producer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, landing.ErrClosed
	case l.broken != nil:
		return nil, l.broken
	}
	if l.producer == nil {
		p, err := l.cfg.newProducer()
		if err != nil {
			return nil, err
		}
		l.producer = p
	}
	l.producer.users++
	return l.producer, nil
}

// release gives a producer back with what became of its promise. One that
// failed is closed by the last who waits for it.
func (l *Log) release(p *producer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.users--
	if err != nil && !errors.Is(err, kgo.ErrClientClosed) {
		if l.producer == p {
			l.producer = nil
		}
		if !p.failed {
			p.failed = true
			l.replaced.Add(1)
			l.cfg.Logger.Warn("a promise was not kept: the producer is replaced", "topic", l.cfg.Topic, "error", err)
		}
	}
	if p.failed && p.users == 0 && !l.closed {
		l.own.Go(p.client.Close)
	}
}
