package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// fetchBytes bounds what a reader asks a broker for at a time; one batch that is
// larger comes all the same.
const fetchBytes = 4 << 20

// reader reads one partition with a client of its own, so that a partition
// that fails, or whose task is slow, holds up no other.
type reader struct {
	l         *Log
	partition int32
	client    *kgo.Client
	next      int64 // offset of the next record
	queued    []*kgo.Record
	err       error // sticky: after queued
	close     sync.Once
}

// open makes a reader at a position that place has checked, of a partition that
// begins at start; where the position says what it stands on and that is still
// there, it begins one record before. Leader epochs show the client what the topic
// lost while it reads.
func (l *Log) open(partition int32, from stream.Position, start int64) (*reader, error) {
	at := from.Offset
	if from.Hash != "" && at > start {
		at--
	}
	offset := kgo.NewOffset().At(at)
	if from.Leader > 0 {
		offset = offset.WithEpoch(from.Leader - 1)
	}
	client, err := kgo.NewClient(l.cfg.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.cfg.Topic: {partition: offset}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.KeepControlRecords(), // so that offsets are dense
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes), kgo.FetchMaxWait(time.Second),
	)...)
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", l.cfg.Topic, err)
	}
	r := &reader{l: l, partition: partition, client: client, next: at}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		client.Close()
		return nil, landing.ErrClosed
	}
	l.readers[r] = true
	return r, nil
}

// stands reads the record before a position, if open began with it, and compares
// it with what the position says of it.
func (r *reader) stands(from stream.Position) error {
	if r.next == from.Offset {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.l.ctx, askTimeout)
	defer cancel()
	for len(r.queued) == 0 {
		if r.err != nil {
			return r.err
		}
		if err := r.fetch(ctx); err != nil {
			return fmt.Errorf("read the record before offset %d of topic %s: %w", from.Offset, r.l.cfg.Topic, err)
		}
	}
	rec := r.queued[0]
	if rec.Offset == r.next {
		l, err := decode(rec)
		if errors.Is(err, record.ErrVersion) || err == nil && l.Hash() == from.Hash {
			r.queued, r.next = r.queued[1:], from.Offset
			return nil
		}
	}
	return fmt.Errorf("offset %d of topic %s stands on another record than %s: %w", from.Offset, r.l.cfg.Topic,
		from.Hash, landing.ErrCut)
}

// Next implements landing.Reader. A record that is no landed block is no
// gateway's: it is passed over, counted and reported.
func (r *reader) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	for {
		if err := r.l.usable(); err != nil {
			return landing.Landed{}, stream.Position{}, err
		}
		for len(r.queued) > 0 {
			rec := r.queued[0]
			if rec.Offset != r.next {
				return landing.Landed{}, stream.Position{}, fmt.Errorf("topic %s, partition %d: offset %d follows "+
					"%d: %w", r.l.cfg.Topic, r.partition, rec.Offset, r.next-1, landing.ErrCut)
			}
			l, err := decode(rec)
			if errors.Is(err, record.ErrVersion) {
				return landing.Landed{}, stream.Position{}, fmt.Errorf("read topic %s, partition %d, offset %d: %w", r.l.cfg.Topic, r.partition, rec.Offset, err)
			}
			r.queued, r.next = r.queued[1:], r.next+1
			if err == nil {
				return l, stream.Position{Log: string(r.l.id), Offset: r.next, Hash: l.Hash(), Leader: rec.LeaderEpoch +
					1}, nil
			}
			r.l.foreign.Add(1)
			r.l.cfg.Logger.Error("a record of the topic is no landed block: passed over", "topic", r.l.cfg.Topic, "partition", r.partition, "offset", rec.Offset, "error", err)
		}
		if r.err != nil {
			return landing.Landed{}, stream.Position{}, r.err
		}
		if err := r.fetch(ctx); err != nil {
			return landing.Landed{}, stream.Position{}, err
		}
	}
}

// decode gives the landed block of a record. Errors: record.ErrVersion, and
// record.ErrCorrupt for what is none.
func decode(rec *kgo.Record) (landing.Landed, error) {
	if !slices.ContainsFunc(rec.Headers, func(h kgo.RecordHeader) bool { return h.Key == headerKey }) {
		return landing.Landed{}, fmt.Errorf("no header %s: %w", headerKey, record.ErrCorrupt)
	}
	return landing.DecodeLanded(rec.Value)
}

// fetch waits for records or for what is wrong.
func (r *reader) fetch(ctx context.Context) error {
	fetches := r.client.PollFetches(ctx)
	if fetches.IsClientClosed() {
		return landing.ErrClosed
	}
	fetches.EachTopic(func(t kgo.FetchTopic) {
		if t.TopicID != ([16]byte{}) && idOf(t.TopicID) != r.l.id {
			r.err = fmt.Errorf("topic %s has the id %x, not %s: %w", t.Topic, t.TopicID, r.l.id, landing.ErrMismatch)
		}
	})
	if r.err != nil {
		return r.err
	}
	r.queued = fetches.Records()
	for _, e := range fetches.Errors() {
		if ctx.Err() != nil && errors.Is(e.Err, ctx.Err()) {
			if len(r.queued) > 0 {
				return nil
			}
			return e.Err
		}
		r.err = r.classify(e.Err)
	}
	return nil
}

// classify tells what a person must look at from what may pass.
func (r *reader) classify(err error) error {
	var lost *kgo.ErrDataLoss
	at := fmt.Sprintf("topic %s, partition %d, offset %d", r.l.cfg.Topic, r.partition, r.next)
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &lost):
		return fmt.Errorf("%s: %w: %w", at, landing.ErrCut, err)
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		return fmt.Errorf("%s: the topic was deleted or made again: %w: %w", at, landing.ErrMismatch, err)
	}
	return fmt.Errorf("%s: %w", at, notTheEnd(err))
}

// notTheEnd hides io.EOF in an error of a client: a connection has ended, and of a reader
// it would say that the log has.
func notTheEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New(err.Error())
	}
	return err
}

// Close implements landing.Reader.
func (r *reader) Close() error {
	r.l.mu.Lock()
	delete(r.l.readers, r)
	r.l.mu.Unlock()
	r.close.Do(r.client.Close)
	return nil
}
