package task

import (
	"slices"

	"landfall/decoders/ais"
	"landfall/edge/record"
)

// verdict is what the judge says of a landed block.
type verdict uint8

const (
	take          verdict = iota // next in its log: its records are rows
	takeLoss                     // next in its log: its range goes to loss
	dropDuplicate                // taken before, with the same hash
	dropUnchecked                // taken before, too long ago to compare
	keepConflict                 // contradicts the log: kept raw in conflict
	passOver                     // what comes before it is missing, and the gateway sends both again
)

// keptBoundaries is how many of a log's last blocks are remembered with their
// hashes, so that a duplicate of them can be told from a contradiction. It
// spans many requests of a gateway; a duplicate can only be of a request that
// was under way when a newer one was answered.
const keptBoundaries = 64

// keptOfOldLogs is how many of them are remembered once the gateway has opened
// a newer log. State keeps every log for ever, so an old one must be small.
const keptOfOldLogs = 4

// boundary is one block that was taken.
type boundary struct {
	First record.Offset
	Count uint32
	Hash  record.Hash // zero for a loss
}

// logState is what a task remembers of one log, as long as the landing log
// lives.
type logState struct {
	Gateway string
	Next    record.Offset // the next offset expected
	Hash    record.Hash   // chained hash at Next; zero after a loss: any Prev is taken
	Gaps    uint64        // blocks that came beyond Next: the log is red
	// Digest is that of the log below Next, as the block that ends there says it.
	// Not Valid: that block says none, because its gateway kept none, or because it
	// is a loss of which the gateway did not know it. A later block that says one
	// makes it known again.
	Digest ais.Opt[record.Digest]
	// Previous, PreviousEnd and OpenedAt are what the log's first record says:
	// the log before this one (zero: none), where that ended, or at least, and when
	// this one was opened (record.NoTime: the first record is no opening, or was
	// lost, or was taken by a version that did not keep it).
	Previous    record.LogID
	PreviousEnd record.Offset
	OpenedAt    record.Micros
	// ShownAt is when the opening of the log landed: what it shows of the log before is
	// known since then. 0: not known.
	ShownAt record.Micros
	Closed  bool          // the gateway has opened a newer log, which names this one
	End     record.Offset // where that says this one ended, or at least; 0: not known
	Hole    hole          // what is missing at Next
	Recent  []boundary    // newest last, at most keptBoundaries
}

// begun tells whether anything of the log was taken.
func (st *logState) begun() bool { return st.Next > 0 }

// newLogState is the state of a log of which nothing was taken.
func newLogState() logState {
	return logState{Digest: ais.Some(record.Digest(0)), OpenedAt: record.NoTime}
}

// ruling is a verdict with its reason, for the tables loss and conflict.
type ruling struct {
	Verdict verdict
	Reason  string        // conflict: hash, chain, gap, unknown_log, gateway
	From    record.Offset // takeLoss: the first offset given up
}

// judge rules on a landed block given what is known of its log, and changes
// nothing. known is false when no block of this log was ever taken; keeps says that
// the gateway has the block still, and what comes before it. A log that lacks its
// beginning is asked for from the gateway whose blocks were passed over; the log is that
// of whoever brings the beginning.
//
// The order of the checks matters: identity first, then position, then content.
func judge(st *logState, known bool, gateway string, h *record.Header, hash record.Hash, keeps bool) ruling {
	if !known {
		switch {
		case h.First != 0 && st.Hole.isOpen() && st.Gateway != gateway:
			return ruling{Verdict: keepConflict, Reason: "gateway"}
		case h.First != 0 && keeps:
			return ruling{Verdict: passOver}
		case h.First != 0:
			return ruling{Verdict: keepConflict, Reason: "unknown_log"}
		case h.Prev != (record.Hash{}):
			return ruling{Verdict: keepConflict, Reason: "chain"}
		}
		return accept(h, 0)
	}
	if st.Gateway != gateway {
		return ruling{Verdict: keepConflict, Reason: "gateway"}
	}
	switch {
	case h.First > st.Next && keeps:
		return ruling{Verdict: passOver}
	case h.First > st.Next:
		return ruling{Verdict: keepConflict, Reason: "gap"}
	case h.Kind == record.BlockLoss:
		if h.End() <= st.Next {
			return ruling{Verdict: dropUnchecked}
		}
		return accept(h, st.Next)
	case h.First == st.Next && h.Count > 0:
		if st.Hash != (record.Hash{}) && h.Prev != st.Hash {
			return ruling{Verdict: keepConflict, Reason: "chain"}
		}
		return accept(h, st.Next)
	}
	return judgeOld(st, h, hash)
}

func accept(h *record.Header, from record.Offset) ruling {
	if h.Kind == record.BlockLoss {
		return ruling{Verdict: takeLoss, From: from}
	}
	return ruling{Verdict: take}
}

// judgeOld rules on a data block that begins below Next. Boundaries of blocks
// never change, so one that overlaps a remembered block must be that block.
func judgeOld(st *logState, h *record.Header, hash record.Hash) ruling {
	if h.End() > st.Next {
		return ruling{Verdict: keepConflict, Reason: "hash"}
	}
	for i := len(st.Recent) - 1; i >= 0; i-- {
		b := st.Recent[i]
		if h.End() <= b.First || b.First+record.Offset(b.Count) <= h.First {
			continue
		}
		switch {
		case b.Hash == (record.Hash{}):
			// The gateway gave this range up and a late copy came after all.
			return ruling{Verdict: keepConflict, Reason: "after_loss"}
		case b.First == h.First && b.Hash == hash:
			return ruling{Verdict: dropDuplicate}
		}
		return ruling{Verdict: keepConflict, Reason: "hash"}
	}
	return ruling{Verdict: dropUnchecked}
}

// lossDigest is what the offsets from Next to the end of a loss add to the log's
// digest, where it is known before and after them. digest is what the loss says
// of the whole log below its end, so a loss that begins below Next needs no more.
func (st *logState) lossDigest(digest ais.Opt[record.Digest]) ais.Opt[record.Digest] {
	if !st.Digest.Valid || !digest.Valid {
		return ais.Opt[record.Digest]{}
	}
	return ais.Some(digest.Value - st.Digest.Value)
}

// open takes what the log's first record says.
func (st *logState) open(o *record.Opening) {
	st.Previous, st.PreviousEnd, st.OpenedAt = o.Prev, o.PrevEnd, o.OpenedAt
}

// advance notes that a block was taken; digest is what it says of the log below
// its end.
func (st *logState) advance(h *record.Header, hash record.Hash, digest ais.Opt[record.Digest]) {
	if h.Kind == record.BlockLoss {
		hash = record.Hash{}
	}
	b := boundary{First: st.Next, Count: uint32(h.End() - st.Next), Hash: hash}
	if len(st.Recent) == keptBoundaries {
		st.Recent = st.Recent[1:] // what an older copy of st sees does not change
	}
	st.Recent = append(st.Recent, b)
	st.Next, st.Hash, st.Digest = h.End(), hash, digest
}

// trim forgets all but the newest boundaries of a log that is not written any
// more, and says whether there were any.
func (st *logState) trim() bool {
	if len(st.Recent) <= keptOfOldLogs {
		return false
	}
	st.Recent = slices.Clone(st.Recent[len(st.Recent)-keptOfOldLogs:])
	return true
}
