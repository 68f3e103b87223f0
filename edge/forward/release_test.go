package forward

import (
	"testing"
	"time"

	"landfall/edge/record"
)

// TestRelease: what is settled, what an answer may take back, and when a log is
// asked about that is not published.
func TestRelease(t *testing.T) {
	told := Telling{Told: true}
	for name, c := range map[string]struct {
		release, was Release
		telling      Telling
		marks        map[record.LogID]Mark
		text         string
	}{
		"records are settled when they are published": {telling: told, text: `
			logs A=0:100!
			next -> ask A 0
			answer A - pub=0 again=300 -> nothing
			next -> send A 0
			answer A 100 pub=0 again=300 -> acked A 100
			settled A -> 0
			next -> wait 5m0s
			+299s
			next -> wait 1s
			+1s
			next -> ask A 100
			answer A 100 pub=60 again=300 -> published A 60
			settled A -> 60
			+300s
			next -> ask A 100
			answer A 100 pub=100 -> published A 100
			settled A -> 100
			next -> wait`},
		"an ingest that does not tell settles with what has landed": {text: `
			logs A=0:100!
			next -> ask A 0
			answer A - -> nothing
			next -> send A 0
			answer A 100 -> acked A 100
			settled A -> 100
			next -> wait`},
		"an ingest that begins to tell takes nothing back that was settled": {text: `
			logs A=0:100
			next -> ask A 0
			answer A 60 -> acked A 60
			settled A -> 60
			logs A=60:100
			next -> send A 60
			answer A 100 pub=20 -> acked A 100
			settled A -> 20
			+1m
			next -> ask A 100
			answer A 59 pub=20 -> red`},
		"what has landed goes back, down to what is published": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 80, Published: 50}}, text: `
			logs A=50:100!
			next -> ask A 80
			answer A 80 pub=50 -> nothing
			next -> send A 80
			answer A 60 pub=50 out_of_order -> back A 60
			settled A -> 50
			next -> wait 250ms
			+250ms
			next -> send A 60
			answer A 50 pub=50 out_of_order -> back A 50
			next -> wait 500ms
			+500ms
			next -> send A 50
			answer A 100 pub=50 -> acked A 100
			next -> wait 1m0s`},
		"below what is published, and only there, it is red": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 80, Published: 50}}, text: `
			logs A=20:100!
			next -> ask A 80
			answer A 49 pub=- -> red
			settled A -> 50
			next -> wait 10s
			+5m
			next -> ask A 80
			answer A 50 pub=50 -> back A 50`},
		"below what the store has it is red": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 80, Published: 50}}, text: `
			logs A=70:100!
			next -> ask A 80
			answer A 69 pub=50 -> red`},
		"less published than before is red": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 80, Published: 50}}, text: `
			logs A=20:100!
			next -> ask A 80
			answer A 80 pub=50 n=7 -> nothing
			+1m
			next -> send A 80
			answer A 90 pub=49 n=7 -> red
			settled A -> 50
			+5m
			next -> ask A 80
			answer A 80 pub=49 n=8 -> red
			+5m
			next -> ask A 80
			answer A 80 pub=80 n=8 -> published A 80`},
		"an ingest that has not heard yet what another told is only older": {telling: told, text: `
			logs A=0:200
			next -> ask A 0
			answer A 80 pub=50 n=7 -> acked A 80
			next -> send A 80
			answer A 100 pub=80 n=8 -> acked A 100
			settled A -> 80
			+1s
			next -> send A 100
			answer A 120 pub=50 n=7 -> acked A 120
			settled A -> 80
			+1s
			next -> send A 120
			answer A 50 pub=50 n=7 out_of_order -> nothing
			next -> wait 250ms
			+250ms
			next -> ask A 120
			answer A - pub=0 -> nothing
			+1s
			next -> send A 120
			answer A 150 pub=120 n=9 -> acked A 150
			settled A -> 120`},
		"a lake that was put back stays behind": {telling: told, text: `
			logs A=0:100!
			next -> ask A 0
			answer A 100 pub=80 n=8 again=3600 -> acked A 100
			next -> wait 1h0m0s
			+1h
			next -> ask A 100
			answer A 100 pub=50 n=7 again=3600 -> nothing
			next -> wait 1m0s
			+1m
			next -> ask A 100
			fail
			+8m
			next -> ask A 100
			answer A 100 pub=50 n=7 -> nothing
			+59s
			next -> wait 1s
			+1s
			next -> ask A 100
			answer A 100 pub=50 n=7 -> red
			settled A -> 80
			+5m
			next -> ask A 100
			answer A 100 pub=50 n=7 -> red
			+5m
			next -> ask A 100
			answer A 100 pub=80 n=8 -> nothing
			+1h
			next -> ask A 100
			answer A 100 pub=50 n=7 -> nothing`},
		"older answers that are far apart are no lake that was put back": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 100, Published: 80}}, text: `
			logs A=0:100!
			next -> ask A 100
			answer A 100 pub=50 n=7 -> nothing
			+3h
			next -> ask A 100
			answer A 100 pub=50 n=7 -> nothing
			next -> wait 1m0s`},
		"an older answer makes no red log well": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 80, Published: 50, PublishedHash: record.Hash{7}}}, text: `
			logs A=20:100!
			next -> ask A 80
			answer A 80 pub=50 n=7 ph=8 -> red
			+5m
			next -> ask A 80
			answer A 80 pub=40 n=6 -> red
			+5m
			next -> ask A 80
			answer A 80 pub=50 n=7 ph=7 -> nothing`},
		"entries of two tasks cannot be compared": {telling: told, text: `
			logs A=0:100!
			next -> ask A 0
			answer A 100 pub=80 n=8 -> acked A 100
			+1m
			next -> ask A 100
			answer A 100 pub=50 n=9 task=u -> nothing
			+1m
			next -> ask A 100
			answer A 100 pub=81 n=9 task=u -> published A 81
			+1m
			next -> ask A 100
			answer A 100 pub=80 n=9 task=u -> red`},
		"another block published is red": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 80, Published: 50, PublishedHash: record.Hash{7}}}, text: `
			logs A=20:100!
			next -> ask A 80
			answer A 80 pub=50 ph=8 -> red
			+5m
			next -> ask A 80
			forged A 80 pub=60 -> red
			settled A -> 50
			+5m
			next -> ask A 80
			answer A 80 pub=50 ph=7 -> nothing`},
		"more published than the active log has is red": {telling: told, text: `
			logs A=0:100
			next -> ask A 0
			answer A - pub=101 -> red`},
		"what is published has landed, whatever else is known": {text: `
			logs A=0:100!
			next -> ask A 0
			answer A - pub=70 -> acked A 70
			settled A -> 70
			next -> send A 70
			answer A - pub=130 -> acked A 100
			settled A -> 100
			next -> wait`},
		"a gateway of before meets an ingest that tells": {was: ReleaseLanded, marks: map[record.LogID]Mark{logID("A"): {Next: 80}}, text: `
			logs A=60:100!
			settled A -> 80
			next -> ask A 80
			answer A 70 pub=40 -> back A 70
			settled A -> 40
			next -> wait 250ms
			+250ms
			next -> send A 70`},
		"an ingest that tells no more settles nothing for a day": {telling: told, text: `
			logs A=0:100
			next -> ask A 0
			answer A 40 pub=30 -> acked A 40
			next -> send A 40
			answer A 60 at=1h -> acked A 60
			settled A -> 30
			next -> wait 1s
			+1s
			next -> send A 60
			answer A 70 at=24h59m -> acked A 70
			settled A -> 30
			+1s
			next -> send A 70
			answer A 80 at=25h -> acked A 80
			settled A -> 80
			+1s
			next -> send A 80
			answer A 90 pub=60 -> acked A 90
			settled A -> 60
			+1s
			next -> send A 90
			answer A 100 at=25h -> acked A 100
			settled A -> 60`},
		"a refusal without it does not mean that it tells no more": {telling: told, text: `
			logs A=0:100
			next -> ask A 0
			answer A - busy at=1h -> nothing
			+1m
			next -> ask A 0
			answer A - busy at=50h -> nothing
			settled A -> 0`},
		"an ingest that was quiet is asked whether it tells again": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 100, Published: 50}}, text: `
			logs A=50:100!
			next -> ask A 100
			answer A 100 at=1h -> nothing
			next -> wait 1m0s
			+1m
			next -> ask A 100
			answer A 100 at=2h -> nothing
			next -> wait 2m0s
			+2m
			next -> ask A 100
			answer A 100 at=25h -> nothing
			settled A -> 100
			next -> wait`},
		"landed releases with what has landed": {release: ReleaseLanded, was: ReleaseLanded, telling: told, text: `
			logs A=0:100!
			next -> ask A 0
			answer A 100 pub=10 -> acked A 100
			settled A -> 100
			next -> wait`},
		"landed is red where landed goes back": {release: ReleaseLanded, was: ReleaseLanded, telling: told, text: `
			logs A=0:100!
			next -> ask A 0
			answer A 60 pub=10 -> acked A 60
			next -> send A 60
			answer A 50 pub=10 -> red`},
		"what was sent under the promise stays under it": {
			release: ReleaseLanded, was: ReleasePublished, telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 60, Published: 40}}, text: `
			logs A=40:80
			settled A -> 40
			next -> ask A 60
			answer A 60 pub=40 -> nothing
			logs A=40:200
			next -> send A 60
			answer A 120 pub=40 -> acked A 120
			settled A -> 40
			+1s
			next -> send A 120
			answer A 150 pub=79 -> acked A 150
			settled A -> 79
			+1s
			next -> send A 150
			answer A 200 pub=80 -> acked A 200
			settled A -> 200`},
		"one answer that does not tell ends no promise": {
			release: ReleaseLanded, was: ReleasePublished, telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 60, Published: 40}}, text: `
			logs A=40:80!
			next -> ask A 60
			answer A 60 at=1h -> nothing
			settled A -> 40
			next -> send A 60
			answer A 80 at=24h59m -> acked A 80
			settled A -> 40
			+1m
			next -> ask A 80
			answer A 80 at=25h -> nothing
			settled A -> 80`},
		"back to published forgets what was kept for landed": {
			release: ReleasePublished, was: ReleaseLanded, telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 60, Published: 40, Kept: 80}}, text: `
			logs A=40:80
			next -> ask A 60
			answer A 80 pub=60 -> acked A 80
			settled A -> 60`},
		"a closed log is asked about while another is sent": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 50, Published: 20}, logID("B"): {Next: 10}}, text: `
			logs A=0:50! B=0:100
			next -> ask B 10
			answer B 10 pub=0 -> nothing
			next -> ask A 50
			answer A 50 pub=20 again=30 -> nothing
			next -> send B 10
			answer B 40 pub=0 again=30 -> acked B 40
			next -> wait 1s
			+1s
			next -> send B 40
			answer B 41 pub=0 again=30 -> acked B 41
			+30s
			next -> ask A 50
			answer A 50 pub=50 -> published A 50
			settled A -> 50
			next -> send B 41`},
		"logs that wait are asked about one after the other": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 5}, logID("B"): {Next: 5}, logID("C"): {Next: 5}}, text: `
			logs A=0:5! B=0:5! C=0:5!
			next -> ask A 5
			answer A 5 pub=0 again=30 -> nothing
			next -> wait 30s
			+30s
			next -> ask A 5
			answer A 5 pub=5 again=30 -> published A 5
			next -> ask B 5
			answer B 5 pub=5 again=30 -> published B 5
			next -> ask C 5
			answer C 5 pub=5 again=30 -> published C 5
			next -> wait`},
		"questions become rare while the answers stay the same": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 5}, logID("B"): {Next: 5}}, text: `
			logs A=0:5! B=0:5!
			next -> ask A 5
			answer A 5 pub=0 -> nothing
			next -> wait 1m0s
			+1m
			next -> ask A 5
			answer A 5 pub=0 -> nothing
			next -> wait 2m0s
			+2m
			next -> ask A 5
			answer A 5 pub=0 -> nothing
			next -> ask B 5
			answer B 5 pub=5 -> published B 5
			next -> wait 4m0s
			+4m
			next -> ask A 5
			answer A 5 pub=0 -> nothing
			next -> wait 8m0s
			+8m
			next -> ask A 5
			answer A 5 pub=0 -> nothing
			next -> wait 10m0s
			+10m
			next -> ask A 5
			answer A 5 pub=0 again=3600 -> nothing
			next -> wait 1h0m0s`},
		"a question that is not answered is put off": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 5}}, text: `
			logs A=0:5!
			next -> ask A 5
			fail
			next -> wait 250ms
			+250ms
			next -> wait 59.75s`},
		"a log that stays unpublished and is not known as landed is sent again": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 50, Published: 20}}, text: `
			logs A=20:50!
			next -> ask A 50
			answer A - pub=20 again=10 -> nothing
			+10s
			next -> ask A 50
			answer A - pub=20 again=10 -> nothing
			+20s
			next -> ask A 50
			answer A - pub=20 again=10 -> back A 20
			+1s
			next -> ask A 20
			answer A - pub=20 again=10 -> nothing
			next -> send A 20
			answer A 50 pub=20 again=10 -> acked A 50
			next -> wait 10s
			+10s
			next -> ask A 50
			answer A 50 pub=50 -> published A 50
			next -> wait`},
		"one that is known as landed is not, however long it takes": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 50, Published: 20}}, text: `
			logs A=20:50!
			next -> ask A 50
			answer A 50 pub=20 again=10 -> nothing
			+10m
			next -> ask A 50
			answer A 50 pub=20 again=10 -> nothing
			+10m
			next -> ask A 50
			answer A 50 pub=20 again=10 -> nothing
			+10m
			next -> ask A 50
			answer A 50 pub=20 again=10 -> nothing`},
		"one that is settled is not either": {release: ReleaseLanded, was: ReleaseLanded, telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 100, Published: 40}}, text: `
			logs A=40:120!
			next -> ask A 100
			answer A - pub=40 -> nothing
			next -> send A 100
			fail
			+1m
			next -> ask A 100
			answer A - pub=40 -> nothing
			next -> send A 100
			fail
			+2m
			next -> ask A 100
			answer A - pub=40 -> nothing
			settled A -> 100
			next -> send A 100`},
		"a log that waits leaves the question about another open": {telling: told, marks: map[record.LogID]Mark{logID("A"): {Next: 50, Published: 20}}, text: `
			logs A=0:50! B=0:9!
			next -> ask B 0
			answer B - pub=0 -> nothing
			next -> ask A 50
			answer A 50 pub=20 -> nothing
			next -> send B 0
			fail
			+1m
			next -> ask B 0
			answer B 5 conflict -> red
			next -> ask A 50
			answer A 50 pub=50 -> published A 50
			+5m
			next -> ask B 0`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, c.marks)
			var logs []Log
			for id, m := range c.marks {
				logs = append(logs, Log{ID: id, End: m.Next + 20})
			}
			s.c.Resume(c.release, c.was, c.telling, logs)
			s.run(c.text)
		})
	}
}

