package task

import (
	"sync/atomic"
	"time"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// writer stages batches on a goroutine of its own, so that the next block is
// decoded while the rows of the one before are copied into the sinks. There are
// two batches: the task fills one while the other is written, and waits when
// both are taken.
type writer struct {
	stages []stream.Stage
	empty  chan *table.Batch
	filled chan filled
	done   chan struct{} // closed when the goroutine has ended
	err    error         // the first error; nothing is written after it; read after done
	bytes  atomic.Int64  // memory that the fullest stage holds
	dates  atomic.Bool   // a stage has many dates open
	failed atomic.Bool
	lane   *Lane // nil: the task is alone in it
	// took is how long staging took of each gateway's rows; read after done.
	took map[string]time.Duration
}

// filled is a batch with the gateway from which its rows are; empty: those that the end of
// an epoch makes.
type filled struct {
	gateway string
	batch   *table.Batch
}

// startWriter takes the stages over until finish.
func startWriter(stages []stream.Stage, batches *[2]table.Batch, lane *Lane) *writer {
	w := &writer{
		stages: stages, empty: make(chan *table.Batch, len(batches)), filled: make(chan filled, len(batches)),
		done: make(chan struct{}), lane: lane, took: map[string]time.Duration{},
	}
	for i := range batches {
		w.empty <- &batches[i]
	}
	go w.run()
	return w
}

// next gives an empty batch, once one is free.
func (w *writer) next() *table.Batch {
	b := <-w.empty
	b.Reset()
	return b
}

// write hands a batch from next over, with the gateway from which its rows are, or none.
// Errors come out of finish.
func (w *writer) write(gateway string, b *table.Batch) { w.filled <- filled{gateway, b} }

// full says that a stage holds as many bytes as an epoch may, or that staging
// failed and reading on is of no use.
func (w *writer) full(limit int64) bool { return w.failed.Load() || w.bytes.Load() >= limit }

// finish waits until all is staged and gives the stages back. It is called
// once.
func (w *writer) finish() ([]stream.Stage, error) {
	close(w.filled)
	<-w.done
	return w.stages, w.err
}

func (w *writer) run() {
	defer close(w.done)
	for f := range w.filled {
		if w.err == nil {
			w.stage(f)
		}
		w.empty <- f.batch
	}
}

func (w *writer) stage(f filled) {
	if w.lane != nil {
		w.lane.mu.RLock()
		defer w.lane.mu.RUnlock()
	}
	began := time.Now()
	defer func() { w.took[f.gateway] += time.Since(began) }()
	b := f.batch
	for _, s := range w.stages {
		if w.err = stageRows(s, b); w.err != nil {
			w.failed.Store(true)
			return
		}
		if n := s.Bytes(); n > w.bytes.Load() {
			w.bytes.Store(n)
		}
		if d, ok := s.(stream.Dated); ok && d.ManyDates() {
			w.dates.Store(true)
		}
	}
}

// stageRows writes a batch to a stage. Errors: those of the stage, stream.ErrPanic.
func stageRows(s stream.Stage, b *table.Batch) (err error) {
	defer stream.Recover(&err)
	return s.Write(b)
}
