package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/stream"
)

// Publish implements stream.Sink: epoch after epoch, oldest first.
func (s *Sink) Publish(ctx context.Context, staged []stream.Staged) error {
	epochs, err := byEpoch(staged)
	if err != nil {
		return fmt.Errorf("publish to Kafka: %w", err)
	}
	s.publishing.Lock()
	defer s.publishing.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for _, o := range epochs {
		if err := s.publish(ctx, o); err != nil {
			return fmt.Errorf("publish epoch %s of %s to Kafka: %w", o.epoch, o.task, err)
		}
	}
	return nil
}

// publish brings one epoch to its topics, or finds that it is there. Steps, and
// what a crash after each leaves:
//
//  1. fence: InitProducerID with the task's transactional id. Whoever wrote
//     under it before can neither write nor commit any more; its transaction
//     was committed or is aborted when the call returns.
//  2. read the task's marker up to the high watermark that is taken now. It
//     holds this epoch: go to 5. It contradicts: stop.
//  3. read the staged objects, compare their hashes, and produce rows and marker
//     in one transaction. A crash leaves a transaction that readers of committed
//     messages do not see; the next fence, or the broker's timeout, aborts it.
//  4. commit the transaction (C5). If the answer is lost, nobody guesses: the
//     next call begins at 1 and reads.
//  5. remove the staged objects; until then the next call ends here again.
//
// A second writer for the task fences this one between any two steps. Then the
// transaction fails, and the next call begins at 1: it reads before anything
// else.
func (s *Sink) publish(ctx context.Context, o *output) error {
	if err := s.prepare(ctx, o); err != nil {
		return err
	}
	if err := s.giveWay(ctx); err != nil {
		return err
	}
	w, err := s.fence(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	last, err := s.readMarker(ctx, w, o)
	if err != nil {
		return err
	}
	done, err := last.done(o)
	if err != nil {
		return err
	}
	if done {
		s.cfg.Counters.Found.Add(1)
	} else if err := s.transact(ctx, w, o, last.next(o)); err != nil {
		return err
	}
	for _, f := range o.files {
		if err := s.cfg.Files.Remove(ctx, f.Name); err != nil {
			return fmt.Errorf("remove staged object: %w", err)
		}
	}
	return nil
}

// transact is steps 3 and 4. The time that the broker grants bounds it: beyond
// it the broker has aborted, and another attempt gets twice the time.
func (s *Sink) transact(ctx context.Context, w *writer, o *output, m *marker) error {
	started, timeout := time.Now(), w.timeout
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.produce(within, w, o, m)
	if err == nil {
		err = w.commit(within)
	}
	if err == nil {
		s.lost = 0
		c := s.cfg.Counters
		c.Epochs.Add(1)
		c.Rows.Add(uint64(o.rows))
		c.Bytes.Add(w.bytes)
		return nil
	}
	w.abort()
	s.cfg.Counters.Failures.Add(1)
	if wasFenced(err) {
		s.lost++
		s.cfg.Counters.Fenced.Add(1)
	}
	if time.Since(started) >= timeout*9/10 && ctx.Err() == nil {
		s.timeout = min(2*timeout, max(s.limit, timeout))
		err = fmt.Errorf("%w: %d rows did not get through in the %s of a transaction; the next attempt has %s (transaction_timeout, and the broker's transaction.max.timeout.ms of %s)",
			err, o.rows, timeout, s.timeout, s.limit)
	}
	return err
}

// The bounds of the random time for which whoever was fenced lets the other one
// work.
const (
	minGiveWay = 50 * time.Millisecond
	maxGiveWay = 5 * time.Second
)

// giveWay waits after another writer ended this one's transaction: two that
// fence each other again and again would both never end. Which of them is the
// right one is decided elsewhere, at HEAD.
func (s *Sink) giveWay(ctx context.Context) error {
	if s.lost == 0 {
		return nil
	}
	return sleep(ctx, rand.N(min(minGiveWay<<min(s.lost, 10), maxGiveWay)))
}

// wasFenced tells whether another writer of the task is the reason.
func wasFenced(err error) bool {
	return errors.Is(err, errFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced)
}

// produce sends all rows, then the marker, and waits until the broker has them.
func (s *Sink) produce(ctx context.Context, w *writer, o *output, m *marker) error {
	if err := w.begin(); err != nil {
		return err
	}
	for i, f := range o.files {
		data, err := readObject(ctx, s.cfg.Files, f)
		if err != nil {
			return err
		}
		enc := newEncoder(f.Table, o.topics[i], o, s.cfg.MaxMessageBytes)
		rows := int64(0)
		err = readStaged(data, f.Table, func(batch arrow.Record) error {
			rows += batch.NumRows()
			return s.send(ctx, w, enc, batch)
		})
		if err == nil && rows != f.Rows {
			err = fmt.Errorf("%w: %d rows of %d", errStaged, rows, f.Rows)
		}
		if err != nil {
			return err
		}
	}
	value, err := m.encode()
	if err != nil {
		return err
	}
	w.produce(ctx, &kgo.Record{Topic: o.markers, Key: []byte(o.task), Value: value})
	return w.flush(ctx)
}

// send produces the rows of one batch.
func (s *Sink) send(ctx context.Context, w *writer, enc *encoder, batch arrow.Record) error {
	if err := enc.open(batch); err != nil {
		return err
	}
	for row := range int(batch.NumRows()) {
		r, err := enc.record(row)
		if err != nil {
			return err
		}
		w.produce(ctx, r)
	}
	s.cfg.Counters.Omitted.Add(enc.takeOmitted())
	return errors.Join(ctx.Err(), w.failed())
}
