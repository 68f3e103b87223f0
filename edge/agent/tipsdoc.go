package agent

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"landfall/edge/certs"
	"landfall/edge/durable"
	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/tips"
	"landfall/edge/wire"
)

// ErrBookDamaged says that the book of the ends of logs cannot be read.
var ErrBookDamaged = errors.New("the book of the ends of logs is damaged; the gateway sets it aside at its next start and begins it again")

// A directory that is read beside its gateway may change meanwhile: it is read
// again.
const (
	readAgain      = 10
	readAgainAfter = 50 * time.Millisecond
)

// Tips reads what a document says of a gateway's logs: those of the book, and
// those on disk, the running one up to what is durable now. It changes nothing,
// and may be called beside a running gateway or without one. name is a name that
// the gateway had; empty: the present one. Errors: ErrBookDamaged,
// record.ErrVersion, an error for a name it never had, the context's, and those of
// the file system.
func (c *Config) Tips(ctx context.Context, fsys durable.FS, name string, now time.Time) (tips.Body, error) {
	owned, fsys := fsys, durable.ReadOnly(fsys)
	name = cmp.Or(name, c.Gateway)
	book, err := loadTips(fsys, c.TipsFile())
	if errors.Is(err, record.ErrCorrupt) || errors.Is(err, durable.ErrMedia) {
		err = fmt.Errorf("%w (%w)", ErrBookDamaged, err)
	}
	if err != nil {
		return tips.Body{}, err
	}
	was, acked, err := forward.ReadSettled(fsys, c.ForwardState())
	if err != nil && !errors.Is(err, forward.ErrState) && !errors.Is(err, durable.ErrMedia) { // or nothing is known to be acknowledged
		return tips.Body{}, err
	}
	if _, err := fsys.Stat(c.LogDir()); err != nil {
		return tips.Body{}, fmt.Errorf("read the gateway's logs: %w", err)
	}
	for n := 1; ; n++ {
		last := n == readAgain
		found, err := c.endsOnDisk(fsys, book, acked, last)
		if err == nil {
			book.Learn(cmp.Or(was, c.Gateway), found)
			break
		}
		if last || errors.Is(err, record.ErrVersion) {
			return tips.Body{}, err
		}
		select {
		case <-time.After(readAgainAfter):
		case <-ctx.Done():
			return tips.Body{}, ctx.Err()
		}
	}
	if err := owned.SyncDir(c.LogDir()); err != nil { // a segment just made may not have its name on the disk yet
		return tips.Body{}, err
	}
	body := book.Body(name, record.Micros(now.UnixMicro()))
	if name != c.Gateway && len(body.Logs) == 0 {
		return tips.Body{}, fmt.Errorf("no log of %q: the gateway had the names %q", name, book.Names())
	}
	return body, nil
}

// errMoving says that the directory changed while it was read.
var errMoving = errors.New("the log directory changes while it is read")

// endsOnDisk reads the ends of the logs on disk. Only a log that a newer one
// follows is known to be closed. A newest segment that is not there may have been
// made since the directory was listed, and a last block that is not there may have
// been released since: that is errMoving, unless this is the last attempt.
func (c *Config) endsOnDisk(fsys durable.FS, book *tips.Book, acked map[record.LogID]record.Offset, last bool) ([]tips.Tip, error) {
	store, err := seglog.Open(seglog.Config{FS: fsys, Dir: c.LogDir(), SegmentBytes: int64(c.Log.SegmentSize)})
	if err != nil {
		return nil, err
	}
	found, err := findTips(store, book, acked)
	moving := store.Stats().Beheaded > 0
	for i := range found {
		found[i].Closed = i < len(found)-1
		moving = moving || found[i].Chain == ""
	}
	if err == nil && moving && !last {
		err = errMoving
	}
	return found, errors.Join(err, store.Close())
}

// TipsSigner returns the key and the certificates that sign a gateway's document,
// those of the link; without one it says why there is none. Errors:
// config.FieldErrors.
func (c *Config) TipsSigner(fsys durable.FS, gateway string) (key crypto.Signer, chain [][]byte, why string, err error) {
	if c.Forward.CertFile == "" {
		return nil, nil, "forward.cert_file and forward.key_file are not set", nil
	}
	k, err := certs.Open(c.Forward.certs(fsys))
	if err != nil {
		return nil, nil, "", err
	}
	own := k.Own()
	if !wire.CertificateNames(own.Leaf, gateway) {
		return nil, nil, fmt.Sprintf("the certificate in forward.cert_file is of %q, not of %q", own.Leaf.Subject.CommonName, gateway), nil
	}
	key, ok := own.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Sprintf("the key in forward.key_file is a %T", own.PrivateKey), nil
	}
	return key, own.Certificate, "", nil
}
