package source

import (
	"encoding/binary"
	"fmt"
	"slices"

	"landfall/edge/record"
)

// nodeHistory is what is known of a node across its sessions and ours: the
// highest number taken, and the content of those taken last. It is the node's
// mark in the log:
//
//	1 byte   version (1)
//	uvarint  highest number taken
//	uvarint  number of contents, oldest first, each:
//	    uvarint  highest number less this one's
//	    4 bytes  CRC-32 of the content, little-endian
type nodeHistory struct {
	high   uint64
	recent []nodeContent
}

type nodeContent struct {
	sequence uint64
	crc      uint32
}

// nodeRecent is how many contents are kept: an honest node repeats no more than
// its window.
const nodeRecent = 2 * nodeWindow

const nodeMarkVersion = 1

func (h *nodeHistory) encode() []byte {
	p := binary.AppendUvarint([]byte{nodeMarkVersion}, h.high)
	p = binary.AppendUvarint(p, uint64(len(h.recent)))
	for _, c := range h.recent {
		p = binary.LittleEndian.AppendUint32(binary.AppendUvarint(p, h.high-c.sequence), c.crc)
	}
	return p
}

// decodeNodeHistory reads what encode wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeNodeHistory(p []byte) (nodeHistory, error) {
	if len(p) == 0 {
		return nodeHistory{}, nil
	}
	if p[0] != nodeMarkVersion {
		return nodeHistory{}, fmt.Errorf("decode node's mark of version %d: %w", p[0], record.ErrVersion)
	}
	f := record.NewFields(p[1:])
	h := nodeHistory{high: f.Uvarint()}
	for n := f.Uvarint(); n > 0 && !f.Bad(); n-- {
		c := nodeContent{sequence: h.high - f.Uvarint()}
		if crc := f.Take(4); crc != nil {
			c.crc = binary.LittleEndian.Uint32(crc)
			h.recent = append(h.recent, c)
		}
	}
	if f.Bad() || len(f.Rest()) > 0 {
		return nodeHistory{}, fmt.Errorf("decode node's mark: %w", record.ErrCorrupt)
	}
	return h, nil
}

// nodeFate is what becomes of a reading.
type nodeFate uint8

const (
	nodeNew      nodeFate = iota // not taken yet
	nodeRepeat                   // taken, the same
	nodeConflict                 // its number was taken, not with this content
)

// judge says what becomes of a reading with that number and content, and takes
// note of it unless it is a repeat.
func (h *nodeHistory) judge(sequence uint64, crc uint32) nodeFate {
	fate := nodeNew
	if sequence <= h.high {
		fate = nodeConflict
		if slices.Contains(h.recent, nodeContent{sequence, crc}) {
			return nodeRepeat
		}
	}
	h.high = max(h.high, sequence)
	if len(h.recent) == nodeRecent {
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.recent = append(h.recent, nodeContent{sequence, crc})
	return fate
}
