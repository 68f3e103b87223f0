package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/landing"
)

// A topic is the landing log of one lake: what that lake has published is
// deleted from it. Which lake that is stands in a topic of its own,
// LakesTopic, one partition, compacted: the first record there that names the
// landing topic's id decides. A lake that finds none appends its own and reads
// again:
//
//  1. read from the first offset to the high watermark. A registration is there:
//     go to 4.
//  2. append a registration under a key that no other has, so that compaction
//     removes none, and wait for its promise (all in-sync replicas).
//  3. read again, up to a high watermark taken after the promise, so that
//     the own registration and all before it are read.
//  4. the first one is this lake's: the log is opened. Another's: LakeError.
//
// Nothing is appended to the landing topic, read from it or deleted from it
// before 4, and a lake that is refused stays refused, because the first record stays the
// first: Kafka appends at the end, and what is acknowledged stays. Two lakes, A
// and B, that start at once, both find nothing in 1:
//
//	A 2, A 3 (reads A), B 2, B 3 (reads A, B): A has it, B is refused.
//	A 2, B 2 (behind A), then both 3 in any order: both read A first.
//	A's promise is not kept in time, A gives up; B 2, B 3 (reads B): B has it. If
//	A's record arrives now, it lies behind B's, and the next start of A is refused.
//	If it arrived before B's, B read it: A has it, and finds it at its next start.
//	A crashes between 2 and 4: as the line before; the cure is in LakeError.
//
// Engines of one lake register the same lake and are all first, whichever of
// their records is.
//
// A lake that moves to another landing log leaves the topic: it appends a mark, a
// registration of its own that says where it goes to, and nothing takes that back. An
// engine without a lake, an ingest, finds it (Left), and lands nothing more there.
//
// While the log is open the registration is read again every SettingsEvery. It is
// gone (somebody deleted the topic): registered again, by the same steps. It is
// another lake's: the log is not used any more. It cannot be read: nothing is
// released until it can.

// Lake names the lake that a landing log feeds.
type Lake struct {
	// ID is its identity: 32 hexadecimal digits. Empty: none; such a log
	// releases nothing.
	ID    string
	Place string // where it lies, for people
}

// LakesTopic is the topic that holds which lake a landing topic feeds.
func LakesTopic(topic string) string { return topic + "-lakes" }

// LakeError says that a topic is another lake's landing log. It is
// landing.ErrMismatch.
type LakeError struct {
	Topic string
	ID    landing.ID // of the topic
	Owner Lake
	Since string // when it was registered, RFC 3339
	Lake  Lake   // that was refused
}

// Error names both lakes and both ways out.
func (e *LakeError) Error() string {
	return fmt.Sprintf("topic %s with the id %s feeds the lake %s at %s since %s, and this is the lake %s at %s: it "+
		"would delete what that one has not read. "+
		"Give this lake a topic of its own. If the other lake is given up, stop its engines, delete the topic %s, "+
		"and start again",
		e.Topic, e.ID, e.Owner.ID, e.Owner.Place, e.Since, e.Lake.ID, e.Lake.Place, LakesTopic(e.Topic))
}

// Is makes errors.Is(err, landing.ErrMismatch) true.
func (e *LakeError) Is(target error) bool { return target == landing.ErrMismatch }

// registration is the value of one record of LakesTopic, as JSON:
//
//	{"format": 1, "topic": "<topic id>", "lake": "32 hex digits", "place": "s3://…", "at": "2026-01-31T12:00:00Z"}
//
// with "left": "where it went" in a mark, which earlier versions take for one more
// registration of the lake.
type registration struct {
	Format int        `json:"format"`
	Topic  landing.ID `json:"topic"`
	Lake   string     `json:"lake"`
	Place  string     `json:"place"`
	At     string     `json:"at"`
	Left   string     `json:"left,omitempty"`
}

// registrationFormat is the version that this package writes; it reads all up to
// it.
const registrationFormat = 1

// decodeRegistration reads a record's value. Errors: record.ErrVersion, and
// record.ErrCorrupt for what is none.
func decodeRegistration(data []byte) (registration, error) {
	var r registration
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%w registration of a lake: %w", record.ErrCorrupt, err)
	}
	if r.Format > registrationFormat {
		return r, fmt.Errorf("registration of a lake: %w: format %d, known up to %d", record.ErrVersion, r.Format,
			registrationFormat)
	}
	if r.Format < 1 || r.Topic == "" || r.Lake == "" {
		return r, fmt.Errorf("%w registration of a lake: format %d, topic %q, lake %q", record.ErrCorrupt, r.Format,
			r.Topic, r.Lake)
	}
	return r, nil
}

// registry is the topic of registrations as one lake sees it.
type registry struct {
	cfg   Config
	admin *kadm.Client
	id    landing.ID // of the landing topic
}

// register is steps 1 to 4. Errors: LakeError, TopicError, record.ErrVersion, those of
// the cluster.
func (r *registry) register(ctx context.Context) error {
	err := r.decide(ctx)
	if errors.Is(err, errUnregistered) {
		if err = r.write(ctx, ""); err == nil {
			err = r.decide(ctx)
		}
	}
	return r.rights(err)
}

// errUnregistered says that no lake is registered.
var errUnregistered = errors.New("no lake is registered for the topic")

