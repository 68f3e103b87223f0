package record

import "encoding/binary"

// Fields reads fields off the front of bytes, for the small formats of logs,
// marks and state. A field that is not there whole makes it Bad for good, and
// every later field zero: a decoder reads all of its fields and asks once.
type Fields struct {
	p   []byte
	bad bool
}

// NewFields reads from p; what it gives aliases p.
func NewFields(p []byte) Fields { return Fields{p: p} }

// Bad says that a field was not there.
func (f *Fields) Bad() bool { return f.bad }

// Rest is what was not read yet; nothing after a bad field.
func (f *Fields) Rest() []byte { return f.p }

func (f *Fields) fail() { f.bad, f.p = true, nil }

// Byte reads one byte.
func (f *Fields) Byte() byte {
	if len(f.p) == 0 {
		f.fail()
		return 0
	}
	c := f.p[0]
	f.p = f.p[1:]
	return c
}

// Uvarint reads an unsigned varint (encoding/binary).
func (f *Fields) Uvarint() uint64 {
	v, k := binary.Uvarint(f.p)
	if k <= 0 {
		f.fail()
		return 0
	}
	f.p = f.p[k:]
	return v
}

// Varint reads a zigzag varint (encoding/binary).
func (f *Fields) Varint() int64 {
	v, k := binary.Varint(f.p)
	if k <= 0 {
		f.fail()
		return 0
	}
	f.p = f.p[k:]
	return v
}

// Take reads n bytes; nil when there are not as many.
func (f *Fields) Take(n uint64) []byte {
	if f.bad || n > uint64(len(f.p)) {
		f.fail()
		return nil
	}
	v := f.p[:n:n]
	f.p = f.p[n:]
	return v
}

// Bytes reads an unsigned varint and that many bytes.
func (f *Fields) Bytes() []byte { return f.Take(f.Uvarint()) }
