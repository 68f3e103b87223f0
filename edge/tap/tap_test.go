package tap

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"landfall/edge/record"
)

// numbers offers the numbers of a range.
func numbers(f *Feed, from, to int) {
	f.Offer(func(_ url.Values, emit func(func() any)) {
		for i := from; i < to; i++ {
			emit(func() any { return i })
		}
	})
}

// TestASlowListenerHoldsNobodyUpAndIsTold: everything offered was either given or
// counted, in its place.
func TestASlowListenerHoldsNobodyUpAndIsTold(t *testing.T) {
	var f Feed
	numbers(&f, 0, 10) // nobody listens
	l := &listener{queue: make(chan waiting, 3)}
	leave := f.listen(l)
	numbers(&f, 0, 5)
	if got := f.settle(l); got != nil {
		t.Errorf("settled before what was kept is given: %v", got)
	}
	if a, b, c := (<-l.queue).object, (<-l.queue).object, (<-l.queue).object; a != 0 || b != 1 || c != 2 {
		t.Errorf("got %v %v %v", a, b, c)
	}
	numbers(&f, 5, 6) // there is room, and the count was not told yet
	if got := f.settle(l); got != (Missed{3}) {
		t.Errorf("got %v", got)
	}
	if got := f.settle(l); got != nil {
		t.Errorf("told twice: %v", got)
	}
	numbers(&f, 6, 7)
	if got := (<-l.queue).object; got != 6 {
		t.Errorf("got %v", got)
	}
	leave()
	numbers(&f, 7, 8)
	if f.Wanted() || len(l.queue) != 0 {
		t.Error("somebody who left is given more")
	}
}

// TestASlowListenerIsBoundedInBytes: of large objects few wait for a listener that does
// not read, whatever they are made of, and it is told what it missed.
func TestASlowListenerIsBoundedInBytes(t *testing.T) {
	large := bytes.Repeat([]byte{'x'}, 100<<10)
	for name, build := range map[string]func() any{
		"a record":         func() any { r := &Record{}; r.SetRaw(large); return r },
		"bytes, no text":   func() any { r := &Record{}; r.SetRaw(bytes.Repeat([]byte{0xff}, 50<<10)); return r },
		"a field of a map": func() any { return map[string]any{"a": []any{string(large)}} },
	} {
		var f Feed
		l := &listener{queue: make(chan waiting, room)}
		leave := f.listen(l)
		const offered = 1000
		f.Offer(func(_ url.Values, emit func(func() any)) {
			for range offered {
				emit(build)
			}
		})
		kept := len(l.queue)
		if kept < 2 || kept > roomBytes/(100<<10)+1 || l.missed != uint64(offered-kept) {
			t.Errorf("%s: %d wait, %d are missed", name, kept, l.missed)
		}
		leave()
	}
	// What was read makes room again.
	var f Feed
	server := httptest.NewServer(&f)
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 * roomBytes / len(large) {
		f.Offer(func(_ url.Values, emit func(func() any)) {
			emit(func() any { return Record{Offset: uint64(i), Raw: string(large)} })
		})
		var r Record
		line, err := lines.ReadBytes('\n')
		if err != nil || json.Unmarshal(line, &r) != nil || r.Offset != uint64(i) || r.Raw == "" {
			t.Fatalf("object %d: %.80q, %v", i, line, err)
		}
	}
}

func TestAFeedOverHTTP(t *testing.T) {
	var f Feed
	server := httptest.NewServer(&f)
	defer server.Close()
	resp, err := http.Get(server.URL + "?source=a")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var asked string
	f.Offer(func(q url.Values, emit func(func() any)) {
		asked = q.Get("source")
		emit(func() any { return Record{Offset: 7} })
	})
	line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
	var r Record
	if err != nil || json.Unmarshal(line, &r) != nil || r.Offset != 7 || asked != "a" {
		t.Errorf("%q, %v, asked %q", line, err, asked)
	}
}

func TestBytesThatAreNoTextAreKept(t *testing.T) {
	var r Record
	r.SetRaw([]byte("ok"))
	if r.Raw != "ok" || r.RawBase64 != "" {
		t.Errorf("%+v", r)
	}
	r.SetRaw([]byte{0xff, 'a'})
	if got, err := base64.StdEncoding.DecodeString(r.RawBase64); err != nil || string(got) != "\xffa" {
		t.Errorf("%+v", r)
	}
}

// block seals records of two sources, the opening first.
func block(t *testing.T) *record.Block {
	t.Helper()
	var b record.Builder
	for _, r := range []record.Record{
		{Kind: record.KindLogOpen, Raw: []byte{1}, ReceivedAt: 1},
		{Kind: record.KindText, Raw: []byte("noise"), ReceivedAt: 2, EventTime: 2, TimeSource: record.TimeReceipt},
		{Kind: record.KindAIS, Raw: []byte("!AIVDM,1,1,,A,12vg26U000PkElVPnQqM:bSn2L0i,0*00"), ReceivedAt: 3, EventTime: 2, TimeSource: record.TimeTag, Source: 1},
		{Kind: record.KindAIS, Raw: []byte("!AIVDM,1,1,,A,12vg26U000PkElVPnQqM:bSn2L0i,0*01"), ReceivedAt: 4, Source: 1, Flags: record.FlagBadChecksum},
	} {
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"roof", "mast"} {
		if err := b.Annotate(record.SourceName{Source: uint32(i), Name: name}.Annotation()); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := record.Parse(b.Seal(record.LogID{1}, 0, record.Hash{}))
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func TestRecordsOfABlock(t *testing.T) {
	var got []Record
	err := Block(Record{Stage: "captured", Gateway: "pier"}, block(t), 0, func(r *Record) error {
		got = append(got, *r)
		return nil
	})
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %+v", err, got)
	}
	for i, want := range []Record{
		{Offset: 1, Kind: "text", Source: "roof", Reject: "no_sentence", TimeSource: "receipt", EventTime: "1970-01-01T00:00:00.000002Z"},
		{Offset: 2, Kind: "ais", Source: "mast", TimeSource: "tag", EventTime: "1970-01-01T00:00:00.000002Z"},
		{Offset: 3, Kind: "ais", Source: "mast", Reject: "bad_checksum", TimeSource: "none", Flags: "bad_checksum"},
	} {
		r := got[i]
		if r.Offset != want.Offset || r.Kind != want.Kind || r.Source != want.Source || r.Reject != want.Reject || r.TimeSource != want.TimeSource ||
			r.EventTime != want.EventTime || r.Flags != want.Flags || r.Stage != "captured" || r.Gateway != "pier" || r.Log != (record.LogID{1}).String() {
			t.Errorf("got %+v\nwant %+v", r, want)
		}
	}
	full := errors.New("full")
	if err := Block(Record{}, block(t), 2, func(r *Record) error {
		if r.Offset < 2 {
			t.Errorf("shows offset %d", r.Offset)
		}
		return full
	}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestWhyAFragmentIsAlone: tap says of a fragment what the engine will say.
func TestWhyAFragmentIsAlone(t *testing.T) {
	for flags, want := range map[record.Flags]string{
		0: "incomplete", record.FlagPrefix: "incomplete", record.FlagCrowded: "crowded",
		record.FlagBadChecksum: "bad_checksum", record.FlagNoChecksum | record.FlagCrowded: "no_checksum",
	} {
		if got := Reject(&record.Record{Kind: record.KindFragment, Flags: flags}); got != want {
			t.Errorf("%s: %q, want %q", flags, got, want)
		}
	}
}
