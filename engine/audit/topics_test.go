package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/table"
)

// topicWorld is a cluster with messages as the Kafka sink writes them, made here
// by hand: the audit shares no code with the sink.
type topicWorld struct {
	t       *testing.T
	brokers []string
	client  *kgo.Client
}

func newTopicWorld(t *testing.T) *topicWorld {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "record", "ais_position", "loss", "conflict", "log"), kfake.SeedTopics(1, "markers"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	w := &topicWorld{t: t, brokers: c.ListenAddrs()}
	if w.client, err = kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.TransactionalID("t")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	return w
}

// write produces messages in one transaction.
func (w *topicWorld) write(commit kgo.TransactionEndTry, records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.client.EndTransaction(w.t.Context(), commit); err != nil {
		w.t.Fatal(err)
	}
}

func topicRow(name string, epoch, offset int, value string, rows string) *kgo.Record {
	r := &kgo.Record{Topic: name, Key: []byte(fmt.Sprint(offset)), Value: []byte(value)}
	for k, v := range map[string]string{"_table": name, "_gateway": "gw", "_log": strings.Repeat("a", 32), "_offset": fmt.Sprint(offset), "_task": "t-0000", "_epoch": fmt.Sprint(epoch)} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	if rows != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "_row", Value: []byte("0")}, kgo.RecordHeader{Key: "_rows", Value: []byte(rows)})
	}
	return r
}

func topicMarker(epoch int) *kgo.Record {
	return &kgo.Record{Topic: "markers", Key: []byte("t-0000"), Value: fmt.Appendf(nil, `{"format":1,"epoch":%d}`, epoch)}
}

// both gives the messages of a record with one position.
func both(epoch, offset int) []*kgo.Record {
	return []*kgo.Record{topicRow("record", epoch, offset, `{"kind":"ais","raw":""}`, "1"), topicRow("ais_position", epoch, offset, `{}`, "1")}
}

func (w *topicWorld) audit() *Result {
	w.t.Helper()
	return w.auditOf(table.Names()...)
}

// auditOf audits the topics of some tables.
func (w *topicWorld) auditOf(names ...table.Name) *Result {
	w.t.Helper()
	return w.auditBeside(nil, names...)
}

