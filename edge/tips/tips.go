// Package tips is what a gateway remembers of its logs: where each one ended, with
// its digest and its chain hash; and of the cloud: which ledger entry it told last.
// With it a person who has one small file from the ship can check the cloud, without
// the ship's disk and without trusting the cloud.
//
// In:  edge/agent adds the end of each log that is closed, and the ledger entries
// that answers of the cloud name; landfall-edge tips adds the end of the running log.
// Out: a Book, which is a file on the gateway, and a document, signed with the
// link's key when there is one, that landfall-engine audit reads.
//
// Invariants
//
//  1. From the first log that the book knows on, no log is forgotten: its tip
//     stands in Logs, or it is counted in Merged, whose hash vouches for the tips
//     that went into it. The book says nothing of the logs before: those of a
//     version that kept no book, or of a book that was damaged, which were not on
//     the disk any more when the book began.
//  2. Room is bounded: the oldest tips, of logs that the cloud holds whole, are
//     merged once there are more than MaxLogs. Behind a log that it does not hold
//     whole all are kept, up to eight times as many.
//  3. A tip is never lowered: a log that ends earlier than it did lost something.
//  4. An anchor never goes back either, and a contradiction of it is kept.
//
// A document is text of two lines or three:
//
//	landfall-tips 2
//	{…}                                     the JSON of Body
//	{"certificate": "…", "signature": "…"}  the JSON of Signature; absent: unsigned
//
// The signature is over the first two lines, their line ends included.
//
// A document has no spaces between the parts of its JSON and says each thing once,
// in this order, so that one meaning has one form. Without anchors it is of version
// 1, which had none, and which an audit of before reads.
//
// Everything here is pure: no file, no clock.
package tips

import (
	"crypto/sha256"
	"encoding/hex"

	"landfall/edge/record"
)

// Version is that of documents with anchors; it reads and writes version 1 too.
const Version = 2

// MaxLogs is how many tips are kept one by one.
const MaxLogs = 512

// Tip is the end of one log.
type Tip struct {
	Log      string        `json:"log"`      // record.LogID.String
	Previous string        `json:"previous"` // the log before it, also where the book does not know that one; empty: none
	End      record.Offset `json:"end"`      // after its last record
	Digest   string        `json:"digest"`   // of the whole log, in decimal; empty: not known
	Chain    string        `json:"chain"`    // hash of its last block, 32 hexadecimal digits; empty: not known
	Closed   bool          `json:"closed"`   // it takes no more records
	// Acked is the first offset that the cloud has not acknowledged.
	Acked record.Offset `json:"acked"`
}

// Merged stands for the oldest logs: closed and wholly acknowledged, but for the
// limit of invariant 2.
type Merged struct {
	Count uint64 `json:"count"`
	Last  string `json:"last"` // LogID of the newest of them; empty when Count is 0
	Hash  string `json:"hash"` // see Merge; empty when Count is 0
}

// Body is what a document says.
type Body struct {
	Gateway string        `json:"gateway"`
	MadeAt  record.Micros `json:"made_at"` // the gateway's clock
	Merged  Merged        `json:"merged"`
	Logs    []Tip         `json:"logs"` // in opening order
	// Anchors are the ledger entries that the cloud told, one a task, the newest last.
	Anchors []Anchor `json:"anchors,omitempty"`
}

// version is that of the document that says b.
func (b *Body) version() int {
	if len(b.Anchors) == 0 {
		return 1
	}
	return Version
}

// Signature says who vouches for a document.
type Signature struct {
	Certificate string `json:"certificate"` // PEM, the leaf first
	Signature   string `json:"signature"`   // base64; ECDSA, Ed25519 or RSA PKCS #1 v1.5 with SHA-256
}

// Merge adds a tip to those that are merged. The hash is
//
//	SHA-256( hash before, 32 bytes or none ‖ ASCII "log:previous:end:digest:chain" )
//
// so that an audit that has the same logs in the same order computes it again.
func (m Merged) Merge(t Tip) Merged {
	before, _ := hex.DecodeString(m.Hash)
	h := sha256.New()
	h.Write(before)
	h.Write([]byte(t.Log + ":" + t.Previous + ":" + t.End.String() + ":" + t.Digest + ":" + t.Chain))
	return Merged{Count: m.Count + 1, Last: t.Log, Hash: hex.EncodeToString(h.Sum(nil))}
}
