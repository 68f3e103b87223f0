package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/engine/table"
)

// TopicsConfig says which Kafka topics to audit.
type TopicsConfig struct {
	// Client are the options of every client: brokers, TLS, SASL. Required.
	Client []kgo.Opt
	// Topics are those of the tables that go to Kafka. Required.
	Topics map[table.Name]string
	// Markers is the topic of the markers. Required.
	Markers string
	// Name is what the result calls them.
	Name string
	// Lake is the result of the lake beside, which tells what is set aside where the
	// table conflict does not go to Kafka; nil: such offsets are missing there then.
	Lake *Result
}

// Validate names the field that is wrong.
func (c *TopicsConfig) Validate() error {
	if len(c.Client) == 0 || len(c.Topics) == 0 || c.Markers == "" {
		return errors.New("audit: Client, Topics and Markers are required")
	}
	if c.Topics[table.Record] == "" {
		return errors.New("audit: the table record does not go to Kafka: without it nothing can be proved there")
	}
	return nil
}

// RunTopics audits Kafka topics as a reader of committed messages sees them, in
// the memory that a lake takes. Steps:
//
//  1. read the markers: the newest published epoch of each task;
//  2. take the high watermark of every partition, and read every committed
//     message below it. What 1 names lies below, and is decided when it is
//     reached, so that the audit may run beside the engine;
//  3. read the markers again: a row of an epoch beyond them is a Problem; one
//     that was published meanwhile is left out.
//
// An error says that the audit could not be made.
func RunTopics(ctx context.Context, c TopicsConfig) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	a := &topicAudit{
		audit:  newAudit(Config{Lake: c.Name}),
		config: c, newer: make(map[string]uint64), newerRows: make(map[string]int),
	}
	a.topics = true
	if err := a.run(ctx); err != nil {
		return nil, fmt.Errorf("audit %s: %w", c.Name, err)
	}
	return a.result, nil
}

// topicAudit is one run.
type topicAudit struct {
	*audit
	config    TopicsConfig
	published map[string]uint64 // by task: the newest epoch that is judged
	newer     map[string]uint64 // by task: the newest epoch beyond it that was seen
	newerRows map[string]int
	untyped   bool // not all tables of typed rows go to Kafka
}

func (a *topicAudit) run(ctx context.Context) error {
	client, err := kgo.NewClient(a.config.Client...)
	if err != nil {
		return err
	}
	defer client.Close()
	if a.published, err = a.markers(ctx, client); err != nil {
		return err
	}
	for _, name := range table.TypedNames() {
		a.untyped = a.untyped || a.config.Topics[name] == ""
	}
	for _, name := range slices.Sorted(maps.Keys(a.config.Topics)) {
		if err := a.read(ctx, client, a.config.Topics[name], func(r *kgo.Record) { a.row(name, r) }); err != nil {
			return fmt.Errorf("read %s: %w", a.config.Topics[name], err)
		}
	}
	after, err := a.markers(ctx, client)
	if err != nil {
		return err
	}
	for _, task := range slices.Sorted(maps.Keys(a.newer)) {
		if a.newer[task] > after[task] {
			a.wrong("%d rows are of epochs of %s up to %d that no marker names; its marker is at %d", a.newerRows[task], task, a.newer[task], after[task])
		}
	}
	for _, task := range slices.Sorted(maps.Keys(a.published)) {
		a.result.Tasks = append(a.result.Tasks, Task{Task: task, Epoch: a.published[task]})
	}
	a.result.untold = a.untold()
	if a.untyped {
		a.note("not all tables go to Kafka: typed rows are not compared with what their records declare")
		for _, l := range a.logs {
			for _, c := range l.chunks {
				c.expected, c.found = sum{}, sum{}
			}
		}
	}
	a.asideByLake()
	a.anchorByRows()
	a.result.NotChecked = append(a.result.NotChecked, "the messages beside their headers, and beside raw of those logs whose digest the topic log tells")
	a.conclude()
	return nil
}

// untold names the counts whose tables do not go to Kafka, and notes what that
// means.
func (a *topicAudit) untold() []string {
	var names []string
	if a.untyped {
		names = append(names, typedRows)
	}
	if a.config.Topics[table.Loss] == "" {
		names = append(names, lossOffsets)
		a.note("the table loss does not go to Kafka: what was shed or lost counts as missing there")
	}
	if a.config.Topics[table.Log] == "" {
		a.note("the table log does not go to Kafka: how far each log has to be there, and with which bytes, is not known there")
	}
	if a.config.Topics[table.Conflict] == "" {
		names = append(names, conflictRows)
		a.note("the table conflict does not go to Kafka: what contradicts is told by the lake alone")
	}
	return names
}

// wrong takes a finding about topics.
func (a *topicAudit) wrong(format string, args ...any) {
	a.find(Finding{Kind: KindTopic, Detail: fmt.Sprintf(format, args...)})
}

// markers gives the newest committed epoch of each task.
func (a *topicAudit) markers(ctx context.Context, client *kgo.Client) (map[string]uint64, error) {
	epochs := make(map[string]uint64)
	err := a.read(ctx, client, a.config.Markers, func(r *kgo.Record) {
		var m struct {
			Epoch uint64 `json:"epoch"`
		}
		if err := json.Unmarshal(r.Value, &m); err != nil {
			a.wrong("the marker at %d of %s cannot be read: %v", r.Offset, a.config.Markers, err)
			return
		}
		epochs[string(r.Key)] = m.Epoch
	})
	if err == nil && len(epochs) == 0 {
		err = errors.New("no epoch is published")
	}
	if err != nil {
		return nil, fmt.Errorf("read markers in %s: %w", a.config.Markers, err)
	}
	return epochs, nil
}

