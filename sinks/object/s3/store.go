package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"landfall/engine/checkpoint"
)

// maxObject bounds what Read allocates.
const maxObject = 1 << 30

// Store keeps whole objects: a checkpoint.Store. A Version is the ETag that the
// store gave, so a content that recurs may be the same version; HEAD's never
// does.
type Store struct{ b *bucket }

var _ checkpoint.Store = (*Store)(nil)

// OpenStore gives the store at a place. It refuses a bucket with rules that
// would expire what is in it. Any number of them may be open on one place.
func OpenStore(ctx context.Context, cfg Config, at Location) (*Store, error) {
	b, err := open(ctx, cfg, at)
	if err != nil {
		return nil, err
	}
	if err := b.checkRules(ctx, true); err != nil {
		return nil, err
	}
	return &Store{b: b}, nil
}

// Read implements checkpoint.Store. Objects of more than 1 GiB are refused.
func (s *Store) Read(ctx context.Context, name string) (data []byte, v checkpoint.Version, err error) {
	err = s.b.answered(ctx, func(ctx context.Context, more func(int64)) error {
		data, v, err = s.read(ctx, name, more)
		return err
	})
	if is(err, noSuchKey) {
		err = fmt.Errorf("%w: %w", checkpoint.ErrNotExist, err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", name, err)
	}
	return data, v, nil
}

func (s *Store) read(ctx context.Context, name string, more func(int64)) ([]byte, checkpoint.Version, error) {
	body, info, _, err := s.b.core.GetObject(ctx, s.b.Bucket, s.b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = body.Close() }()
	if info.Size < 0 || info.Size > maxObject {
		return nil, "", fmt.Errorf("%w: %d bytes are no length or more than an object may have", checkpoint.ErrCorrupt, info.Size)
	}
	more(info.Size)
	data, err := io.ReadAll(io.LimitReader(body, info.Size+1)) // grows as the bytes arrive
	if err == nil && int64(len(data)) != info.Size {
		err = io.ErrUnexpectedEOF
	}
	return data, checkpoint.Version(info.ETag), err
}

// Create implements checkpoint.Store.
func (s *Store) Create(ctx context.Context, name string, data []byte) error {
	var absent minio.PutObjectOptions
	absent.SetMatchETagExcept("*")
	_, err := s.put(ctx, name, data, absent)
	if is(err, preconditionFailed) {
		return fmt.Errorf("create %s: %w: %w", name, checkpoint.ErrExist, err)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

// Swap implements checkpoint.Store.
func (s *Store) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	var unchanged minio.PutObjectOptions
	if old == "" {
		unchanged.SetMatchETagExcept("*")
	} else {
		unchanged.SetMatchETag(string(old))
	}
	etag, err := s.put(ctx, name, data, unchanged)
	if is(err, preconditionFailed) || old != "" && is(err, noSuchKey) {
		return "", fmt.Errorf("swap %s: %w: %w", name, checkpoint.ErrChanged, err)
	}
	if err != nil {
		return "", fmt.Errorf("swap %s: %w", name, err)
	}
	return checkpoint.Version(etag), nil
}

// put is one PUT. The store compares the body with its hashes.
func (s *Store) put(ctx context.Context, name string, data []byte, o minio.PutObjectOptions) (etag string, err error) {
	md5Sum, shaSum := sums(data)
	err = s.b.conditional(ctx, len(data), func(ctx context.Context) error {
		info, err := s.b.core.PutObject(ctx, s.b.Bucket, s.b.key(name), bytes.NewReader(data), int64(len(data)), md5Sum, shaSum, o)
		etag = info.ETag
		return err
	})
	return etag, err
}

// sums gives Content-MD5 and the SHA-256 that the request's signature covers.
func sums(data []byte) (md5Base64, shaHex string) {
	m := md5.Sum(data)
	return base64.StdEncoding.EncodeToString(m[:]), sha256Hex(data)
}

// List implements checkpoint.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	return s.b.list(ctx, prefix)
}

// Delete implements checkpoint.Store.
func (s *Store) Delete(ctx context.Context, name string) error { return s.b.remove(ctx, name) }

// Settle implements checkpoint.Store: what a bucket lets read is durable.
func (s *Store) Settle(context.Context, string) error { return nil }

// Sweep implements checkpoint.Store: a PUT leaves nothing half done.
func (s *Store) Sweep(_ context.Context, prefix string) error {
	if !strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("sweep %q: no folder", prefix)
	}
	return nil
}
