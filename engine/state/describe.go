package state

// Description says what is in an object, for people.
type Description struct {
	Sequence uint64             `json:"sequence"` // 1, 2, 3 … over the life of a State
	Needs    uint64             `json:"needs"`    // the oldest object that is needed beside it
	Bytes    int                `json:"bytes"`
	Tables   []TableDescription `json:"tables"`
}

// TableDescription is one table's part of an object.
type TableDescription struct {
	Name       string `json:"name"`
	Codec      int    `json:"codec_version"`
	Entries    int    `json:"entries"`
	Tombstones int    `json:"tombstones"` // of the entries: keys that were deleted
	Bytes      int    `json:"bytes"`
}

// IsObject tells whether data begins as an object does.
func IsObject(data []byte) bool { return len(data) >= len(magic) && string(data[:len(magic)]) == magic }

// Describe reads an object without the types of its tables. Errors:
// ErrCorrupt, ErrVersion.
func Describe(data []byte) (Description, error) {
	h, body, err := open(data)
	if err != nil {
		return Description{}, err
	}
	d := Description{Sequence: h.seq, Needs: h.first, Bytes: len(data), Tables: []TableDescription{}}
	for range h.tables {
		var s section
		if s, body, err = cutSection(body); err != nil {
			return Description{}, err
		}
		t := TableDescription{Name: s.name, Codec: int(s.version), Entries: s.count, Bytes: len(s.entries)}
		for entries := s.entries; len(entries) > 0; {
			var value []byte
			if _, value, entries, err = cutEntry(entries); err != nil {
				return Description{}, err
			}
			if value == nil {
				t.Tombstones++
			}
		}
		d.Tables = append(d.Tables, t)
	}
	return d, nil
}

// Entries calls take with each entry of one table of an object, in the object's
// order, with the version of the table's codec; a value is nil where the key was
// deleted. What it passes is valid until it returns. Errors: ErrCorrupt,
// ErrVersion, and the first of take.
func Entries(data []byte, table string, take func(version uint16, key, value []byte) error) error {
	h, body, err := open(data)
	if err != nil {
		return err
	}
	for range h.tables {
		var s section
		if s, body, err = cutSection(body); err != nil {
			return err
		}
		if s.name != table {
			continue
		}
		for entries := s.entries; len(entries) > 0; {
			var key, value []byte
			if key, value, entries, err = cutEntry(entries); err != nil {
				return err
			}
			if err := take(s.version, key, value); err != nil {
				return err
			}
		}
	}
	return nil
}
