package source

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/edge/durable"
)

// content reads a file's content from the front, unpacking gzip. The offset is
// one of the content.
type content struct {
	file   durable.File
	gz     *gzip.Reader // nil: plain
	size   int64        // of file, when it was opened
	raw    int64        // bytes of file read
	offset int64
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
		n, err = c.gz.Read(p)
	} else {
		n, err = rawReader{c}.Read(p)
	}
	c.offset += int64(n)
	return n, err
}

// skip reads n bytes away; a plain file jumps, where it is long enough.
func (c *content) skip(n int64) error {
	if c.gz != nil {
		_, err := io.CopyN(io.Discard, c, n)
		return err
	}
	size, err := c.file.Size()
	if err != nil {
		return err
	}
	if c.raw+n > size {
		return io.EOF
	}
	c.raw += n
	c.offset += n
	return nil
}

func (c *content) close() { _ = c.file.Close() } // it was only read: nothing can be lost
