package source

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/edge/durable"
)

// content reads a file's content from the front, unpacking gzip.
type content struct {
	file durable.File
	gz   *gzip.Reader // nil: plain
	size int64        // of file, when it was opened
	raw  int64        // bytes of file read
}

// errPacked says that a file is packed in a way that cannot be unpacked here.
var errPacked = errors.New("packed, and not as gzip")

// isPacked tells the first five bytes of a file of xz, zstd or bzip2 of any level.
func isPacked(begin string) bool {
	if strings.HasPrefix(begin, "BZh") {
		return len(begin) > 4 && begin[3] >= '1' && begin[3] <= '9' && begin[4] == '1'
	}
	return strings.HasPrefix(begin, "\xfd7zXZ") || strings.HasPrefix(begin, "\x28\xb5\x2f\xfd")
}

// openContent opens path; gzip is told by its magic, not by the name.
func openContent(fs durable.FS, path string) (*content, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	c, err := newContent(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.Close())
	}
	return c, nil
}

// newContent reads f, which it owns when there is no error.
func newContent(f durable.File) (*content, error) {
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("look at its size: %w", err)
	}
	c := &content{file: f, size: size}
	var magic [5]byte
	n, err := f.ReadAt(magic[:], 0)
	if n < len(magic) && err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read its beginning: %w", err)
	}
	if isPacked(string(magic[:n])) {
		return nil, errPacked
	}
	if n > 1 && magic[0] == 0x1f && magic[1] == 0x8b {
		if c.gz, err = gzip.NewReader(rawReader{c}); err != nil {
			return nil, fmt.Errorf("open gzip: %w", err)
		}
	}
	return c, nil
}

// rawReader reads the file itself, from where the last call ended.
type rawReader struct{ c *content }

// Read implements io.Reader.
func (r rawReader) Read(p []byte) (int, error) {
	n, err := r.c.file.ReadAt(p, r.c.raw)
	r.c.raw += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Read reads on. After io.EOF a plain file may be read again when it has grown.
func (c *content) Read(p []byte) (n int, err error) {
	if c.gz != nil {
		return c.gz.Read(p)
	}
	return rawReader{c}.Read(p)
}

// isBeginningOf reads all of it and tells whether a plain file begins with that, and how
// many bytes it is. Error: why it could not be read to its end.
func (c *content) isBeginningOf(file durable.File) (is bool, n int64, err error) {
	had, has := make([]byte, readBytes), make([]byte, readBytes)
	for {
		m, err := io.ReadFull(c, had)
		if k, _ := file.ReadAt(has[:m], n); k < m || !bytes.Equal(had[:m], has[:m]) {
			return false, n, nil
		}
		n += int64(m)
		switch {
		case errors.Is(err, io.EOF), err != nil && c.gz == nil && errors.Is(err, io.ErrUnexpectedEOF):
			return true, n, nil
		case errors.Is(err, io.ErrUnexpectedEOF) && m > 0:
			continue // a packed file's end, or one that is not there: the next read tells
		case err != nil:
			return true, n, err
		}
	}
}

func (c *content) close() { _ = c.file.Close() } // it was only read: nothing can be lost
