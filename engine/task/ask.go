package task

import "landfall/edge/record"

// ask has the gateways send again what was found missing, and tells of what is there
// now. What was asked for stands in the Registry until it is filled: what came of it, and
// is published, need not be sent again, and the rest is asked for still.
func (l *loop) ask() {
	for _, f := range l.processor.found {
		if f.Filled {
			l.cfg.Published.Filled(l.cfg.id(), f.Gateway, f.Log)
			l.cfg.Logger.Warn("what was missing of a log has come", "partition", l.cfg.Partition, "gateway", f.Gateway,
				"log", f.Log)
			continue
		}
		l.want(f.Gateway, f.Log, f.From)
	}
	l.processor.found = l.processor.found[:0]
}

// askAgain asks for what the state of the checkpoint says is missing.
func (l *loop) askAgain() {
	l.processor.found = l.processor.found[:0]
	for _, id := range l.processor.holes() {
		st, _ := l.processor.logs.Get(id)
		l.want(st.Gateway, id, st.Next)
	}
}

// lacking says since when each log has been asked for: since the first block landed that
// was passed over, or the one that showed that something is missing; what only the landing
// log's promise shows, since this claim.
func (l *loop) lacking() map[record.LogID]record.Micros {
	all := map[record.LogID]record.Micros{}
	for id, a := range l.promises.asked {
		all[id] = record.Micros(a.at.UnixMicro())
	}
	for _, id := range l.processor.holes() {
		st, _ := l.processor.logs.Get(id)
		all[id] = st.Hole.Since
	}
	return all
}

func (l *loop) want(gateway string, log record.LogID, from record.Offset) {
	l.cfg.Counters.Asked.Add(1)
	l.cfg.Published.Want(l.cfg.id(), gateway, log, from)
	l.cfg.Logger.Error("offsets are missing in the landing log; the gateway is asked to send them again",
		"partition", l.cfg.Partition, "gateway", gateway, "log", log, "from", from)
}
