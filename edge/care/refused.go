package care

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/textfile"
)

// Refused is a message of which processes died, and that is refused whenever it comes.
type Refused struct {
	Source  string        `json:"source"`
	Address string        `json:"address"` // topic, device or node, cut; empty: it is a line
	Message string        `json:"message"` // its identity, 32 hexadecimal digits
	At      record.Micros `json:"at"`      // when that was decided, microseconds since 1970 UTC
}

// The file of what is refused (textfile), version 1.
//
//	landfall-care 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	[{"source":"…","address":"…","message":"…","at":…}, …]\n
//
// The newest is the last.
const (
	refusedMagic   = "landfall-care"
	refusedVersion = 1
	// maxRefused is how many messages are remembered: what was refused is acknowledged
	// and does not come again, but for one that its broker retains, or a device repeats.
	maxRefused      = 256
	maxRefusedBytes = 256 << 10
)

// readRefused reads the file; absent or damaged: nothing is refused, and a message that
// was is found again. Errors: record.ErrVersion, and those of the file system.
func readRefused(fsys durable.FS, path string) (all []Refused, damaged error, err error) {
	p, err := durable.ReadFileUpTo(fsys, path, maxRefusedBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err == nil {
		_, err = textfile.DecodeInto(refusedMagic, refusedVersion, p, &all)
	}
	for i := range all {
		if _, bad := all[i].hash(); bad != nil && err == nil {
			err = bad
		}
	}
	if errors.Is(err, record.ErrCorrupt) || errors.Is(err, durable.ErrMedia) || errors.Is(err, durable.ErrTooLarge) {
		return nil, err, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read what is refused: %w", err)
	}
	return all, nil, nil
}

// writeRefused makes the file say all, durable on return, the oldest left out where there
// are too many.
func writeRefused(fsys durable.FS, path string, all []Refused) error {
	p, err := textfile.Encode(refusedMagic, refusedVersion, all[max(0, len(all)-maxRefused):])
	if err != nil {
		return err
	}
	return durable.WriteFileAtomic(fsys, path, p)
}

// hash is Message as bytes. Error: record.ErrCorrupt.
func (r *Refused) hash() (h record.Hash, err error) {
	p, err := hex.DecodeString(r.Message)
	if err != nil || len(p) != len(h) {
		return h, fmt.Errorf("read what is refused: %w", record.ErrCorrupt)
	}
	return record.Hash(p), nil
}
