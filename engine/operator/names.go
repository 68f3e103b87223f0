package operator

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"iter"

	"landfall/edge/record"
	"landfall/engine/state"
)

// Names are gateways by the number that stood for them in keys of state until its
// version 2: FNV-1a, 64 bits, of the name. Two names may have one number, and whoever
// chooses a name can choose it so: of such gateways nothing of that time is remembered.
type Names map[uint64]string

// NamesOf returns the Names of some gateways.
func NamesOf(gateways iter.Seq[string]) Names {
	names := Names{}
	for name := range gateways {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name)) // never fails
		if _, taken := names[h.Sum64()]; taken {
			name = ""
		}
		names[h.Sum64()] = name
	}
	return names
}

// numbered stands in a key for a gateway of which only the number is known: no name has
// a zero byte.
func numbered(number uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{0}, number))
}

// isNumbered tells whether a key has a number in place of a gateway's name.
func isNumbered(gateway string) bool { return len(gateway) == 9 && gateway[0] == 0 }

// of returns the name that a key of state means; false: nobody knows it.
func (n Names) of(gateway string) (string, bool) {
	if isNumbered(gateway) {
		gateway = n[binary.BigEndian.Uint64([]byte(gateway[1:]))]
	}
	return gateway, gateway != ""
}

// cutGateway takes the gateway from the beginning of a key: 8 bytes of its number in
// version before named, later its uvarint length and name. Of names it keeps one string
// each.
func cutGateway(names interner, version, named uint16, p []byte) (gateway string, rest []byte, err error) {
	f := record.NewFields(p)
	if version >= named {
		gateway = names.of(f.Bytes())
	} else if number := f.Take(8); number != nil {
		gateway = names.of([]byte(numbered(binary.BigEndian.Uint64(number))))
	}
	if f.Bad() || gateway == "" {
		return "", nil, fmt.Errorf("decode gateway of a key of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return gateway, f.Rest(), nil
}

// rename returns the keys of a table that have a number in place of their gateway's name
// that name, in the order of the table, and removes those of which nobody knows it.
func rename[K comparable, V any](t *state.Table[K, V], names Names, gateway func(*K) *string) {
	var old []K
	for k := range t.All() {
		if isNumbered(*gateway(&k)) {
			old = append(old, k)
		}
	}
	for _, k := range old {
		v, _ := t.Get(k)
		t.Delete(k)
		if name, known := names.of(*gateway(&k)); known {
			*gateway(&k) = name
			t.Put(k, v)
		}
	}
}

func appendGateway(dst []byte, gateway string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(gateway))), gateway...)
}
