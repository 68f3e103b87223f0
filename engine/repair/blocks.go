package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// blocks are the blocks that gateways' logs and landing logs still hold. The
// directories are opened without changing them.
type blocks struct {
	stores []*seglog.Store
	byLog  map[string][]blockRef // by first offset; copies of a block lie beside each other
	// partitions of the landing logs, by identity; one of which that is damaged has none.
	partitions map[string]int
	// positions behind each landed block, in the order in which they were read.
	positions []stream.Position
}

// blockRef is where one block lies.
type blockRef struct {
	first, end record.Offset
	kind       record.BlockKind
	prev, hash record.Hash
	watermark  record.Micros // after the block; record.NoTime: it says none
	digest     ais.Opt[record.Digest]
	reason     string // of a loss

	store    *seglog.Store
	log      record.LogID  // of the store
	at       record.Offset // there
	landing  bool          // a landing log holds it
	landedAt record.Micros // record.NoTime: a gateway's log, which cannot know
}

func openBlocks(ctx context.Context, c Config) (*blocks, error) {
	b := &blocks{byLog: map[string][]blockRef{}, partitions: map[string]int{}}
	for _, dir := range c.EdgeLogs {
		if err := b.open(ctx, c.FS, dir, b.edge); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	for _, dir := range c.Landing {
		if id, n, err := embedded.Identity(durable.ReadOnly(c.FS), dir); err == nil {
			b.partitions[string(id)] = n
		}
		parts, err := c.FS.ReadDir(dir)
		for _, p := range parts {
			if ok, _ := filepath.Match("p[0-9][0-9][0-9][0-9]", p.Name()); ok && err == nil {
				err = b.open(ctx, c.FS, filepath.Join(dir, p.Name()), b.landed)
			}
		}
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	for _, refs := range b.byLog {
		slices.SortStableFunc(refs, func(x, y blockRef) int { return cmp.Compare(x.first, y.first) })
	}
	return b, nil
}

func (b *blocks) close() error {
	var errs []error
	for _, s := range b.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// open reads a log store through, once. It ends with ctx.
func (b *blocks) open(ctx context.Context, fsys durable.FS, dir string, take func(ref blockRef, block *record.Block)) error {
	if _, err := fsys.Stat(dir); err != nil {
		return fmt.Errorf("open log %s: %w", dir, err)
	}
	store, err := seglog.Open(seglog.Config{FS: durable.ReadOnly(fsys), Dir: dir})
	if err != nil {
		return fmt.Errorf("open log %s: %w", dir, err)
	}
	b.stores = append(b.stores, store)
	for _, info := range store.Logs() {
		r, err := store.Reader(info.ID, info.First)
		if err != nil {
			return fmt.Errorf("read log %s in %s: %w", info.ID, dir, err)
		}
		for {
			item, err := r.Next()
			if ended := ctx.Err(); ended != nil {
				err = ended
			}
			if errors.Is(err, io.EOF) || errors.Is(err, seglog.ErrCaughtUp) {
				break
			}
			if err != nil {
				return errors.Join(fmt.Errorf("read log %s in %s: %w", info.ID, dir, err), r.Close())
			}
			if !item.IsGap() {
				take(blockRef{store: store, log: info.ID}, &item.Block)
			}
		}
		if err := r.Close(); err != nil {
			return err
		}
	}
	return nil
}

// edge takes a block of a gateway's log.
func (b *blocks) edge(ref blockRef, block *record.Block) {
	ref.at, ref.landedAt = block.First, record.NoTime
	b.add(ref, block)
}

// landed takes a block of a landing log: each of its records is a landed block.
func (b *blocks) landed(ref blockRef, block *record.Block) {
	for at, payload := range block.Payloads {
		l, err := landing.DecodeLanded(payload)
		if err != nil {
			continue // an opening
		}
		b.positions = append(b.positions, stream.Position{Log: ref.log.String(), Offset: int64(at) + 1, Hash: l.Hash()})
		if l.Conflict {
			continue // it is in the table conflict
		}
		inner, err := record.Parse(l.Block)
		if err != nil {
			continue
		}
		one := ref
		one.at, one.landing, one.landedAt = at, true, l.LandedAt
		b.add(one, &inner)
	}
}

func (b *blocks) add(ref blockRef, block *record.Block) {
	ref.first, ref.end, ref.kind, ref.prev, ref.hash = block.First, block.End(), block.Kind, block.Prev, record.HashBlock(block.Bytes)
	ref.watermark = watermarkOf(block)
	if d, ok := block.Digest(); ok {
		ref.digest = ais.Some(d)
	}
	for a := range block.Annotations {
		if a.Type == record.AnnLoss {
			ref.reason = string(a.Body)
		}
	}
	log := block.Log.String()
	b.byLog[log] = append(b.byLog[log], ref)
}

// watermarkOf returns the gateway's watermark that a block says, or
// record.NoTime.
func watermarkOf(b *record.Block) record.Micros {
	at := record.NoTime
	for a := range b.Annotations {
		if a.Type != record.AnnWatermark {
			continue
		}
		if w, err := a.Watermark(); err == nil && w.Source == "" {
			at = max(at, w.At)
		}
	}
	return at
}

// read returns a block.
func (ref *blockRef) read() (l landing.Landed, err error) {
	r, err := ref.store.Reader(ref.log, ref.at)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	item, err := r.Next()
	if err != nil {
		return l, err
	}
	if !ref.landing {
		return landing.Landed{Block: slices.Clone(item.Block.Bytes), LandedAt: record.NoTime}, nil
	}
	for at, payload := range item.Block.Payloads {
		if at == ref.at {
			l, err = landing.DecodeLanded(slices.Clone(payload))
			return l, err
		}
	}
	return l, fmt.Errorf("read landing offset %d: %w", ref.at, record.ErrCorrupt)
}

// prove returns the blocks of what an epoch took of a log, where they are there
// and the chain that the ledger holds proves each of them; landing logs first,
// which know when a block landed.
//
// The hash of the block at l.Next is in the ledger, and each block names the
// hash of the one before it: so going back from the end, whatever fits is what
// the engine took. A loss breaks the chain; before it the next hash that the
// ledger knows would be needed, so that such a range is not proved.
func (b *blocks) prove(l ledger.Log) []blockRef {
	refs := b.byLog[l.Log]
	want := l.Chain
	if want == "" {
		return nil
	}
	var chain []blockRef
	for next := l.Next; next > l.From; {
		best := -1
		for i := range refs {
			if refs[i].end == next && refs[i].hash.String() == want && (best < 0 || refs[i].landing && !refs[best].landing) {
				best = i
			}
		}
		if best < 0 || refs[best].kind != record.BlockData || refs[best].first < l.From {
			return nil
		}
		chain = append(chain, refs[best])
		next, want = refs[best].first, refs[best].prev.String()
	}
	slices.Reverse(chain)
	return chain
}

// state tells whether the blocks of what an epoch took of a log say themselves that their
// log has the digest that is named at its end, and the one that is named where it begins:
// then the gateway stated both. refs are what prove returned.
func (b *blocks) state(l *ledger.Log, before record.Digest, refs []blockRef) bool {
	want, err := record.ParseDigest(l.Digest)
	if last := refs[len(refs)-1].digest; err != nil || last != ais.Some(want) {
		return false
	}
	return l.From == 0 || slices.ContainsFunc(b.byLog[l.Log], func(ref blockRef) bool {
		return ref.end == l.From && ref.hash == refs[0].prev && ref.digest == ais.Some(before)
	})
}

// around returns the block that holds an offset, if one is there.
func (b *blocks) around(log string, offset record.Offset) (blockRef, bool) {
	refs := b.byLog[log]
	i, _ := slices.BinarySearchFunc(refs, offset, func(r blockRef, o record.Offset) int {
		if r.end <= o {
			return -1
		}
		return 1
	})
	if i < len(refs) && refs[i].first <= offset {
		return refs[i], true
	}
	return blockRef{}, false
}

// losses returns the declared losses that landed of a range of a log.
func (b *blocks) losses(l *ledger.Log) (rows []table.LossRow) {
	refs := b.byLog[l.Log]
	for i := range refs {
		ref := &refs[i]
		if ref.kind != record.BlockLoss || !ref.landing || ref.first < l.From || ref.end > l.Next {
			continue
		}
		row := table.LossRow{Gateway: l.Gateway, Log: l.Log, Offset: ref.first, Count: uint64(ref.end - ref.first), Reason: ref.reason, LandedAt: ref.landedAt}
		for k := range refs {
			if refs[k].end == ref.first && refs[k].digest.Valid && ref.digest.Valid {
				row.Digest = ais.Some(ref.digest.Value - refs[k].digest.Value)
			}
		}
		rows = append(rows, row)
	}
	return rows
}
