package audit

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"landfall/edge/record"
)

// chunkBits is the number of offsets accounted for together, as a power of
// two.
const (
	chunkBits  = 14
	chunkSize  = 1 << chunkBits
	chunkWords = chunkSize / 64
)

// sum is a multiset of hashed things: how many, and the sum of their hashes.
type sum struct {
	n    uint64
	a, b uint64
}

func (s *sum) add(h [2]uint64) {
	s.n++
	s.a += h[0]
	s.b += h[1]
}

// hashKey is a run's own random key.
type hashKey [2]maphash.Seed

func newHashKey() hashKey { return hashKey{maphash.MakeSeed(), maphash.MakeSeed()} }

// row hashes the identity of one typed row within its log.
func (k hashKey) row(offset uint64, row, rows int32) [2]uint64 {
	id := struct {
		offset    uint64
		row, rows int32
	}{offset, row, rows}
	return [2]uint64{maphash.Comparable(k[0], id), maphash.Comparable(k[1], id)}
}

// bytes hashes the content of one record within its log.
func (k hashKey) bytes(offset uint64, raw []byte) [2]uint64 {
	mix := maphash.Comparable(k[0], offset)
	return [2]uint64{mix ^ bits.RotateLeft64(maphash.Bytes(k[0], raw), 1)*0x9e3779b97f4a7c15, (mix + 1) * (maphash.Bytes(k[1], raw) | 1)}
}

// chunk accounts for chunkSize offsets of one log.
type chunk struct {
	seen     uint32              // offsets recorded
	dups     uint64              // rows of record beyond an offset's first
	bits     *[chunkWords]uint64 // which; nil when none or all
	expected sum                 // typed rows that the records declare
	found    sum                 // typed rows
	lake     sum                 // bytes of records that the edge still holds
	edge     sum                 // the same from the edge's log
	derived  *[chunkWords]uint64 // offsets that rows of window and late name; nil when none
}

// record takes one row of record.
func (c *chunk) record(i uint64) {
	if c.seen == chunkSize {
		c.dups++
		return
	}
	if c.bits == nil {
		c.bits = new([chunkWords]uint64)
	}
	w, m := &c.bits[i/64], uint64(1)<<(i%64)
	if *w&m != 0 {
		c.dups++
		return
	}
	*w |= m
	if c.seen++; c.seen == chunkSize {
		c.bits = nil
	}
}

// derive takes one row of window or late.
func (c *chunk) derive(i uint64) {
	if c.derived == nil {
		c.derived = new([chunkWords]uint64)
	}
	c.derived[i/64] |= uint64(1) << (i % 64)
}

// underived counts the offsets that derived rows name and that are not recorded.
func (c *chunk) underived() (n uint64) {
	if c.derived == nil || c.seen == chunkSize {
		return 0
	}
	for w, word := range c.derived {
		if c.bits != nil {
			word &^= c.bits[w]
		}
		n += uint64(bits.OnesCount64(word))
	}
	return n
}

func (c *chunk) has(i uint64) bool {
	if c.bits == nil {
		return c.seen == chunkSize
	}
	return c.bits[i/64]>>(i%64)&1 == 1
}

// span is a range [from, to) of offsets.
type span struct{ from, to uint64 }

// logState is what is known of one log.
type logState struct {
	key       logKey
	digester  record.Digester
	isLog     bool // key.log is the id of a log
	chunks    map[uint64]*chunk
	last      *chunk // chunk number lastNo
	lastNo    uint64
	end       uint64 // after the last offset recorded or lost
	recorded  uint64
	rejected  uint64
	loss      []span
	lossRows  uint64
	conflicts uint64
	aside     []span // set aside in conflict, with their bytes
	asideRows uint64 // of conflicts
	opening   *record.Opening
	first     bool // its first record was read, so that opening is all that it says
	// tabled says that table log has it from its first record on, and lineage that
	// each row of it was compared with that record.
	tabled, lineage bool
	bounded         bool           // its landing log has ended: nothing more will come
	closedAt        *record.Offset // the end that the next log's opening declares
	edge            *edgeState

	// What the checkpoints say: claimed of everything below next.
	claimed       bool
	task          string // whose checkpoints say so
	next          uint64
	digest        record.Digest // at next
	digestKnown   bool
	chain         record.Hash // of the block that ends at next; zero: not known
	claimedClosed bool

	// What was summed up, epoch by epoch.
	sum, lost   record.Digest // of all rows of record; of all rows of loss
	lostUnknown bool
	unsummed    uint64  // offsets whose digest nobody knows
	differs     bool    // a digest was found to differ
	newestRow   *logRow // of table log, the one with the highest next_offset
	groupNo     uint64
	inGroup     *groupLog
	at          uint64 // the ledger was followed up to here, where the digest was
	atDigest    record.Digest
	atKnown     bool

	base uint64 // an earlier audit read what is below

	// What the gateway's tips say.
	marks    []*mark
	tipped   uint64 // a tip vouches for what is below
	untipped uint64 // offsets of which the tips tell no digest
	// tipClosed: its gateway closed the log where it ends in the lake.
	tipClosed bool
	// beforeTips: it comes before the first log that the tips know, which say nothing of it.
	beforeTips bool
}

