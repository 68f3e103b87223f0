// Package textfile is the form of the small files of either end: one line of text, then JSON
// to the end, which people can read and no damage passes for.
//
//	<magic> <version> <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	<the JSON>\n
//
// In:  what a file says, as a value for encoding/json, or a file's bytes.
// Out: the bytes, or the JSON of a file that is whole and not of a newer version.
//
// The functions are pure. Who writes a file does it by durable.WriteFileAtomic.
package textfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"landfall/edge/record"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode returns the bytes of a file that says v. Error: json.Marshal's.
func Encode(magic string, version int, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", magic, err)
	}
	body = append(body, '\n')
	return append(fmt.Appendf(nil, "%s %d %08x\n", magic, version, crc32.Checksum(body, castagnoli)), body...), nil
}

// Decode returns the version of a file and its JSON. Errors: record.ErrVersion for one
// later than newest, whatever follows the first line; record.ErrCorrupt.
func Decode(magic string, newest int, p []byte) (version int, body []byte, err error) {
	var is string
	var sum uint32
	head, body, ok := bytes.Cut(p, []byte("\n"))
	if n, err := fmt.Sscanf(string(head), "%s %d %x", &is, &version, &sum); !ok || err != nil || n != 3 || is != magic {
		return 0, nil, fmt.Errorf("read the first line of %s: %w", magic, record.ErrCorrupt)
	}
	if version > newest {
		return 0, nil, fmt.Errorf("read %s of version %d: %w", magic, version, record.ErrVersion)
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, nil, fmt.Errorf("check the sum of %s: %w", magic, record.ErrCorrupt)
	}
	return version, body, nil
}

// DecodeInto is Decode, and reads the JSON into v; after an error v may hold a part of it.
func DecodeInto(magic string, newest int, p []byte, v any) (version int, err error) {
	version, body, err := Decode(magic, newest, p)
	if err != nil {
		return 0, err
	}
	if json.Unmarshal(body, v) != nil {
		return 0, fmt.Errorf("read the JSON of %s: %w", magic, record.ErrCorrupt)
	}
	return version, nil
}
