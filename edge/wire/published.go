package wire

import (
	"encoding/hex"
	"fmt"
	"time"

	"landfall/edge/record"
)

// Published says how far a log is in the lake.
type Published struct {
	Next   record.Offset // the first offset that is not in the lake, verified and in the ledger
	Hash   record.Hash   // of the block that ends at Next; zero: not known, as behind a loss and at 0
	Ledger LedgerTip     // zero: none
}

// LedgerTip names the newest entry of a task's ledger that the cloud has
// verified.
type LedgerTip struct {
	Task   string // 1 to MaxTaskBytes of a-z, 0-9 and '-'
	Number uint64 // of the entry, from 1
	SHA256 string // of the entry, 64 lower-case hexadecimal digits
}

// IsZero says that there is none.
func (t LedgerTip) IsZero() bool { return t == LedgerTip{} }

// check says why a tip may not stand in an answer; "" when it may.
func (t LedgerTip) check() string {
	if !isName(t.Task, MaxTaskBytes) {
		return fmt.Sprintf("task %.80q of %d bytes", t.Task, len(t.Task))
	}
	if t.Number == 0 {
		return "number 0"
	}
	if p, err := hex.DecodeString(t.SHA256); err != nil || len(p) != 32 || hex.EncodeToString(p) != t.SHA256 {
		return fmt.Sprintf("sha256 %.80q", t.SHA256)
	}
	return ""
}

// isName tells whether s is 1 to longest of a-z, 0-9 and '-'.
func isName(s string, longest int) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

type publishedJSON struct {
	Lake    string      `json:"lake,omitempty"`
	Next    *uint64     `json:"next,omitempty"`
	Hash    *string     `json:"hash,omitempty"`
	AgainIn int64       `json:"again_in,omitempty"` // seconds
	Ledger  *ledgerJSON `json:"ledger,omitempty"`
}

type ledgerJSON struct {
	Task   string `json:"task"`
	Number uint64 `json:"number"`
	SHA256 string `json:"sha256"`
}

// encodePublished returns the object of an answer; nil from an ingest that does
// not tell.
func (a Answer) encodePublished() *publishedJSON {
	if !a.Publishes {
		return nil
	}
	j := &publishedJSON{AgainIn: int64(min(max(a.AgainIn, 0), MaxAgainIn) / time.Second)}
	if isName(a.Lake, MaxLakeBytes) {
		j.Lake = a.Lake
	}
	if !a.PublishedKnown {
		return j
	}
	next, hash := uint64(a.Published.Next), ""
	if a.Published.Hash != (record.Hash{}) {
		hash = a.Published.Hash.String()
	}
	j.Next, j.Hash = &next, &hash
	if t := a.Published.Ledger; t.check() == "" {
		j.Ledger = &ledgerJSON{Task: t.Task, Number: t.Number, SHA256: t.SHA256}
	}
	return j
}

// decodePublished reads what encodePublished wrote, after decodeAcked.
// Error: ErrNotAnswer.
func (a *Answer) decodePublished(j *publishedJSON) error {
	if j == nil {
		return nil
	}
	if j.AgainIn < 0 || j.AgainIn > int64(MaxAgainIn/time.Second) {
		return fmt.Errorf("published: again_in %d: %w", j.AgainIn, ErrNotAnswer)
	}
	if j.Lake != "" && !isName(j.Lake, MaxLakeBytes) {
		return fmt.Errorf("published: lake %.80q: %w", j.Lake, ErrNotAnswer)
	}
	a.Publishes, a.AgainIn, a.Lake = true, time.Duration(j.AgainIn)*time.Second, j.Lake
	if j.Next == nil {
		if j.Hash != nil || j.Ledger != nil {
			return fmt.Errorf("published: hash or ledger without next: %w", ErrNotAnswer)
		}
		return nil
	}
	a.PublishedKnown, a.Published.Next = true, record.Offset(*j.Next)
	if a.Known && a.Published.Next > a.Acked {
		return fmt.Errorf("published below %d and acknowledged below %d: %w", a.Published.Next, a.Acked, ErrNotAnswer)
	}
	if j.Hash != nil && *j.Hash != "" {
		h, err := record.ParseLogID(*j.Hash)
		if err != nil {
			return fmt.Errorf("published: hash %.80q: %w", *j.Hash, ErrNotAnswer)
		}
		a.Published.Hash = record.Hash(h)
	}
	if j.Ledger == nil {
		return nil
	}
	t := LedgerTip{Task: j.Ledger.Task, Number: j.Ledger.Number, SHA256: j.Ledger.SHA256}
	if why := t.check(); why != "" {
		return fmt.Errorf("published: ledger: %s: %w", why, ErrNotAnswer)
	}
	a.Published.Ledger = t
	return nil
}