// auditBeside audits the topics of some tables, beside a lake.
func (w *topicWorld) auditBeside(lake *Result, names ...table.Name) *Result {
	w.t.Helper()
	topics := make(map[table.Name]string)
	for _, n := range names {
		topics[n] = string(n)
	}
	r, err := RunTopics(context.Background(), TopicsConfig{Client: []kgo.Opt{kgo.SeedBrokers(w.brokers...)}, Topics: topics, Markers: "markers", Name: "kafka", Lake: lake})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// TestTopicsAreCounted: what is there once is exact; aborted transactions do not
// count, nor does an epoch that no marker names yet while it is only newer.
func TestTopicsAreCounted(t *testing.T) {
	w := newTopicWorld(t)
	for epoch := 1; epoch <= 3; epoch++ {
		var records []*kgo.Record
		for i := range 10 {
			records = append(records, both(epoch, (epoch-1)*10+i)...)
		}
		w.write(kgo.TryAbort, append(records, topicMarker(epoch))...)
		w.write(kgo.TryCommit, append(records, topicMarker(epoch))...)
	}
	w.write(kgo.TryAbort, both(4, 30)...)
	r := w.audit()
	if !r.Exact || len(r.Logs) != 1 || r.Logs[0].Recorded != 30 || r.Logs[0].TypedFound != 30 || len(r.Tasks) != 1 || r.Tasks[0].Epoch != 3 {
		t.Fatalf("%+v", r)
	}
	lake := &Result{Exact: true, Tasks: r.Tasks, Logs: []Log{r.Logs[0]}}
	CompareTopics(lake, r)
	if !r.Exact {
		t.Fatalf("the same counts differ: %v", r.Problems)
	}
	lake.Logs[0].Rejected++
	if CompareTopics(lake, r); r.Exact || !strings.Contains(strings.Join(r.Problems, ""), "rejected 1 in the lake, 0 in Kafka") {
		t.Fatalf("other counts do not differ: %v", r.Problems)
	}
}

// TestTopicsOfSomeTables: where not every table goes to Kafka, what cannot be
// there is not missing, and what can be is.
func TestTopicsOfSomeTables(t *testing.T) {
	w := newTopicWorld(t)
	w.write(kgo.TryCommit, append(both(1, 0), topicMarker(1))...)
	lake := w.audit()
	lake.Logs[0].Conflicts = 1
	r := w.auditOf(table.Record, table.AISPosition)
	if CompareTopics(lake, r); !r.Exact || len(r.Notes) < 3 {
		t.Fatalf("%+v", r)
	}
	lake.Logs[0].Recorded++
	if CompareTopics(lake, r); r.Exact {
		t.Errorf("%+v", r)
	}
	r = w.audit()
	lake.Logs[0].Recorded, lake.Logs[0].TypedFound = r.Logs[0].Recorded, 2
	if CompareTopics(lake, r); r.Exact || !strings.Contains(r.Problems[0], "typed rows 2 in the lake, 1 in Kafka; conflicts 1 in the lake, 0 in Kafka") {
		t.Errorf("%+v", r)
	}
}

// TestTopicsFaultsAreFound: each thing that can be wrong with topics turns the
// audit inexact and says what.
func TestTopicsFaultsAreFound(t *testing.T) {
	good := func(upTo int) (all []*kgo.Record) {
		for i := range upTo {
			all = append(all, both(1, i)...)
		}
		return append(all, topicMarker(1))
	}
	for _, tc := range []struct {
		name string
		want string
		more func(all []*kgo.Record) []*kgo.Record
	}{
		{"a record twice", "duplicate", func(all []*kgo.Record) []*kgo.Record { return append(all, topicRow("record", 1, 3, `{}`, "1")) }},
		{"a record missing", "missing", func(all []*kgo.Record) []*kgo.Record { return append(all[:4], all[5:]...) }},
		{"a typed row missing", "typed", func(all []*kgo.Record) []*kgo.Record { return append(all[:5], all[6:]...) }},
		{"a typed row twice", "typed", func(all []*kgo.Record) []*kgo.Record { return append(all, topicRow("ais_position", 1, 3, `{}`, "1")) }},
		{"a typed row of another count", "typed", func(all []*kgo.Record) []*kgo.Record {
			all[5] = topicRow("ais_position", 1, 2, `{}`, "2")
			return all
		}},
		{"an epoch without a marker", "no marker names", func(all []*kgo.Record) []*kgo.Record { return append(all, both(2, 10)...) }},
		{"headers missing", "is not one of a row", func(all []*kgo.Record) []*kgo.Record {
			return append(all, &kgo.Record{Topic: "record", Value: []byte("{}")})
		}},
		{"a number that is none", "is not one of a row", func(all []*kgo.Record) []*kgo.Record {
			r := topicRow("record", 1, 10, "{}", "x")
			return append(all, r)
		}},
		{"no JSON", "is no JSON", func(all []*kgo.Record) []*kgo.Record { return append(all, topicRow("record", 1, 10, "{", "0")) }},
		{"loss", "loss", func(all []*kgo.Record) []*kgo.Record { return append(all, topicRow("loss", 1, 10, `{"count":5}`, "")) }},
		{"conflict", "conflict", func(all []*kgo.Record) []*kgo.Record { return append(all, topicRow("conflict", 1, 3, `{}`, "")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newTopicWorld(t)
			w.write(kgo.TryCommit, tc.more(good(10))...)
			r := w.audit()
			said := strings.Join(r.Problems, "\n")
			for _, l := range r.Logs {
				for what, n := range map[string]uint64{"duplicate": l.Duplicated, "missing": l.Missing, "typed": l.TypedWrong, "loss": l.InLoss, "conflict": l.Conflicts} {
					if n > 0 {
						said += " " + what
					}
				}
			}
			if r.Exact || !strings.Contains(said, tc.want) {
				t.Errorf("exact %t, said %q, want %q", r.Exact, said, tc.want)
			}
		})
	}
}

// TestTopicsKnowWhatIsSetAside: the offsets of a block in conflict with reason poison are
// not missing, its records count in the digest of the log, and it is named and never
// exact, as in a lake; also where the lake beside alone has the table conflict.
func TestTopicsKnowWhatIsSetAside(t *testing.T) {
	var b record.Builder
	log, err := record.ParseLogID(strings.Repeat("a", 32))
	check(t, err)
	d, sum := record.NewDigester(log), record.Digest(0)
	for i := range record.Offset(10) {
		raw := []byte(nil) // as both has it
		if i >= 4 && i < 7 {
			raw = fmt.Appendf(nil, "poison %d", i)
			check(t, b.Add(&record.Record{Kind: record.KindText, Raw: raw}))
		}
		sum += d.Record(i, raw)
	}
	block := base64.StdEncoding.EncodeToString(b.Seal(log, 4, record.Hash{9}))
	write := func(reason string, count int, block string) *topicWorld {
		w := newTopicWorld(t)
		var all []*kgo.Record
		for i := range 10 {
			if i < 4 || i >= 7 {
				all = append(all, both(1, i)...)
			}
		}
		row := topicRow("conflict", 1, 4, fmt.Sprintf(`{"count":%d,"reason":%q,"block":%q}`, count, reason, block), "")
		w.write(kgo.TryCommit, append(all, row, topicLog(1, 10, sum), topicMarker(1))...)
		return w
	}
	kinds := func(r *Result) (all []Kind) {
		for _, f := range r.Findings {
			all = append(all, f.Kind)
		}
		return all
	}
	w := write(reasonPoison, 3, block)
	r := w.audit()
	if l := r.Logs[0]; r.Exact || !slices.Equal(kinds(r), []Kind{KindSetAside}) || l.Missing != 0 || l.SetAside != 3 || l.Digest != sum.String() {
		t.Errorf("%+v\n%s", l, listFindings(r))
	}
	lake := &Result{Tasks: r.Tasks, Logs: r.Logs, aside: r.aside}
	names := slices.DeleteFunc(slices.Clone(table.Names()), func(n table.Name) bool { return n == table.Conflict })
	for _, lake := range []*Result{nil, lake} {
		r := w.auditBeside(lake, names...)
		want := KindMissing
		if lake != nil {
			want = KindSetAside
		}
		if r.Exact || !slices.Contains(kinds(r), want) || slices.Contains(kinds(r), KindMissing) != (lake == nil) {
			t.Errorf("without conflict, lake beside %v:\n%s", lake != nil, listFindings(r))
		}
	}
	for name, c := range map[string]struct {
		w    *topicWorld
		want Kind
	}{
		"no poison":     {write("hash", 3, block), KindMissing},
		"another count": {write(reasonPoison, 2, block), KindTopic},
		"no block":      {write(reasonPoison, 3, ""), KindTopic},
	} {
		if r := c.w.audit(); r.Exact || !slices.Contains(kinds(r), c.want) {
			t.Errorf("%s:\n%s", name, listFindings(r))
		}
	}
}

// topicLog is the message of one row of log.
func topicLog(epoch, next int, digest record.Digest) *kgo.Record {
	r := topicRow("log", epoch, 0, fmt.Sprintf(`{"next_offset":%d,"digest":"%s","closed":false,"epoch":%d}`, next, digest, epoch), "")
	r.Headers = slices.DeleteFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "_offset" })
	return r
}

