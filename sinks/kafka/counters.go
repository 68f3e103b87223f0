package kafka

import "sync/atomic"

// Counters count what a process's sinks did. They may be read at any time.
type Counters struct {
	Epochs   atomic.Uint64 // published in a transaction of this process
	Rows     atomic.Uint64 // of these
	Bytes    atomic.Uint64 // of these, keys and values
	Found    atomic.Uint64 // epochs whose marker was there already
	Failures atomic.Uint64 // transactions that did not come to a known end
	Fenced   atomic.Uint64 // of these, ended by another writer of the task
	Omitted  atomic.Uint64 // rows too large, sent without their largest fields
}
