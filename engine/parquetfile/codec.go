package parquetfile

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Codecs.
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
	codecZstd   = 6
)

// overAlloc is room behind a page that lets zstd copy by words.
const overAlloc = 16

// unzstd is one decoder for all: DecodeAll may be called from many goroutines.
// It writes no further than its destination's capacity.
var unzstd = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(MaxPageBytes+overAlloc),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
})

// decompress fills dst, which is as long as the header says the page is. A page
// of another length is damaged, and so is one on which a decompressor panics.
func decompress(codec int32, dst, src []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damaged("decompress: %v", r)
		}
	}()
	switch codec {
	case codecSnappy:
		if n, err := snappy.DecodedLen(src); err != nil || n != len(dst) {
			return damaged("it is %d bytes decompressed, its header says %d (%v)", n, len(dst), err)
		}
		if _, err := snappy.Decode(dst, src); err != nil {
			return damaged("decompress: %w", err)
		}
		return nil
	case codecGzip:
		z, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return damaged("decompress: %w", err)
		}
		return fillFrom(z, dst)
	case codecZstd:
		return unzip(dst, src)
	}
	return unsupported("pages in compression %d", codec)
}

// fillFrom reads dst and nothing more.
func fillFrom(r io.Reader, dst []byte) error {
	n, err := io.ReadFull(r, dst)
	if err != nil {
		return damaged("decompress: %d of %d bytes: %w", n, len(dst), err)
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return damaged("decompress: more than %d bytes: %v", len(dst), err)
	}
	return nil
}

// unzip decompresses zstd frames into dst and the room behind it, whatever they
// say of their own length.
func unzip(dst, src []byte) error {
	z, err := unzstd()
	if err != nil {
		return err
	}
	out, err := z.DecodeAll(src, dst[:0])
	if err != nil || len(out) != len(dst) {
		return damaged("it is %d bytes decompressed, its header says %d (%v)", len(out), len(dst), err)
	}
	return nil
}
