package audit

import (
	"context"
	"crypto/sha256"
	"io"
	"strconv"

	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
)

// compareFile compares the size of the file that is being read, and at level
// bytes its hash, with the ledger's.
func (a *audit) compareFile(ctx context.Context, file File) error {
	x := a.file.expected
	if x == nil || !a.level.reaches(LevelFiles) {
		return nil
	}
	if file.Size() != x.bytes {
		a.wrongFile(KindFile, "has %d bytes, and %d were published", file.Size(), x.bytes)
		return nil
	}
	if !a.level.reaches(LevelBytes) {
		return nil
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, contextReader{ctx, io.NewSectionReader(file, 0, file.Size())}, make([]byte, 256<<10)); err != nil {
		return err
	}
	if [32]byte(h.Sum(nil)) != x.sha256 {
		a.wrongFile(KindFile, "has other bytes than were published: its SHA-256 is %x, not %x", h.Sum(nil), x.sha256)
	}
	return nil
}

// contextReader ends a long read when ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// compareFooter compares what the footer of the file that is being read says of
// it with its name and with the ledger.
func (a *audit) compareFooter(p *parquetfile.File) {
	f := &a.file
	x := f.expected
	if !a.level.reaches(LevelFiles) || f.task == "" {
		return
	}
	for _, one := range []struct{ key, want string }{{"landfall.table", string(f.table)}, {"landfall.task", f.task}, {"landfall.epoch", f.epoch.String()}} {
		if got, ok := p.Meta(one.key); got != one.want && (ok || x != nil) {
			a.wrongFile(KindFile, "says in its footer that its %s is %q", one.key, got)
		}
	}
	if x == nil {
		return
	}
	if got, _ := p.Meta("landfall.schema"); x.kind == ledger.KindEpoch && x.schema >= logSchema && got != strconv.Itoa(x.schema) {
		a.wrongFile(KindFile, "says in its footer that its landfall.schema is %q, and %d was published", got, x.schema)
	}
	if x.rows >= 0 && p.NumRows() != x.rows {
		a.wrongFile(KindFile, "has %d rows, and %d were published", p.NumRows(), x.rows)
	}
	if x.table != f.table || x.task.name != f.task || x.kind == ledger.KindEpoch && x.epoch != f.epoch {
		a.wrongFile(KindFile, "stands in the ledger as a file of table %s of epoch %s of %s", x.table, x.epoch, x.task.name)
	}
}