// decide is steps 1 or 3, and 4: nil when the first registration is this lake's,
// errUnregistered when there is none, LakeError.
func (r *registry) decide(ctx context.Context) error {
	first, err := r.first(ctx)
	switch {
	case err != nil:
		return err
	case first == nil:
		return errUnregistered
	case first.Lake != r.cfg.Lake.ID:
		return &LakeError{Topic: r.cfg.Topic, ID: r.id, Owner: Lake{first.Lake, first.Place}, Since: first.At,
			Lake: r.cfg.Lake}
	}
	if first.Place != r.cfg.Lake.Place {
		r.cfg.Logger.Warn("the lake was registered at another place: if it lies there too, that is a copy of it, and "+
			"only one of the two may run",
			"topic", r.cfg.Topic, "lake", first.Lake, "registered", first.Place, "now", r.cfg.Lake.Place)
	}
	return nil
}

// first reads the registrations and returns the first of the landing topic's id,
// nil where there is none.
func (r *registry) first(ctx context.Context) (*registration, error) {
	spec := r.cfg.lakesSpec()
	detail, err := describe(ctx, r.admin, spec.name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(detail.Partitions) != spec.partitions {
		return nil, &TopicError{spec.name, spec.role, []string{fmt.Sprintf("it has %d partitions and must have one, "+
			"or no registration were the first (delete the topic: the engine makes it)", len(detail.Partitions))}}
	}
	if err := checkTopic(ctx, r.admin, r.cfg, spec, detail); err != nil {
		return nil, err
	}
	start, err := endOf(ctx, r.admin.ListStartOffsets, spec.name, 0)
	if err != nil {
		return nil, err
	}
	end, err := endOf(ctx, r.admin.ListEndOffsets, spec.name, 0)
	if err != nil {
		return nil, err
	}
	var first *registration
	err = r.scan(ctx, spec.name, start, end, func(reg *registration) bool { first = reg; return false })
	return first, err
}

// scan reads the registrations of the landing topic's id from start to end, until each
// says false.
func (r *registry) scan(ctx context.Context, topic string, start, end int64, each func(*registration) bool) error {
	if start >= end {
		return nil
	}
	client, err := kgo.NewClient(r.cfg.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(start)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.KeepControlRecords(), kgo.FetchMaxWait(250*time.Millisecond),
	)...)
	if err != nil {
		return fmt.Errorf("read topic %s: %w", topic, err)
	}
	defer client.Close()
	for next := start; next < end; { // the last record of a topic is never compacted away
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		for _, rec := range fetches.Records() {
			next = rec.Offset + 1
			if rec.Attrs.IsControl() {
				continue
			}
			reg, err := decodeRegistration(rec.Value)
			switch {
			case errors.Is(err, record.ErrVersion):
				return fmt.Errorf("read topic %s, offset %d: %w", topic, rec.Offset, err)
			case err != nil:
				r.cfg.Logger.Error("a record is no registration of a lake: passed over", "topic", topic, "offset",
					rec.Offset, "error", err)
			case reg.Topic == r.id && !each(&reg):
				return nil
			}
		}
	}
	return nil
}

// write is step 2, or says that the lake has left the topic; it makes the register if it
// is absent.
func (r *registry) write(ctx context.Context, left string) error {
	spec := r.cfg.lakesSpec()
	if _, err := describe(ctx, r.admin, spec.name); errors.Is(err, kerr.UnknownTopicOrPartition) {
		if _, err := makeTopic(ctx, r.admin, r.cfg, spec); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	value, err := json.Marshal(registration{registrationFormat, r.id, r.cfg.Lake.ID, r.cfg.Lake.Place,
		time.Now().UTC().Format(time.RFC3339), left})
	if err != nil {
		return err
	}
	p, err := r.cfg.newProducer()
	if err != nil {
		return err
	}
	defer p.client.Close()
	var nonce [8]byte
	_, _ = rand.Read(nonce[:]) // never fails: the runtime ends the process instead
	key := bytes.Join([][]byte{[]byte(r.id), []byte(r.cfg.Lake.ID), []byte(hex.EncodeToString(nonce[:]))}, []byte("/"))
	if err := p.client.ProduceSync(ctx, &kgo.Record{Topic: spec.name, Key: key, Value: value}).FirstErr(); err != nil {
		return fmt.Errorf("register the lake in topic %s: %w", spec.name, err)
	}
	said := "registered the lake that the topic feeds"
	if left != "" {
		said = "noted that the lake has left the topic"
	}
	r.cfg.Logger.Info(said, "topic", r.cfg.Topic, "lake", r.cfg.Lake.ID, "place",
		r.cfg.Lake.Place, "in", spec.name)
	return nil
}

// rights adds to a refusal of the brokers which rights are needed.
func (r *registry) rights(err error) error {
	if !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return err
	}
	topic := LakesTopic(r.cfg.Topic)
	return fmt.Errorf("%w: %w; an engine with tasks needs the rights Create, Describe, DescribeConfigs, Read and "+
		"Write on the topic %s, in which it registers its lake", ErrRights, err, topic)
}

// ErrRights says that the brokers do not let this engine do what it has to.
var ErrRights = errors.New("a right is missing")
