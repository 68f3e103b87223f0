package object_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
)

// buckets makes worlds in a real S3 store, each below a prefix of its own.
type buckets struct {
	server *s3test.Server
	made   int
}

func (b *buckets) world(t *testing.T) (*world, string) {
	t.Helper()
	b.made++
	prefix := fmt.Sprintf("w%05d", b.made)
	w := &world{backlog: 2}
	w.again = func() (checkpoint.Store, object.Files, error) { return openBucket(t.Context(), b.server.URL, prefix) }
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	return w, prefix
}

func openBucket(ctx context.Context, url, prefix string) (checkpoint.Store, object.Files, error) {
	store, err := s3.OpenStore(ctx, s3test.Config(url), s3test.At(prefix+"/_checkpoint"))
	if err != nil {
		return nil, nil, err
	}
	files, err := s3.OpenLake(ctx, s3test.Config(url), s3test.At(prefix))
	if err != nil {
		return nil, nil, err
	}
	return store, files, nil
}

// TestEveryRequestToABucketFails makes every request of a whole run fail in
// every way, the answer lost and a 500 after success included, with the process
// going on and with it ending there; the last claim always brings each row
// once, and nothing is left behind.
func TestEveryRequestToABucketFails(t *testing.T) {
	t.Parallel() // it waits for disks most of the time
	b := &buckets{server: s3test.Start(t)}
	step := 9
	if soak() {
		step = 1
	}
	results := tally{}
	requests := b.oneRequestFails(t, 1, s3test.Works, false, tally{})
	run := 0
	for _, outcome := range s3test.Outcomes() {
		for _, dead := range []bool{false, true} {
			// The first run of each begins elsewhere, so that with steps all are
			// met by something.
			for k := 1 + run%step; k <= requests; k += step {
				b.oneRequestFails(t, k, outcome, dead, results)
			}
			run++
		}
	}
	results.log(t)
}

// oneRequestFails gives how many requests there were.
func (b *buckets) oneRequestFails(t *testing.T, k int, outcome s3test.Outcome, dead bool, results tally) int {
	t.Helper()
	w, prefix := b.world(t)
	script := &s3test.Script{}
	script.Fail(k, outcome, dead)
	store, files, err := openBucket(t.Context(), b.server.Proxy(t, script), prefix)
	if err == nil {
		err = w.run(watched{store, w}, files)
	}
	requests := script.Requests()
	if len(requests) < k {
		return len(requests) // the publishing goroutine had fewer to do this time
	}
	results.add(fmt.Sprintf("dead %v", dead), outcome.String(), err)
	w.observe()
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	if err := w.verdict(); err != nil {
		t.Fatalf("%s %s, dead %v: %v", requests[k-1], outcome, dead, err)
	}
	return len(requests)
}

// TestEveryWriteToABucketIsConfirmedAndLost: as TestEveryWriteIsConfirmedAndLost, by
// a store that answers 200 with the right ETag to one PUT below the checkpoints.
func TestEveryWriteToABucketIsConfirmedAndLost(t *testing.T) {
	b, results := &buckets{server: s3test.Start(t)}, tally{}
	plain := &s3test.Script{}
	w, prefix := b.world(t)
	store, files, err := openBucket(t.Context(), b.server.Proxy(t, plain), prefix)
	if err == nil {
		err = w.run(watched{store, w}, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for k, request := range plain.Requests() {
		if !strings.Contains(request, "PUT ") || !strings.Contains(request, "/_checkpoint/") {
			continue
		}
		lost++
		b.oneRequestFails(t, k+1, s3test.Unkept, false, results)
	}
	results.log(t)
	if lost < 10 {
		t.Errorf("%d writes of %d requests were lost", lost, len(plain.Requests()))
	}
	for key, n := range results {
		if n.stopped > 0 {
			t.Errorf("%v: %d of %d runs stopped", key, n.stopped, n.runs)
		}
	}
}

// TestSecondWriterInABucket wakes another claim before and after calls of the
// first, as TestSecondWriterAtEveryStep does.
func TestSecondWriterInABucket(t *testing.T) {
	t.Parallel() // it waits for disks most of the time
	b := &buckets{server: s3test.Start(t)}
	step := 11
	if soak() {
		step = 1
	}
	fenced, survived := 0, 0
	for epochs := range 4 {
		for i, after := range []bool{false, true} {
			for k := 1 + (2*epochs+i)%step; ; k += step {
				w, _ := b.world(t)
				err, woken := intrude(t, w, k, after, epochs)
				if !woken {
					break
				}
				switch {
				case err == nil:
					survived++
				case errors.Is(err, stream.ErrFenced):
					fenced++
				default:
					t.Fatalf("step %d after %v, second writer did %d epochs: %v", k, after, epochs, err)
				}
			}
		}
	}
	t.Logf("first writer fenced %d times; had not begun or had done all %d times", fenced, survived)
	if fenced == 0 {
		t.Fatal("the first writer was never fenced")
	}
}
