package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/minio/minio-go/v7"
)

const (
	chunkBytes = 1 << 20 // asked for at a time
	keptChunks = 8
)

// readFile reads an object by chunks, of which it keeps a few: readers of
// Parquet ask for many small pieces beside each other.
type readFile struct {
	lake *Lake
	ctx  context.Context // of Open
	name string
	info minio.ObjectInfo

	mu     sync.Mutex
	chunks map[int64][]byte // by offset; guarded by mu
	order  []int64          // of chunks, oldest first; guarded by mu
}

func (l *Lake) reader(ctx context.Context, name string, info minio.ObjectInfo) *readFile {
	return &readFile{lake: l, ctx: ctx, name: name, info: info, chunks: map[int64][]byte{}}
}

// Size implements object.ReadFile.
func (r *readFile) Size() int64 { return r.info.Size }

// Close implements object.ReadFile.
func (r *readFile) Close() error { return nil }

// ReadAt implements io.ReaderAt. The object must still be the one that was
// opened.
func (r *readFile) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s: negative offset", r.name)
	}
	n := 0
	for n < len(p) && off+int64(n) < r.info.Size {
		at := off + int64(n)
		chunk, err := r.chunk(at - at%chunkBytes)
		if err != nil {
			return n, fmt.Errorf("read %s: %w", r.name, err)
		}
		n += copy(p[n:], chunk[at%chunkBytes:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *readFile) chunk(at int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.chunks[at]; ok {
		return c, nil
	}
	c, err := r.fetch(at, min(chunkBytes, r.info.Size-at))
	if err != nil {
		return nil, err
	}
	if len(r.order) == keptChunks {
		delete(r.chunks, r.order[0])
		r.order = r.order[1:]
	}
	r.chunks[at], r.order = c, append(r.order, at)
	return c, nil
}

func (r *readFile) fetch(at, n int64) ([]byte, error) {
	b := r.lake.b
	var o minio.GetObjectOptions
	if err := errors.Join(o.SetRange(at, at+n-1), o.SetMatchETag(r.info.ETag)); err != nil {
		return nil, err
	}
	chunk := make([]byte, n)
	err := b.again(r.ctx, int(n), func(ctx context.Context) error {
		body, _, _, err := b.core.GetObject(ctx, b.Bucket, b.key(r.name), o)
		if err != nil {
			return err
		}
		_, err = io.ReadFull(body, chunk)
		return errors.Join(err, body.Close())
	})
	return chunk, err
}
