package seglog

import "landfall/edge/record"

// hashInline is the size up to which a block is hashed where it is: handing it
// to another core takes about as long as 16 KiB, and lets the fsync begin later.
const hashInline = 16 << 10

// hasher makes the chained hash of a block while the block's fsync runs.
type hasher struct {
	blocks chan []byte
	hashes chan record.Hash
}

func newHasher() hasher {
	return hasher{blocks: make(chan []byte, 1), hashes: make(chan record.Hash, 1)}
}

// run is the hasher's goroutine, owned by the Store.
func (h *hasher) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case block := <-h.blocks:
			h.hashes <- record.HashBlock(block)
		}
	}
}

// hashing is a hash under way, or made already.
type hashing struct {
	hashes <-chan record.Hash
	hash   record.Hash
}

// start begins to hash a block, which must not change before wait returns.
func (h *hasher) start(block []byte) hashing {
	if len(block) <= hashInline {
		return hashing{hash: record.HashBlock(block)}
	}
	h.blocks <- block
	return hashing{hashes: h.hashes}
}

func (h hashing) wait() record.Hash {
	if h.hashes == nil {
		return h.hash
	}
	return <-h.hashes
}
