package parquet

import (
	"context"
	"fmt"
	"testing"

	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
	"landfall/sinks/sinktest"
)

// faultBucket is a lake in a real S3 store, behind a proxy whose every request
// that changes anything can fail; the store itself never loses anything.
type faultBucket struct {
	server *s3test.Server
	prefix string
	script *s3test.Script
	proxy  string
}

func (w *faultBucket) lake(t testing.TB, url string) (*s3.Lake, error) {
	return s3.OpenLake(t.Context(), s3test.Config(url), s3test.At(w.prefix))
}

// direct is the lake as nobody disturbs it.
func (w *faultBucket) direct(t testing.TB) *s3.Lake {
	l, err := w.lake(t, w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (w *faultBucket) Start(t testing.TB) stream.Sink {
	l, err := w.lake(t, w.proxy)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Files: l, Writers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *faultBucket) Arm(n int, f sinktest.Fault) {
	if n == 0 {
		w.script.Reset()
		return
	}
	// A 500 and a cut connection take turns.
	outcome := [...][2]s3test.Outcome{
		sinktest.Failed: {s3test.Refused, s3test.Cut}, sinktest.AnswerLost: {s3test.Late500, s3test.Lost},
		sinktest.KilledBefore: {s3test.Cut, s3test.Cut}, sinktest.KilledAfter: {s3test.Lost, s3test.Lost},
	}[f][n%2]
	w.script.Fail(n, outcome, f == sinktest.KilledBefore || f == sinktest.KilledAfter)
}

func (w *faultBucket) Ops() int   { return len(w.script.Requests()) }
func (w *faultBucket) Dead() bool { return w.script.Dead() }
func (w *faultBucket) Revive(int) { w.script.Reset() }

// Damage implements sinktest.World.
func (w *faultBucket) Damage(t testing.TB, staged stream.Staged) bool {
	w.server.ChangeStaged(t, staged.Name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	return false
}

func (w *faultBucket) Staged(t testing.TB) []string {
	var all []string
	for p := 3; p <= 4; p++ { // the suite's tasks
		names, err := w.direct(t).List(context.Background(), fmt.Sprintf("%s/suite-%04d/", stagingRoot, p))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	return all
}

func (w *faultBucket) Visible(t testing.TB, of table.Name) []record.Offset {
	return visible(t, w.direct(t), of)
}

func (w *faultBucket) Before(n int, do func()) { w.script.Before(n, do) }

// Whole implements sinktest.World: the uploads of an epoch are completed one by
// one.
func (w *faultBucket) Whole() bool { return false }

// TestSuiteInABucket: what every sink must pass, with each request to a real
// store failing in each way.
func TestSuiteInABucket(t *testing.T) {
	server := s3test.Start(t)
	script := &s3test.Script{}
	script.OnlyChanges()
	proxy := server.Proxy(t, script)
	worlds := 0
	sinktest.Run(t, 1, func(testing.TB) sinktest.World {
		worlds++
		script.Reset()
		return &faultBucket{server: server, prefix: fmt.Sprintf("w%05d", worlds), script: script, proxy: proxy}
	})
}
