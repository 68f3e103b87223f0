package parquet

import (
	"landfall/edge/record"
	"landfall/engine/table"
)

// rowsOf is one table's columns, being filled with rows of type R.
type rowsOf[R any] interface {
	// declare names the columns, once, before the first row.
	declare(d *declaration)
	add(r *R)
	// keys gives the sort key of each row.
	keys(dst []key)
}

type recordCols struct {
	lineageCols
	rowCols
	timeCols
	kind              codes
	source, boot, why strs
	landed, monotonic ints[int64]
	flags             strs
	raw               blobs
	rows              ints[int32]
}

func (c *recordCols) declare(d *declaration) {
	c.lineageCols.declare(d)
	c.rowCols.declare(d)
	d.code(&c.kind, "kind", false, "log_open, ais, fragment, sentence, text, reading")
	d.string(&c.source, "source", true, "source of the gateway that captured it; NULL: none (log_open)")
	c.timeCols.declare(d)
	d.time(&c.landed, "landed_at", "the cloud's clock when the record was durable there; NULL: unknown")
	d.string(&c.boot, "boot_id", true, "boot that monotonic counts from, 32 hexadecimal digits; NULL: unknown")
	d.int64(&c.monotonic, "monotonic", "us", false, "gateway's monotonic clock at receipt")
	d.blob(&c.raw, "raw", Blob, false, "bytes as received, without line ends; lines of one message joined by a newline; kind reading: the payload with what was read in it, see below sensor_reading")
	d.string(&c.flags, "flags", false, "what was unusual about the envelope, joined by '|'; empty: nothing")
	d.string(&c.why, "reject_reason", true, "why no typed row was made of it; NULL: nothing to say")
	d.int32(&c.rows, "rows", "", false, "typed rows it gave, the same as _rows")
}

func (c *recordCols) add(r *table.RecordRow) {
	c.lineageCols.add(r.Gateway, r.Log, r.Offset)
	c.rowCols.add(&r.Lineage)
	c.timeCols.add(&r.Times)
	c.kind.add(byte(r.Kind), func(b byte) string { return record.Kind(b).String() })
	c.source.addOrNull(r.Source)
	c.landed.add(int64(r.LandedAt))
	c.boot.addOrNull(r.BootID)
	c.monotonic.add(r.Monotonic)
	c.raw.add(r.Raw)
	c.flags.add(r.Flags.String())
	c.why.addOrNull(r.RejectReason)
	c.rows.add(r.Rows)
}

type lossCols struct {
	lineageCols
	count, landed ints[int64]
	reason        strs
	digest        uints
}

func (c *lossCols) declare(d *declaration) {
	c.lineageCols.declare(d)
	d.int64(&c.count, "count", "", false, "offsets given up, from _offset")
	d.string(&c.reason, "reason", false, "shed, corrupt, missing")
	d.time(&c.landed, "landed_at", "the cloud's clock when the loss was declared there; NULL: unknown")
	d.uint64(&c.digest, "digest", "", true, "what the range adds to the digest of its log, see the table log; of ranges that lie side by side the first may say what all of them add, and the others 0; NULL: the gateway did not know it")
}

func (c *lossCols) add(r *table.LossRow) {
	c.lineageCols.add(r.Gateway, r.Log, r.Offset)
	c.count.add(int64(r.Count))
	c.reason.add(r.Reason)
	c.landed.add(int64(r.LandedAt))
	addDigest(&c.digest, r.Digest)
}

type conflictCols struct {
	lineageCols
	count, landed, place ints[int64]
	reason, landing      strs
	block                blobs
}

func (c *conflictCols) declare(d *declaration) {
	c.lineageCols.declare(d)
	d.int64(&c.count, "count", "", false, "offsets of the block, from _offset")
	d.string(&c.reason, "reason", false, "what it contradicts: hash, chain, gap, unknown_log, gateway, after_loss, corrupt, ingest, or foreign_log: its opening another gateway's log; or poison: nothing, processes died of it")
	d.blob(&c.block, "block", Blob, false, "the whole block as it landed")
	d.time(&c.landed, "landed_at", "the cloud's clock when it was durable there; NULL: unknown")
	d.string(&c.landing, "landing_log", false, "link of the landing log's chain in which the block lies")
	d.int64(&c.place, "landing_offset", "", false, "position behind the block in that link")
}

func (c *conflictCols) add(r *table.ConflictRow) {
	c.lineageCols.add(r.Gateway, r.Log, r.Offset)
	c.count.add(int64(r.Count))
	c.reason.add(r.Reason)
	c.block.add(r.Block)
	c.landed.add(int64(r.LandedAt))
	c.landing.add(r.LandingLog)
	c.place.add(r.LandingOffset)
}

type logCols struct {
	gateway, log, previous, chain               strs
	next, previousEnd, opened, watermark, epoch ints[int64]
	landed                                      ints[int64]
	digest                                      uints
	closed                                      bools
}

func (c *logCols) declare(d *declaration) {
	d.string(&c.gateway, "_gateway", false, "gateway whose log it is")
	d.string(&c.log, "_log", false, "the log, 32 hexadecimal digits")
	d.int64(&c.next, "next_offset", "", false, "every offset below it stands in record, or in a range of loss")
	d.string(&c.previous, "previous_log", true, "log of that gateway before this one, as this log's first record names it; NULL: the first of its gateway, or opened_at is NULL")
	d.int64(&c.previousEnd, "previous_end", "", true, "where that log ended, or at least, where its gateway had lost the end of it; NULL: as previous_log")
	d.time(&c.opened, "opened_at", "the gateway's wall clock when it opened the log; NULL: the first record does not say it (a recording that was replayed), or was lost")
	d.uint64(&c.digest, "digest", "", true, "sum of the digests of all records below next_offset, modulo 2^64, as the gateway made it when it captured them; see below; NULL: not known")
	d.string(&c.chain, "chain", true, "hash of the block that ends at next_offset, 32 hexadecimal digits; NULL: a range of loss ends there")
	d.bool(&c.closed, "closed", false, "the gateway has opened a newer log that names this one as the log before it")
	d.time(&c.watermark, "watermark", "the gateway's watermark: no event older than it was expected then; NULL: it had none")
	d.int64(&c.epoch, "epoch", "", false, "epoch of the task that wrote the row")
	d.time(&c.landed, "landed_at", "the cloud's clock when the newest of what the row says was durable there; NULL: unknown")
}

func (c *logCols) add(r *table.LogRow) {
	c.gateway.add(r.Gateway)
	c.log.add(r.Log)
	c.next.add(int64(r.NextOffset))
	c.previous.addOrNull(r.Previous)
	if r.Previous == "" {
		c.previousEnd.add(null64)
	} else {
		c.previousEnd.add(int64(r.PreviousEnd))
	}
	c.opened.add(int64(r.OpenedAt))
	addDigest(&c.digest, r.Digest)
	if r.Chain == (record.Hash{}) {
		c.chain.addIndex(noKey)
	} else {
		c.chain.add(r.Chain.String())
	}
	c.closed.set(r.Closed)
	c.watermark.add(int64(r.Watermark))
	c.epoch.add(int64(r.Epoch))
	c.landed.add(int64(r.LandedAt))
}

// keys sorts by (_gateway, _log, next_offset).
func (c *logCols) keys(dst []key) {
	g, l := ranks(c.gateway.keys), ranks(c.log.keys)
	for i := range dst {
		dst[i] = key{g[c.gateway.at(i)]*uint32(len(l)) + l[c.log.at(i)], uint32(i), c.next.at(i)}
	}
}