// row takes one message into account.
func (a *topicAudit) row(name table.Name, r *kgo.Record) {
	a.result.Files++
	h, err := parseHeaders(r)
	if err != nil || h.table != string(name) {
		a.wrong("the message at %d of partition %d of %s is not one of a row of %s: %v", r.Offset, r.Partition, r.Topic, name, err)
		return
	}
	if h.epoch > a.published[h.task] {
		a.newer[h.task] = max(a.newer[h.task], h.epoch)
		a.newerRows[h.task]++
		return
	}
	l := a.log(logKey{h.gateway, h.log})
	switch name {
	case table.Record:
		a.recordRow(l, h, r)
	case table.Loss:
		a.lossRow(l, h, r)
	case table.Conflict:
		a.conflictRow(l, h, r)
	case table.Log:
		a.logRow(l, h, r)
	case table.Window, table.Late:
		l.chunk(h.offset).derive(h.offset % chunkSize)
	default:
		l.chunk(h.offset).found.add(a.key.row(h.offset, h.row, h.rows))
	}
}

// read gives take every committed message of a topic below its high watermarks.
// A topic that is absent has none.
func (a *topicAudit) read(ctx context.Context, client *kgo.Client, topic string, take func(*kgo.Record)) error {
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := make(map[int32]int64)
	from := make(map[int32]kgo.Offset)
	for partition, end := range ends[topic] {
		if errors.Is(end.Err, kerr.UnknownTopicOrPartition) && partition < 0 {
			return nil
		}
		start, ok := starts.Lookup(topic, partition)
		if err := errors.Join(end.Err, start.Err); err != nil || !ok {
			return errors.Join(fmt.Errorf("partition %d has no bounds", partition), err)
		}
		if start.Offset > 0 && topic != a.config.Markers {
			a.note("partition %d of %s begins at %d: what lay before was deleted", partition, topic, start.Offset)
		}
		if end.Offset > start.Offset {
			left[partition], from[partition] = end.Offset, kgo.NewOffset().At(start.Offset)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return a.consume(ctx, topic, from, left, take)
}

// consume reads each partition up to what is left of it.
func (a *topicAudit) consume(ctx context.Context, topic string, from map[int32]kgo.Offset, left map[int32]int64, take func(*kgo.Record)) error {
	// Control records are kept, because they tell how far a partition is read
	// where a transaction was aborted.
	options := append(slices.Clone(a.config.Client), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(2<<20), kgo.MaxConcurrentFetches(2))
	consumer, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer consumer.Close()
	for len(left) > 0 {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, reading := left[r.Partition]
			if reading && !r.Attrs.IsControl() && r.Offset < end {
				take(r)
			}
			if reading && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
	}
	return nil
}

// Names of counts.
const (
	typedRows    = "typed rows"
	lossOffsets  = "loss"
	conflictRows = "conflicts"
)

// CompareTopics adds what differs between a lake and topics to the topics'
// result: for every log the same counts, where both were judged up to the same
// epochs, but for those whose tables do not go to Kafka.
func CompareTopics(lake, topics *Result) {
	differ := func(format string, args ...any) {
		f := Finding{Kind: KindTopic, Detail: fmt.Sprintf(format, args...)}
		topics.Problems, topics.Findings, topics.Exact = append(topics.Problems, f.Detail), append(topics.Findings, f), false
	}
	at := make(map[string]uint64)
	for _, t := range topics.Tasks {
		at[t.Task] = t.Epoch
	}
	for _, t := range lake.Tasks {
		// An epoch without rows has no marker.
		if at[t.Task] != t.Epoch {
			topics.Notes = append(topics.Notes, fmt.Sprintf("task %s is published up to epoch %d in Kafka and judged up to epoch %d in the lake", t.Task, at[t.Task], t.Epoch))
		}
	}
	there := make(map[string]Log)
	for _, l := range topics.Logs {
		there[l.Gateway+"/"+l.Log] = l
	}
	for _, l := range lake.Logs {
		k, ok := there[l.Gateway+"/"+l.Log]
		if !ok {
			differ("log %s of %s is in the lake and not in Kafka", l.Log, l.Gateway)
			continue
		}
		delete(there, l.Gateway+"/"+l.Log)
		var what []string
		for _, c := range []struct {
			name        string
			lake, kafka uint64
		}{
			{"recorded", l.Recorded, k.Recorded}, {"rejected", l.Rejected, k.Rejected}, {lossOffsets, l.InLoss, k.InLoss},
			{typedRows, l.TypedFound, k.TypedFound}, {conflictRows, l.Conflicts, k.Conflicts},
		} {
			if c.lake != c.kafka && !slices.Contains(topics.untold, c.name) {
				what = append(what, fmt.Sprintf("%s %d in the lake, %d in Kafka", c.name, c.lake, c.kafka))
			}
		}
		if l.Digest != "" && k.Digest != "" && l.Next == k.Next && l.Digest != k.Digest {
			what = append(what, fmt.Sprintf("digest %s in the lake, %s in Kafka", l.Digest, k.Digest))
		}
		if len(what) > 0 {
			differ("log %s of %s: %s", l.Log, l.Gateway, strings.Join(what, "; "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		differ("log %s is in Kafka and not in the lake", name)
	}
}
