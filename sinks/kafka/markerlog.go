package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"landfall/engine/stream"
)

// markerLog is how far a process has read the markers of one task.
type markerLog struct {
	task string
	id   kadm.TopicID     // of the topic; another id is another topic
	next int64            // the next offset to read
	open map[int64][]byte // the task's newest marker of a producer whose transaction is undecided
	last *marker          // the newest one that is committed; nil: none
}

// readMarker is step 2: it reads on to the high watermark and gives the newest
// committed marker of the task, nil if there is none. Only what was written
// before the fence matters, and all of it was decided before the fence
// returned.
func (s *Sink) readMarker(ctx context.Context, w *writer, o *output) (*marker, error) {
	key := transactionalID(o)
	l, ok := s.logs[key]
	if !ok {
		l = &markerLog{task: o.task, open: make(map[int64][]byte)}
		s.logs[key] = l
	}
	if err := l.read(ctx, w.client, o.markers); err != nil {
		return nil, fmt.Errorf("read markers in %s: %w", o.markers, err)
	}
	return l.last, nil
}

// read reads up to the high watermark as it is now.
func (l *markerLog) read(ctx context.Context, client *kgo.Client, topic string) error {
	admin := kadm.NewClient(client)
	detail, err := describe(ctx, client, topic)
	if err != nil {
		return err
	}
	if detail == nil || len(detail.Partitions) != 1 {
		return errors.New("want a topic with one partition")
	}
	if l.id != (kadm.TopicID{}) && l.id != detail.TopicID {
		return fmt.Errorf("%w: the topic was made anew, its markers are gone", stream.ErrContent)
	}
	l.id = detail.TopicID
	ends, err := admin.ListEndOffsets(ctx, topic) // not only of committed messages: the high watermark
	if err != nil {
		return err
	}
	end, ok := ends.Lookup(topic, 0)
	if !ok || end.Err != nil {
		return errors.Join(errors.New("no high watermark"), end.Err)
	}
	if end.Offset < l.next {
		return fmt.Errorf("%w: the topic ends at %d and was read up to %d: it lost markers", stream.ErrContent, end.Offset, l.next)
	}
	if l.next == 0 {
		if l.next, err = start(ctx, admin, topic); err != nil {
			return err
		}
	}
	broker := client.Broker(int(detail.Partitions[0].Leader))
	for l.next < end.Offset {
		if err := l.fetch(ctx, broker, topic, end.Offset); err != nil {
			return err
		}
	}
	if len(l.open) > 0 {
		return errors.New("a marker of the task is undecided though its writer was fenced")
	}
	return nil
}

// start is the first offset of the topic.
func start(ctx context.Context, admin *kadm.Client, topic string) (int64, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	first, ok := starts.Lookup(topic, 0)
	if !ok || first.Err != nil {
		return 0, errors.Join(errors.New("no first offset"), first.Err)
	}
	return first.Offset, nil
}

// The bounds of one fetch of markers.
const (
	fetchBytes = 4 << 20
	fetchWait  = 500 // milliseconds
)

// fetch reads one piece of the topic, undecided messages and control records
// too.
func (l *markerLog) fetch(ctx context.Context, broker *kgo.Broker, topic string, end int64) error {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = fetchWait, 1, fetchBytes
	req.SessionEpoch = -1 // no session
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = l.next, fetchBytes
	of := kmsg.NewFetchRequestTopic()
	of.Topic, of.TopicID, of.Partitions = topic, l.id, []kmsg.FetchRequestTopicPartition{part}
	req.Topics = append(req.Topics, of)
	answer, err := broker.RetriableRequest(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return errors.New("the broker answered a fetch without the partition")
	}
	got := &resp.Topics[0].Partitions[0]
	fetched, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: l.next, IsolationLevel: kgo.ReadUncommitted(), Topic: topic,
	}, got, kgo.DefaultDecompressor(), nil)
	if fetched.Err != nil {
		return fetched.Err
	}
	for _, r := range fetched.Records {
		if err := l.take(r); err != nil {
			return err
		}
	}
	if next == l.next && len(got.RecordBatches) == 0 && got.HighWatermark >= end {
		next = end // compaction left nothing up to there
	}
	l.next = next
	return nil
}

// controlCommit is the type of a control record that commits; 0 aborts.
const controlCommit = 1

// take accounts for one record of the topic.
func (l *markerLog) take(r *kgo.Record) error {
	if r.Attrs.IsControl() {
		value, ok := l.open[r.ProducerID]
		delete(l.open, r.ProducerID)
		if !ok || len(r.Key) < 4 || binary.BigEndian.Uint16(r.Key[2:]) != controlCommit {
			return nil
		}
		m, err := decodeMarker(l.task, value)
		if err != nil {
			return err
		}
		if l.last != nil && m.Epoch <= l.last.Epoch {
			return fmt.Errorf("%w: the marker of epoch %s follows that of epoch %s", stream.ErrContent, m.Epoch, l.last.Epoch)
		}
		m.remember(l.last)
		l.last = m
		return nil
	}
	if string(r.Key) != l.task {
		return nil
	}
	if !r.Attrs.IsTransactional() {
		return fmt.Errorf("%w: the marker at %d was written outside of a transaction", stream.ErrContent, r.Offset)
	}
	l.open[r.ProducerID] = r.Value
	return nil
}
