package seglog

import (
	"errors"
	"fmt"
	"io"

	"landfall/edge/record"
)

// Tip is the end of a log, with what vouches for everything below it.
type Tip struct {
	End         record.Offset
	Digest      record.Digest // of the log at End, when DigestKnown
	DigestKnown bool
	Chain       record.Hash // of the block that ends at End; zero: not known
}

// Tip returns where a log ends: for the active log where the last Append that
// returned left it. The first
// call for a log of an earlier Store reads its last segment; digest and chain are
// not known where its last block cannot be read, and the digest neither where the
// block carries none. Errors: ErrUnknownLog, ErrClosed, and the file system's.
func (s *Store) Tip(log record.LogID) (Tip, error) {
	s.mu.Lock()
	l, _ := s.find(log)
	if s.closed || l == nil {
		defer s.mu.Unlock()
		if s.closed {
			return Tip{}, ErrClosed
		}
		return Tip{}, fmt.Errorf("find the tip of log %s: %w", log, ErrUnknownLog)
	}
	tip, end, active := l.tip, l.end, l.active
	s.mu.Unlock()
	if active || tip.End == end && end > 0 {
		return tip, nil
	}
	tip, err := s.readTip(log, end)
	if err != nil {
		return Tip{}, fmt.Errorf("find the tip of log %s: %w", log, err)
	}
	s.mu.Lock()
	l.tip = tip
	s.mu.Unlock()
	return tip, nil
}

// readTip reads the last block of a log that ends at end.
func (s *Store) readTip(log record.LogID, end record.Offset) (tip Tip, err error) {
	tip.End = end
	if end == 0 {
		return tip, nil
	}
	r, err := s.Reader(log, end-1)
	if err != nil {
		return Tip{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	item, err := r.Next()
	if errors.Is(err, io.EOF) {
		return tip, nil
	}
	if err != nil || item.IsGap() {
		return tip, err
	}
	tip.Chain = record.HashBlock(item.Block.Bytes)
	tip.Digest, tip.DigestKnown = item.Block.Digest()
	return tip, nil
}

// appendedTip is the tip of the active log. Caller holds appendMu.
func (s *Store) appendedTip() Tip {
	return Tip{End: s.app.next, Digest: s.app.digest, DigestKnown: s.cfg.CapturedRecords, Chain: s.app.prev}
}