func newLogState(k logKey) *logState {
	l := &logState{key: k}
	if id, err := record.ParseLogID(k.log); err == nil && id.String() == k.log {
		l.isLog, l.digester = true, record.NewDigester(id)
	}
	return l
}

func (l *logState) chunk(offset uint64) *chunk {
	no := offset >> chunkBits
	if l.last != nil && l.lastNo == no {
		return l.last
	}
	if l.chunks == nil {
		l.chunks = make(map[uint64]*chunk)
	}
	c, ok := l.chunks[no]
	if !ok {
		c = new(chunk)
		l.chunks[no] = c
	}
	l.last, l.lastNo = c, no
	return c
}

// has tells whether an offset is recorded.
func (l *logState) has(offset uint64) bool {
	c, ok := l.chunks[offset>>chunkBits]
	return ok && c.has(offset%chunkSize)
}

// underived counts the offsets that rows of window and late name and that are
// not recorded.
func (l *logState) underived() (n uint64) {
	for _, c := range l.chunks {
		n += c.underived()
	}
	return n
}

// numbers gives the chunks' numbers in order.
func (l *logState) numbers() []uint64 {
	var nos []uint64
	for no := range l.chunks {
		nos = append(nos, no)
	}
	slices.Sort(nos)
	return nos
}

// count gives how many offsets of a span are recorded.
func (l *logState) count(s span) uint64 {
	n := uint64(0)
	for no, c := range l.chunks {
		base := no << chunkBits
		from, to := max(s.from, base), min(s.to, base+chunkSize)
		if from >= to {
			continue
		}
		n += c.count(from-base, to-base)
	}
	return n
}

// count gives how many of the chunk's offsets [from, to) are recorded.
func (c *chunk) count(from, to uint64) uint64 {
	if c.seen == chunkSize {
		return to - from
	}
	if c.bits == nil {
		return 0
	}
	n := 0
	for w := from / 64; w*64 < to; w++ {
		word := c.bits[w]
		if lo := w * 64; lo < from {
			word &= ^uint64(0) << (from - lo)
		}
		if hi := (w + 1) * 64; hi > to {
			word &= ^uint64(0) >> (hi - to)
		}
		n += bits.OnesCount64(word)
	}
	return uint64(n)
}

// merge sorts spans and joins those that touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		if a.from < b.from {
			return -1
		}
		if a.from > b.from {
			return 1
		}
		return 0
	})
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// missing gives the spans below end that are neither recorded nor in lost
// (merged), at most limit of them, and how many offsets they all hold.
func (l *logState) missing(end uint64, lost []span, limit int) (first []span, total uint64) {
	take := func(s span) {
		if s.from >= s.to {
			return
		}
		total += s.to - s.from
		if n := len(first); n > 0 && first[n-1].to == s.from {
			first[n-1].to = s.to
		} else if n < limit {
			first = append(first, s)
		}
	}
	at, numbers := l.base, l.numbers()
	for _, g := range append(slices.Clone(lost), span{end, end}) {
		for at < min(g.from, end) {
			at = l.holes(at, min(g.from, end), numbers, take)
		}
		at = max(at, g.to)
	}
	return first, total
}

// holes gives take the unrecorded spans of one chunk from at, not beyond end,
// and returns where it stopped. A run of chunks that are not there is one
// span; numbers are those that are, sorted.
func (l *logState) holes(at, end uint64, numbers []uint64, take func(span)) uint64 {
	no := at >> chunkBits
	stop := min((no+1)<<chunkBits, end)
	c, ok := l.chunks[no]
	switch {
	case !ok:
		next := end
		if i, _ := slices.BinarySearch(numbers, no); i < len(numbers) {
			next = min(next, numbers[i]<<chunkBits)
		}
		take(span{at, next})
		return next
	case c.seen == chunkSize:
		return stop
	}
	for o := at; o < stop; o++ {
		if !c.has(o % chunkSize) {
			take(span{o, o + 1})
		}
	}
	return stop
}
