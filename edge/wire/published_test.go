package wire

import (
	"bytes"
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

// answered returns an answer to testHeader, changed.
func answered(change func(*Answer)) Answer {
	a := Answer{
		Gateway: testHeader.Gateway, Log: testHeader.Log, Request: testHeader.Request,
		Known: true, Acked: 120, Hash: record.Hash{5}, LandedAt: 99,
	}
	change(&a)
	return a
}

var testTip = LedgerTip{Task: "0f3a-0002", Number: 7, SHA256: strings.Repeat("0a", 32)}

// tellings are answers of every kind that says what is published.
func tellings() map[string]Answer {
	return map[string]Answer{
		"answer-v1":         answered(func(*Answer) {}),
		"answer-v1-landing": answered(func(a *Answer) { a.Landing = "5f-0123456789abc" }),
		"answer-v1-published": answered(func(a *Answer) {
			a.Publishes, a.PublishedKnown, a.AgainIn = true, true, 5*time.Minute
			a.Published = Published{Next: 100, Hash: record.Hash{6}, Ledger: testTip}
		}),
		"answer-v1-lake": answered(func(a *Answer) { a.Publishes, a.Lake = true, "1a2b3c4d5e6f-789" }),
		"answer-v1-newest": answered(func(a *Answer) {
			a.Known, a.Acked, a.Hash, a.Newest = false, 0, record.Hash{}, HeldLog{Log: record.LogID{7}, Next: 130}
		}),
		"answer-v1-published-nothing": answered(func(a *Answer) { a.Publishes, a.PublishedKnown = true, true }),
		"answer-v1-published-unknown": answered(func(a *Answer) {
			a.Publishes, a.AgainIn, a.Known, a.Acked, a.Hash, a.Code = true, MaxAgainIn, false, 0, record.Hash{}, CodeBusy
		}),
	}
}

// TestFrozenAnswers: the bytes of an answer stay as they were, those without
// `published` too, and are read as what they were made from.
func TestFrozenAnswers(t *testing.T) {
	for name, a := range tellings() {
		path := filepath.Join("testdata", "formats", name+".json")
		p, err := os.ReadFile(path)
		if os.IsNotExist(err) && *writeFormats {
			p = a.Encode()
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.WriteFile(path, p, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, a.Encode()) {
			t.Errorf("%s: this version writes %s", name, a.Encode())
		}
		if got, err := DecodeAnswer(a.Code.Status(), AnswerType, p, testHeader); err != nil || got != a {
			t.Errorf("%s: read as %+v, %v", name, got, err)
		}
	}
}

// TestBoundsOfPublished: what an answer says of the lake is checked whole, and
// nothing of an answer that fails is believed.
func TestBoundsOfPublished(t *testing.T) {
	body := string(tellings()["answer-v1-published"].Encode())
	for name, c := range map[string]struct{ old, new string }{
		"more than acknowledged": {`"next":100`, `"next":121`},
		"negative next":          {`"next":100`, `"next":-1`},
		"hash of 31":             {`"hash":"0600`, `"hash":"060`},
		"hash without next":      {`"next":100,`, ``},
		"again_in negative":      {`"again_in":300`, `"again_in":-1`},
		"again_in of two days":   {`"again_in":300`, `"again_in":172800`},
		"again_in in words":      {`"again_in":300`, `"again_in":"soon"`},
		"no object":              {`"published":{`, `"published":7,"x":{`},
		"no task":                {testTip.Task, ``},
		"task with a slash":      {testTip.Task, `a/b`},
		"task too long":          {testTip.Task, strings.Repeat("a", MaxTaskBytes+1)},
		"entry 0":                {`"number":7`, `"number":0`},
		"sha256 of 63":           {`"sha256":"0`, `"sha256":"`},
		"sha256 in capitals":     {testTip.SHA256, strings.ToUpper(testTip.SHA256)},
		"sha256 of other signs":  {testTip.SHA256, strings.Repeat("zz", 32)},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(body, c.old, c.new, 1)
			if changed == body {
				t.Fatal("nothing was changed")
			}
			if a, err := DecodeAnswer(200, AnswerType, []byte(changed), testHeader); !errors.Is(err, ErrNotAnswer) || a != (Answer{}) {
				t.Fatalf("%+v, %v", a, err)
			}
		})
	}
	longest := strings.Replace(body, testTip.Task, strings.Repeat("z", MaxTaskBytes), 1)
	if _, err := DecodeAnswer(200, AnswerType, []byte(longest), testHeader); err != nil {
		t.Error("a task of the longest name:", err)
	}
	alone := strings.Replace(strings.Replace(body, `"next":100,`, ``, 1), `,"ledger":`, `,"of_tomorrow":`, 1)
	if a, err := DecodeAnswer(200, AnswerType, []byte(strings.Replace(alone, `"hash":"06`, `"x":"06`, 1)), testHeader); err != nil || !a.Publishes || a.PublishedKnown {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestNewestIsChecked: the newest log of a gateway is another one than that of the
// question, or the answer is not believed.
func TestNewestIsChecked(t *testing.T) {
	body := tellings()["answer-v1-newest"].Encode()
	for _, bad := range []string{"", "0", strings.Repeat("0", 32), testHeader.Log.String()} {
		p := bytes.Replace(body, []byte("07000000000000000000000000000000"), []byte(bad), 1)
		if got, err := DecodeAnswer(200, AnswerType, p, testHeader); !errors.Is(err, ErrNotAnswer) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

// TestBoundsOfNames: the names of a landing log and of a lake are bounded, by both
// ends.
func TestBoundsOfNames(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("a", MaxLandingBytes+1), strings.Repeat("a", MaxLakeBytes+1), "A", "a b", "a/b"} {
		a := answered(func(a *Answer) { a.Landing, a.Lake, a.Publishes = name, name, true })
		if got, err := DecodeAnswer(200, AnswerType, a.Encode(), testHeader); err != nil || got.Landing != "" || got.Lake != "" {
			t.Errorf("%q was written: %+v, %v", name, got, err)
		}
		for of, was := range map[string]string{"answer-v1-landing": "5f-0123456789abc", "answer-v1-lake": "1a2b3c4d5e6f-789"} {
			body := bytes.Replace(tellings()[of].Encode(), []byte(was), []byte(name), 1)
			if got, err := DecodeAnswer(200, AnswerType, body, testHeader); name != "" && !errors.Is(err, ErrNotAnswer) {
				t.Errorf("%s: %q was read: %+v, %v", of, name, got, err)
			}
		}
	}
}

// TestEncodeKeepsTheBounds: an ingest never writes what no gateway would take.
func TestEncodeKeepsTheBounds(t *testing.T) {
	for name, tip := range map[string]LedgerTip{
		"no task": {Number: 1, SHA256: testTip.SHA256}, "bad sha256": {Task: "a", Number: 1, SHA256: "x"}, "entry 0": {Task: "a", SHA256: testTip.SHA256},
	} {
		a := answered(func(a *Answer) {
			a.Publishes, a.PublishedKnown, a.AgainIn = true, true, 90*time.Hour
			a.Published = Published{Next: 1, Ledger: tip}
		})
		got, err := DecodeAnswer(200, AnswerType, a.Encode(), testHeader)
		if err != nil || got.AgainIn != MaxAgainIn || !got.Published.Ledger.IsZero() || got.Published.Next != 1 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	a := answered(func(a *Answer) { a.Publishes, a.AgainIn = true, -time.Hour })
	if got, err := DecodeAnswer(200, AnswerType, a.Encode(), testHeader); err != nil || got.AgainIn != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestKeeps: a gateway that keeps says so in a header of its own; one that does
// not says nothing, as every gateway of before.
func TestKeeps(t *testing.T) {
	for text, want := range map[string]bool{"published": true, "": false, "landed": false, "Published": false, "tomorrow": false} {
		header := http.Header{}
		testHeader.Write(header, true)
		if header.Get(HeaderRelease) != "" {
			t.Fatal("a gateway that lets go says something")
		}
		header.Set(HeaderRelease, text)
		if got, err := ParseRequestHeader(header); err != nil || got.Keeps != want {
			t.Errorf("%q: %v, %v", text, got.Keeps, err)
		}
	}
	h, header := testHeader, http.Header{}
	h.Keeps = true
	h.Write(header, false)
	if got, err := ParseRequestHeader(header); err != nil || !got.Keeps || header.Get(HeaderRelease) != "published" {
		t.Errorf("%+v, %v", got, err)
	}
}
