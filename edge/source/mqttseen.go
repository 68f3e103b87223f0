package source

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"landfall/edge/record"
)

// seen remembers the newest messages that were taken, by the hash of topic and
// payload. It lies in marks of the log, a chunk each, so that a mark that rides
// in a block is small however many are remembered. The mark <source>/<n> holds
// chunk c of those with c mod chunks = n. Version 1:
//
//	1 byte version (1) | uvarint c | up to 16 hashes of 8 bytes, in order
//
// A message without an identity of its own is not remembered, but where a topic has
// a retained one: each connection brings that again, so the last value taken of the
// topic is. It is three hashes in one chunk: lastMark, of the topic (lastTopic) and of
// the value; the newest ones of a topic count. An earlier value is a new message when
// it comes back. However many others came since, last values are not forgotten, of
// as many topics as there is room for (keptShare): they move on into the chunk that takes the place of theirs. (What
// older programs wrote has no lastMark, and is forgotten with its chunk.)
type seen struct {
	name    string
	chunks  uint64
	topics  map[uint64]bool   // with a last value that moves on
	newest  map[uint64]uint64 // of a topic, the newest message with an identity that came in this run
	of      map[uint64]uint64 // such a message's topic
	taken   map[uint64]uint64 // hash to the newest chunk it lies in
	ring    [][]uint64        // chunk c lies at c mod chunks
	numbers []uint64          // of the chunks in ring
	chunk   uint64            // the one being filled
}

const (
	seenVersion = 1
	seenChunk   = 16 // hashes a chunk
	// keptShare is how many hashes are remembered for each topic whose last value moves
	// on: so those are at most three of eight hashes.
	keptShare = 8
)

// identify hashes a message: equal hashes are equal messages, as far as 64 bits
// of SHA-256 tell.
func identify(topic string, payload []byte) uint64 {
	h := sha256.New()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(topic)))
	h.Write(n[:])
	h.Write([]byte(topic))
	h.Write(payload)
	var sum [sha256.Size]byte
	return binary.LittleEndian.Uint64(h.Sum(sum[:0]))
}

// lastTopic is the hash that stands before the last value of a topic; lastValue is that
// of a value. No topic has a NUL (MQTT 3.1.1, 1.5.3), so neither is any other's.
func lastTopic(topic string) uint64 { return identify("\x00\x00"+topic, nil) }

func lastValue(topic string, payload []byte) uint64 { return identify("\x00"+topic, payload) }

// lastMark is the hash that stands before those of a last value.
var lastMark = identify("\x00\x00\x00", nil)

// openSeen reads the marks of a source. Error: record.ErrVersion; a damaged
// mark is as if it were not there.
func openSeen(name string, remember int, sink Sink) (*seen, error) {
	chunks := max(2, (remember+seenChunk-1)/seenChunk)
	s := &seen{
		name: name, chunks: uint64(chunks), topics: map[uint64]bool{}, newest: map[uint64]uint64{}, of: map[uint64]uint64{},
		taken: map[uint64]uint64{}, ring: make([][]uint64, chunks), numbers: make([]uint64, chunks),
	}
	for n := range uint64(chunks) {
		p := sink.Position(s.markName(n))
		if len(p) == 0 {
			continue
		}
		if p[0] != seenVersion {
			return nil, fmt.Errorf("read mark %s, version %d: %w", s.markName(n), p[0], record.ErrVersion)
		}
		f := record.NewFields(p[1:])
		c := f.Uvarint()
		hashes := f.Rest()
		if f.Bad() || len(hashes)%8 != 0 || len(hashes) > 8*seenChunk {
			continue
		}
		// Chunks of a larger or smaller ring lie elsewhere and are taken all the
		// same: what counts is which messages were taken.
		s.numbers[n], s.chunk = c, max(s.chunk, c)
		for ; len(hashes) > 0; hashes = hashes[8:] {
			s.ring[n] = append(s.ring[n], binary.LittleEndian.Uint64(hashes))
		}
	}
	for n := range uint64(chunks) {
		for i, h := range s.ring[n] {
			s.taken[h] = max(s.taken[h], s.numbers[n])
			if h == lastMark && i+2 < len(s.ring[n]) {
				s.keep(s.ring[n][i+1])
			}
		}
	}
	if at := s.chunk % s.chunks; s.numbers[at] != s.chunk || len(s.ring[at]) >= seenChunk {
		s.next()
	}
	return s, nil
}

func (s *seen) markName(n uint64) string { return fmt.Sprintf("%s/%d", s.name, n) }