// TestTopicsAreComparedWithTheDigest of the topic log.
func TestTopicsAreComparedWithTheDigest(t *testing.T) {
	id, err := record.ParseLogID(strings.Repeat("a", 32))
	if err != nil {
		t.Fatal(err)
	}
	d, sum := record.NewDigester(id), record.Digest(0)
	for i := range 10 {
		sum += d.Record(record.Offset(i), fmt.Appendf(nil, "line %d", i))
	}
	good := func() (all []*kgo.Record) {
		for i := range 10 {
			raw := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "line %d", i))
			all = append(all, topicRow("record", 1, i, fmt.Sprintf(`{"kind":"text","raw":%q}`, raw), "0"))
		}
		return all
	}
	loss := func(digest string) *kgo.Record {
		return topicRow("loss", 1, 10, fmt.Sprintf(`{"count":2,"digest":%s}`, digest), "")
	}
	for _, c := range []struct {
		name string
		more []*kgo.Record
		at   func(all []*kgo.Record)
		want Kind // empty: exact
	}{
		{"as captured", []*kgo.Record{topicLog(1, 10, sum)}, nil, ""},
		{"other bytes", []*kgo.Record{topicLog(1, 10, sum)}, func(all []*kgo.Record) { all[3].Value = []byte(`{"kind":"text","raw":"eA=="}`) }, KindDigest},
		{"another digest", []*kgo.Record{topicLog(1, 10, sum+1)}, nil, KindDigest},
		{"a tail that is not there", []*kgo.Record{topicLog(1, 12, sum)}, nil, KindMissing},
		{"a loss with its digest", []*kgo.Record{topicLog(1, 12, sum+5), loss(`"5"`)}, nil, KindLoss},
		{"a loss with another digest", []*kgo.Record{topicLog(1, 12, sum+5), loss(`"6"`)}, nil, KindDigest},
		{"no number", []*kgo.Record{topicRow("log", 1, 0, `{"next_offset":"x"}`, "")}, nil, KindTopic},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTopicWorld(t)
			all := append(good(), c.more...)
			if c.at != nil {
				c.at(all)
			}
			w.write(kgo.TryCommit, append(all, topicMarker(1))...)
			r := w.audit()
			if r.Exact != (c.want == "") || c.want != "" && !found(r, c.want) {
				t.Errorf("exact %v, want %q among %s", r.Exact, c.want, listFindings(r))
			}
			if digest := r.Logs[0].Digest; r.Exact && digest != sum.String() {
				t.Errorf("digest %q", digest)
			}
			lake := &Result{Tasks: r.Tasks, Logs: []Log{r.Logs[0]}}
			lake.Logs[0].Digest = "1"
			if CompareTopics(lake, r); c.want == "" && !found(r, KindTopic) {
				t.Error("another digest in the lake is not found")
			}
		})
	}
}

// TestTopicsOpening: a log's first message says how the log before it ended.
func TestTopicsOpening(t *testing.T) {
	w := newTopicWorld(t)
	prev, err := record.ParseLogID(strings.Repeat("a", 32))
	if err != nil {
		t.Fatal(err)
	}
	raw := record.Opening{Prev: prev, PrevEnd: 12}.Encode()
	opening := topicRow("record", 1, 0, fmt.Sprintf(`{"kind":"log_open","raw":%q}`, base64.StdEncoding.EncodeToString(raw)), "0")
	for i := range opening.Headers {
		if opening.Headers[i].Key == "_log" {
			opening.Headers[i].Value = []byte(strings.Repeat("b", 32))
		}
	}
	var all []*kgo.Record
	for i := range 10 {
		all = append(all, both(1, i)...)
	}
	w.write(kgo.TryCommit, append(all, opening, topicMarker(1))...)
	r := w.audit()
	if r.Exact || len(r.Logs) != 2 || !r.Logs[0].Closed || r.Logs[0].Missing != 2 {
		t.Errorf("%+v", r)
	}
}
