// Package forward brings a gateway's logs to the cloud over a link that is
// thin, slow, cut at any moment and paid by the byte.
//
// In:  the gateway's log store (edge/seglog), read below DurableOffset only;
// the answers of the cloud.
// Out: requests of edge/wire; AckedOffset, persisted, and Release of what the
// cloud holds (C3).
//
// Core decides what happens next and does nothing else: no I/O, no clock, no
// randomness. Session carries it out: one request at a time.
//
// Invariants
//
//  1. Every request starts at AckedOffset of its log, so an acknowledged byte
//     never crosses the link again. Where AckedOffset is not known, and after an
//     end that leaves open what was landed, the session asks before it sends.
//  2. Logs are sent in opening order, one at a time; a log is left before its
//     end only when it is red.
//  3. AckedOffset is durable before anything below it is released (C3), and
//     never goes down: an answer below it makes the log red, and nothing of it
//     is sent again or called lost.
//  4. Only a range that the store itself returns as a Gap becomes a loss block. It
//     says the digest of the log at its end, where that is known.
//  5. An answer above AckedOffset is compared with this gateway's own log: another
//     hash, or no block that ends there, makes the log red. Where the answer states
//     no hash, or the store no longer has the block, there is nothing to compare,
//     and it is believed up to the end of the log.
//  6. A gateway with unforwarded logs is not renamed.
//
// A red log stays on disk, is asked about again at intervals, and holds up no
// other. Session.Run belongs to one goroutine; Status may be called from any.
package forward

import "errors"

// Errors of this package, to be tested with errors.Is.
var (
	// ErrRenamed says that logs of another gateway name wait to be forwarded.
	ErrRenamed = errors.New("gateway was renamed while logs wait to be forwarded")
	// ErrState says that the file that holds AckedOffset cannot be read.
	ErrState = errors.New("forwarding state is damaged")
)
