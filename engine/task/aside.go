package task

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// ReasonPoison is the reason, in the table conflict, of a block that was set aside
// because processes died of it. Its bytes are the log's own, and the log goes on
// behind it.
const ReasonPoison = "poison"

// maxAside is how many blocks of a partition are set aside within asideWithin. So many
// of them are no chance: what kills the process is then something else, and setting
// aside one block after the other would only spoil the tables.
const (
	maxAside    = 16
	asideWithin = 7 * 24 * time.Hour
)

// keptAside is how many blocks that were set aside are remembered, for status.
const keptAside = 256

// aside is what the state says of a block that is set aside: first that it will be, so
// that the epoch that comes upon it does the same whenever it is made again.
type aside struct {
	Gateway   string
	Log       string // empty: its header could not be read
	From, End record.Offset
	At        record.Micros // when that was decided
	Deaths    uint64        // of processes that had it alone before them
	Taken     bool          // an epoch has put it to conflict
}

// asideCodec writes version 1. Key: 16 bytes hash of the block. Value: uvarint lengths
// and bytes of gateway and log, uvarints From and End, varint At, uvarints Deaths and
// Taken, 0 or 1.
type asideCodec struct{}

// Version implements state.Codec.
func (asideCodec) Version() uint16 { return 1 }

// AppendKey implements state.Codec.
func (asideCodec) AppendKey(dst []byte, k record.Hash) []byte { return append(dst, k[:]...) }

// AppendValue implements state.Codec.
func (asideCodec) AppendValue(dst []byte, v aside) []byte {
	for _, s := range []string{v.Gateway, v.Log} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(v.From)), uint64(v.End))
	dst = binary.AppendUvarint(binary.AppendVarint(dst, int64(v.At)), v.Deaths)
	if v.Taken {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// DecodeKey implements state.Codec.
func (asideCodec) DecodeKey(_ uint16, p []byte) (k record.Hash, err error) {
	if len(p) != len(k) {
		return k, fmt.Errorf("decode the hash of a block of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return record.Hash(p), nil
}

// DecodeValue implements state.Codec.
func (asideCodec) DecodeValue(_ uint16, p []byte) (aside, error) {
	f := record.NewFields(p)
	v := aside{Gateway: string(f.Bytes()), Log: string(f.Bytes()), From: record.Offset(f.Uvarint()),
		End: record.Offset(f.Uvarint()), At: record.Micros(f.Varint()), Deaths: f.Uvarint(), Taken: f.Uvarint() == 1}
	if f.Bad() {
		return aside{}, fmt.Errorf("decode a block that was set aside, of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return v, nil
}

// AsideBlock is a block that was set aside, for status.
type AsideBlock struct {
	Gateway   string
	Log       string
	From, End record.Offset
	At        record.Micros
	Deaths    uint64
}

// decide notes in the state that a block is set aside when it comes next. False: too
// many were within asideWithin.
func (p *processor) decide(s *suspect, deaths int, now record.Micros) bool {
	hash, err := s.hash()
	if _, again := p.aside.Get(hash); err != nil || again {
		return err == nil
	}
	recent := 0
	oldest, first := record.Hash{}, record.Micros(0)
	for k, v := range p.aside.All() {
		if v.At > now-record.Micros(asideWithin.Microseconds()) {
			recent++
		}
		if v.Taken && (first == 0 || v.At < first) {
			oldest, first = k, v.At
		}
	}
	if recent >= maxAside {
		return false
	}
	if p.aside.Len() >= keptAside && first != 0 {
		p.aside.Delete(oldest)
	}
	p.aside.Put(hash, aside{Gateway: s.Gateway, Log: s.Log, From: s.From, End: s.End, At: now, Deaths: uint64(deaths)})
	return true
}

// isAside says that a block is to be set aside.
func (p *processor) isAside(hash record.Hash) bool {
	if p.aside.Len() == 0 {
		return false
	}
	_, ok := p.aside.Get(hash)
	return ok
}

// setAside puts a block that is next in its log to conflict, whole. Of its records
// nothing is read, nor of what it says of the watermark, which the next block says
// again: whatever it is of which processes died lies there. The log goes on behind it,
// with its hash and digest, which the block's header and its last annotation say.
func (p *processor) setAside(
	l *landing.Landed, after stream.Position, b *record.Block, hash record.Hash, gate gatewayState, out *table.Batch,
) {
	out.Conflicts = append(out.Conflicts, table.ConflictRow{
		Gateway: l.Gateway, Log: b.Log.String(), Offset: b.First, Count: uint64(b.Count), Reason: ReasonPoison,
		Block: l.Block, LandedAt: l.LandedAt, LandingLog: after.Log, LandingOffset: after.Offset,
	})
	v, _ := p.aside.Get(hash)
	v.Gateway, v.Log, v.From, v.End, v.Taken = l.Gateway, b.Log.String(), b.First, b.End(), true
	p.aside.Put(hash, v)
	p.putGateway(l.Gateway, gate)
}

// asideBlocks lists the blocks that were set aside, oldest first.
func (p *processor) asideBlocks() []AsideBlock {
	var all []AsideBlock
	for _, v := range p.aside.All() {
		if v.Taken {
			all = append(all, AsideBlock{Gateway: v.Gateway, Log: v.Log, From: v.From, End: v.End, At: v.At, Deaths: v.Deaths})
		}
	}
	slices.SortFunc(all, func(a, b AsideBlock) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Log, b.Log), cmp.Compare(a.From, b.From))
	})
	return all
}
