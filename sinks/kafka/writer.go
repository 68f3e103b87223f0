package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The bounds of what waits in a client to be sent.
const (
	bufferedBytes   = 32 << 20
	bufferedRecords = 50_000
)

// abortWait is how long an attempt to end a failed transaction may take. It
// saves readers of committed messages from waiting for the broker's timeout and
// nothing more.
const abortWait = 3 * time.Second

// errFenced says that the client's identity is no longer the one under which
// the marker was read.
var errFenced = errors.New("the producer's identity changed since the marker was read")

// writer is one client that fenced the task's earlier ones, and its one
// transaction.
type writer struct {
	client  *kgo.Client
	id      int64 // of the producer, as the fence gave it
	epoch   int16
	timeout time.Duration // of its transaction
	ctx     context.Context
	begun   bool
	bytes   uint64 // produced

	mu  sync.Mutex
	err error // the first that a produced record met; guarded by mu
}

// transactionalID is the name under which a task's writers fence each other.
func transactionalID(o *output) string { return o.markers + ":" + o.task }

// fence is step 1: after it, no earlier writer of the task can do anything.
func (s *Sink) fence(ctx context.Context, o *output) (*writer, error) {
	options := append(s.clientOptions(),
		kgo.TransactionalID(transactionalID(o)),
		kgo.TransactionTimeout(s.timeout),
		kgo.RecordDeliveryTimeout(s.timeout),
		kgo.ProducerBatchMaxBytes(int32(s.cfg.MaxMessageBytes)),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.MaxBufferedBytes(bufferedBytes), kgo.MaxBufferedRecords(bufferedRecords),
	)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("make Kafka client: %w", err)
	}
	w := &writer{client: client, timeout: s.timeout, ctx: s.ctx}
	if w.id, w.epoch, err = client.ProducerID(ctx); err == nil && w.id < 0 {
		err = errors.New("the broker knows no transactions")
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("fence earlier writers: %w", err)
	}
	return w, nil
}

// clientOptions are those of every client.
func (s *Sink) clientOptions() []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(s.cfg.Brokers...), kgo.ClientID("landfall-engine")}, s.cfg.Client...)
}

// begin opens the transaction.
func (w *writer) begin() error {
	if err := w.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	w.begun = true
	return nil
}

// produce hands one record over; it waits while too much is unsent. Errors come
// out of failed and flush.
func (w *writer) produce(ctx context.Context, r *kgo.Record) {
	w.bytes += uint64(len(r.Key) + len(r.Value))
	w.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
		if err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.err == nil {
				w.err = fmt.Errorf("produce: %w", err)
			}
		}
	})
}

// failed gives the first error that a record met so far.
func (w *writer) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// flush waits until the broker has every record.
func (w *writer) flush(ctx context.Context) error {
	return errors.Join(w.client.Flush(ctx), w.failed())
}

// commit is step 4. The client may have taken a new identity by itself, after
// an error that it thinks harmless; then another writer may have come and gone
// since the marker was read, and nothing is committed.
func (w *writer) commit(ctx context.Context) error {
	id, epoch, err := w.client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	if id != w.id || epoch != w.epoch {
		return fmt.Errorf("commit transaction: %w: %d/%d, was %d/%d", errFenced, id, epoch, w.id, w.epoch)
	}
	if err := w.client.EndTransaction(ctx, kgo.TryCommit); err != nil { // what C5 is here
		return fmt.Errorf("commit transaction: %w", err)
	}
	w.begun = false
	return nil
}

// abort tries to end a transaction that failed.
func (w *writer) abort() {
	if !w.begun {
		return
	}
	w.begun = false
	ctx, cancel := context.WithTimeout(w.ctx, abortWait)
	defer cancel()
	if w.client.AbortBufferedRecords(ctx) == nil {
		_ = w.client.EndTransaction(ctx, kgo.TryAbort) // else the next fence, or the broker, aborts it
	}
}

func (w *writer) close() { w.client.Close() }