func TestReleaseWords(t *testing.T) {
	for _, r := range []Release{ReleasePublished, ReleaseLanded} {
		if got, err := ParseRelease(r.String()); err != nil || got != r {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	if _, err := ParseRelease("late"); err == nil || Release(9).String() != "release_9" {
		t.Errorf("%v, %s", err, Release(9))
	}
	if (Config{Gateway: "a", URL: "http://a", Store: nopStore{}, StatePath: "s", Release: 9}).Validate() == nil {
		t.Error("an unknown way to release is taken")
	}
}

type nopStore struct{ Store }

// TestJitterOfQuestions: a fleet does not ask at one moment.
func TestJitterOfQuestions(t *testing.T) {
	c := NewCore(Tuning{}, map[record.LogID]Mark{logID("A"): {Next: 5}})
	c.Resume(ReleasePublished, ReleasePublished, Telling{Told: true}, nil)
	logs := []Log{{ID: logID("A"), End: 5, Closed: true}}
	e := Exchange{Action: c.Next(zeroTime, logs)}
	e.Answer.Known, e.Answer.Acked, e.Answer.Publishes, e.Answer.PublishedKnown, e.Answer.AgainIn = true, 5, true, true, 80*time.Second
	c.Answered(zeroTime, e, logs, 0.5)
	if a := c.Next(zeroTime, logs); a.Kind != ActWait || !a.Until.Equal(zeroTime.Add(85*time.Second)) {
		t.Errorf("%+v", a)
	}
}