// has says whether a message was taken.
func (s *seen) has(hash uint64) bool {
	_, ok := s.taken[hash]
	return ok
}

// last returns the last value taken of a topic that has had a retained one.
func (s *seen) last(topic uint64) (value uint64, ok bool) {
	c, ok := s.taken[topic]
	if !ok {
		return 0, false
	}
	at := slices.IndexFunc(s.numbers, func(n uint64) bool { return n == c })
	if s.numbers[c%s.chunks] == c {
		at = int(c % s.chunks)
	}
	chunk := s.ring[at]
	for i := len(chunk) - 2; i >= 0; i-- {
		if chunk[i] == topic {
			return chunk[i+1], true
		}
	}
	return 0, false
}

// recall tells whether a message was taken, and what is to be remembered of it all the
// same. One that is not retained and has no identity may have the bytes of another and
// be new; like any other it ends what was the last value of its topic.
func (s *seen) recall(msg *message, identified bool) (hashes []uint64, known bool) {
	if identified {
		key := identify(msg.topic, msg.payload)
		if known = s.has(key); !known {
			hashes = append(hashes, key)
		}
	}
	topic := lastTopic(msg.topic)
	last, ok := s.last(topic)
	if !ok && !msg.retained {
		return hashes, known
	}
	value := lastValue(msg.topic, msg.payload)
	switch {
	case ok && last == value:
		return hashes, known || msg.retained
	case known && ok: // an older message of the topic, once more
		return nil, true
	}
	return append(hashes, lastMark, topic, value), known
}

// full says that adding n more begins a chunk, and so another mark.
func (s *seen) full(n int) bool { return len(s.ring[s.chunk%s.chunks])+n > seenChunk }

// add remembers hashes of a message that is being taken, in one chunk, and forgets the
// oldest ones.
func (s *seen) add(hashes ...uint64) {
	for s.full(len(hashes)) {
		s.next()
	}
	s.put(hashes)
}

// latest notes that a message with an identity is the newest of its topic. A broker does
// not say of what comes live that it is retained, and brings it at the next connection:
// so the newest message of a topic moves on as last values do, until then. After a
// restart that connection has been.
func (s *seen) latest(msg *message) {
	topic, key := lastTopic(msg.topic), identify(msg.topic, msg.payload)
	before, ok := s.newest[topic]
	if s.topics[topic] || !ok && uint64(len(s.newest)) >= s.chunks*seenChunk/keptShare {
		return
	}
	delete(s.of, before)
	s.newest[topic], s.of[key] = key, topic
}

// put appends hashes to the chunk that is being filled.
func (s *seen) put(hashes []uint64) {
	at := s.chunk % s.chunks
	s.ring[at] = append(s.ring[at], hashes...)
	for i, h := range hashes {
		s.taken[h] = s.chunk
		if h == lastMark {
			s.keep(hashes[i+1])
		}
	}
}

// keep has the last values of a topic move on, where there is room for it.
func (s *seen) keep(topic uint64) {
	if uint64(len(s.topics)) < s.chunks*seenChunk/keptShare {
		s.topics[topic] = true
		delete(s.of, s.newest[topic])
		delete(s.newest, topic)
	}
}

// next begins a chunk in the place of the oldest, with those last values of it that are
// the newest of their topic. Until the chunk's mark is written the old one has them.
func (s *seen) next() {
	s.chunk++
	at := s.chunk % s.chunks
	old, number := s.ring[at], s.numbers[at]
	s.ring[at], s.numbers[at] = make([]uint64, 0, seenChunk), s.chunk
	var kept []uint64
	for i, h := range old {
		if h == lastMark && i+2 < len(old) && s.topics[old[i+1]] && s.taken[old[i+1]] == number && !slices.Contains(old[i+2:], old[i+1]) {
			kept = append(kept, old[i:i+3]...)
		} else if _, newest := s.of[h]; newest && s.taken[h] == number && !slices.Contains(kept, h) {
			kept = append(kept, h)
		}
	}
	for _, h := range old {
		if s.taken[h] == number { // else it lies in a newer one too
			delete(s.taken, h)
			if !slices.Contains(kept, h) {
				delete(s.topics, h)
			}
		}
	}
	s.put(kept)
}

// mark gives the mark of the chunk that is being filled.
func (s *seen) mark() (name string, value []byte) {
	value = binary.AppendUvarint(append(make([]byte, 0, 10+8*seenChunk), seenVersion), s.chunk)
	for _, h := range s.ring[s.chunk%s.chunks] {
		value = binary.LittleEndian.AppendUint64(value, h)
	}
	return s.markName(s.chunk % s.chunks), value
}
