package server

import (
	"context"
	"time"

	"landfall/engine/stream"
	"landfall/engine/task"
)

// ackInterval is how often it is looked whether an operator has acknowledged what is red
// until then.
const ackInterval = 5 * time.Second

// maxContradicting is how many gateways that contradict a log a status names.
const maxContradicting = 1024

// ContradictingGateway is a gateway of which something contradicts a log.
type ContradictingGateway struct {
	Gateway string    `json:"gateway"`
	Count   uint64    `json:"count"`  // of all that it sent, those that are acknowledged too
	Newest  time.Time `json:"newest"` // when the newest landed, or was found
}

// unacknowledged is how many contradictions no operator has acknowledged.
func (t *TaskStatus) unacknowledged() uint64 {
	return t.Contradictions - min(t.Contradictions, t.Acknowledged)
}

// contradictions tells what contradicts a log, and whose it is. The caller holds mu.
func (s *supervisor) contradictions(out *TaskStatus) {
	out.Contradictions, out.Acknowledged = s.counters.Contradictions.Total(), s.acked
	var names task.Names
	for _, c := range s.counters.Contradictions.Newest(out.unacknowledged()) {
		names.Add(c.Gateway)
		if len(out.ContradictingGateways) < maxContradicting {
			out.ContradictingGateways = append(out.ContradictingGateways, ContradictingGateway{c.Gateway, c.Count, time.UnixMicro(int64(c.At)).UTC()})
		}
	}
	out.Contradicting = names.String()
}

// lookForAcknowledged looks, until a wait says that ctx ended, whether an operator has
// acknowledged what contradicts. The store is asked only where there is something that is
// not acknowledged. That it does not answer, the tasks say.
func (s *Server) lookForAcknowledged(ctx context.Context, wait func(context.Context, time.Duration) bool) {
	for {
		for _, t := range s.tasks {
			if !t.ours() || ctx.Err() != nil || t.counters.Contradictions.Total() <= t.acknowledged() {
				continue
			}
			n, err := task.Acknowledged(ctx, s.opt.Store, stream.TaskID{Landing: string(s.log.ID()), Partition: t.partition})
			if err != nil {
				s.opt.Logger.Debug("what is acknowledged could not be read", "partition", t.partition, "error", err)
				continue
			}
			t.acknowledge(n)
		}
		if !wait(ctx, ackInterval) {
			return
		}
	}
}

func (s *supervisor) acknowledged() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

func (s *supervisor) acknowledge(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = n
}
