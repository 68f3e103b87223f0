package care

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"landfall/edge/record"
)

// note is what a process leaves for the next one, version 1, little-endian:
//
//	0    8   "LFcare1\n"
//	8    16  boot of the machine
//	24   1   bits: 1 the process runs, 2 it takes care, 4 a message is in hand
//	25   3   0
//	28   16  the message in hand
//	44   16  its address
//	60   2   length of its source's name, and
//	62   2   of its address as text; both are cut
//	64   64  the name
//	128  128 the address
//	256  272 suspect messages, 16 times: 16 bytes message, 1 byte deaths; 0: none
//	528  272 suspect addresses, likewise
//	800  4   CRC-32C of the bytes before
//
// It is overwritten in place: the same bytes of the same file at each message.
type note struct {
	boot [16]byte

	running, careful, holding bool

	messages, addresses suspects
	hand                hand
}

// count says of how many processes a message, or an address, was in hand when they died,
// since it was read to its end last.
type count struct {
	key    record.Hash
	deaths uint8
}

// suspects are those of which a process died. Messages of several sources may kill by
// turns, each while the others wait. Where there are too many, one with the fewest deaths
// is forgotten.
type suspects [maxSuspects]count

// maxSuspects is how many messages, and addresses, are suspects at a time.
const maxSuspects = 16

// of returns the deaths of a key.
func (s *suspects) of(key record.Hash) uint8 {
	for i := range s {
		if s[i].deaths > 0 && s[i].key == key {
			return s[i].deaths
		}
	}
	return 0
}

// died counts a death of a key, and returns how many there are.
func (s *suspects) died(key record.Hash) uint8 {
	at := 0
	for i := range s {
		if s[i].deaths > 0 && s[i].key == key {
			s[i].deaths++
			return s[i].deaths
		}
		if s[i].deaths < s[at].deaths {
			at = i
		}
	}
	s[at] = count{key, 1}
	return 1
}

// clear ends the suspicion of a key.
func (s *suspects) clear(key record.Hash) {
	for i := range s {
		if s[i].key == key {
			s[i] = count{}
		}
	}
}

// any tells whether there are suspects.
func (s *suspects) any() bool { return *s != suspects{} }

// hand is what is in hand.
type hand struct {
	message, address record.Hash
	source, name     string // for people; name is the address
}

const (
	noteMagic   = "LFcare1\n"
	noteBytes   = 804
	noteSources = 64  // where the name of the source lies
	noteNames   = 128 // and its address
	noteCounts  = 256 // and the suspects
	maxSource   = noteNames - noteSources
	maxAddress  = noteCounts - noteNames
	noteRunning = 1 << 0
	noteCareful = 1 << 1
	noteHolding = 1 << 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendTo appends the note's bytes.
func (n *note) appendTo(dst []byte) []byte {
	start := len(dst)
	dst = append(append(dst, noteMagic...), n.boot[:]...)
	bits := bit(n.running, noteRunning) | bit(n.careful, noteCareful) | bit(n.holding, noteHolding)
	dst = append(dst, bits, 0, 0, 0)
	dst = append(append(dst, n.hand.message[:]...), n.hand.address[:]...)
	source, name := n.hand.source[:min(len(n.hand.source), maxSource)], n.hand.name[:min(len(n.hand.name), maxAddress)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(source)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(name)))
	dst = append(append(dst, source...), make([]byte, maxSource-len(source))...)
	dst = append(append(dst, name...), make([]byte, maxAddress-len(name))...)
	for _, s := range []*suspects{&n.messages, &n.addresses} {
		for i := range s {
			dst = append(append(dst, s[i].key[:]...), s[i].deaths)
		}
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

// decodeNote reads what appendTo wrote. Errors: record.ErrVersion, record.ErrCorrupt.
func decodeNote(p []byte) (n note, err error) {
	switch {
	case len(p) >= len(noteMagic) && bytes.HasPrefix(p, []byte(noteMagic[:6])) && string(p[:len(noteMagic)]) != noteMagic:
		return n, fmt.Errorf("read the note of what was in hand: %w", record.ErrVersion)
	case len(p) != noteBytes || string(p[:len(noteMagic)]) != noteMagic,
		crc32.Checksum(p[:noteBytes-4], castagnoli) != binary.LittleEndian.Uint32(p[noteBytes-4:]):
		return n, fmt.Errorf("read the note of what was in hand: %w", record.ErrCorrupt)
	}
	copy(n.boot[:], p[8:])
	bits := p[24]
	n.running, n.careful, n.holding = bits&noteRunning != 0, bits&noteCareful != 0, bits&noteHolding != 0
	copy(n.hand.message[:], p[28:])
	copy(n.hand.address[:], p[44:])
	source, name := int(binary.LittleEndian.Uint16(p[60:])), int(binary.LittleEndian.Uint16(p[62:]))
	if source > maxSource || name > maxAddress {
		return note{}, fmt.Errorf("read the note of what was in hand: %w", record.ErrCorrupt)
	}
	n.hand.source, n.hand.name = string(p[noteSources:noteSources+source]), string(p[noteNames:noteNames+name])
	at := p[noteCounts:]
	for _, s := range []*suspects{&n.messages, &n.addresses} {
		for i := range s {
			s[i].deaths = at[copy(s[i].key[:], at)]
			at = at[len(s[i].key)+1:]
		}
	}
	return n, nil
}

// decision is what a start decides.
type decision struct {
	died    bool  // the last process died
	deaths  uint8 // of the message in the note's hand
	message bool  // it is refused for good
	address bool  // its address is refused for a while
}

// resume returns the note with which the next process begins, and what it decides by
// the one that it found.
func (n *note) resume(boot [16]byte) (next note, d decision) {
	next = note{boot: boot, running: true}
	if boot == [16]byte{} || n.boot != boot {
		return next, d // another boot: the power failed, and the note is of any age
	}
	next.careful, next.messages, next.addresses = n.careful, n.messages, n.addresses
	switch {
	case !n.running:
		return next, d
	case !n.careful:
		next.careful, d.died = true, true
		return next, d
	case !n.holding:
		// Somebody else kills here, and what was in hand before proves nothing.
		next.messages, next.addresses, d.died = suspects{}, suspects{}, true
		return next, d
	}
	d.died = true
	d.deaths = next.messages.died(n.hand.message)
	d.message = d.deaths >= maxDeaths
	if n.hand.address != (record.Hash{}) { // a line has none
		d.address = next.addresses.died(n.hand.address) >= maxDeaths && !d.message
	}
	if d.message || d.address {
		next.messages.clear(n.hand.message)
		next.addresses.clear(n.hand.address)
	}
	return next, d
}

// suspects tells whether a process has died of what is in hand.
func (n *note) suspects(h *hand) bool {
	return n.messages.of(h.message) > 0 || n.addresses.of(h.address) > 0
}

// cameThrough notes that what is in hand was read to its end.
func (n *note) cameThrough() {
	n.messages.clear(n.hand.message)
	n.addresses.clear(n.hand.address)
	n.holding, n.hand = false, hand{}
}
