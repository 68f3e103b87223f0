package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// stagedFile is a file on its way into an upload. Its bytes stay in memory
// until Close: a part cannot be read back, so what Reopen reads is what was
// sent. Each part goes with its MD5 and its SHA-256, which the store compares
// with what arrived, and its ETag is compared with the MD5 (see checkETag). That
// proves that the store had the bytes; that it still has them is proved by
// Verify, once the upload is complete.
type stagedFile struct {
	lake   *Lake
	ctx    context.Context // of Create
	upload upload
	data   []byte
	etags  []string
}

// Write implements object.StagedFile.
func (s *stagedFile) Write(p []byte) (int, error) {
	s.data = append(s.data, p...)
	return len(p), nil
}

// Sync implements object.StagedFile: it begins the upload and sends the parts. A
// crash, or an error, leaves an upload that no manifest names, for List to show.
func (s *stagedFile) Sync() error {
	b := s.lake.b
	sum := sha256Hex(s.data)
	err := b.again(s.ctx, 0, func(ctx context.Context) (err error) {
		s.upload.id, err = b.core.NewMultipartUpload(ctx, b.Bucket, b.key(s.upload.target), minio.PutObjectOptions{
			ContentType: "application/octet-stream", UserMetadata: map[string]string{hashKey: sum},
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("begin upload of %s: %w", s.upload.target, err)
	}
	rest := s.data
	for n := 1; len(rest) > 0 || n == 1; n++ {
		part := rest[:min(len(rest), b.cfg.PartBytes)]
		rest = rest[len(part):]
		if err := s.send(n, part); err != nil {
			return fmt.Errorf("upload part %d of %s: %w", n, s.upload.target, err)
		}
	}
	return nil
}

func (s *stagedFile) send(n int, part []byte) error {
	b := s.lake.b
	md5Sum, shaSum := sums(part)
	return b.again(s.ctx, len(part), func(ctx context.Context) error {
		sent, err := b.core.PutObjectPart(ctx, b.Bucket, b.key(s.upload.target), s.upload.id, n, bytes.NewReader(part), int64(len(part)),
			minio.PutObjectPartOptions{Md5Base64: md5Sum, Sha256Hex: shaSum})
		if err == nil {
			err = b.checkETag(sent.ETag, md5Sum)
		}
		if err == nil {
			s.etags = append(s.etags, sent.ETag)
		}
		return err
	})
}

// errETag says that a store confirmed other bytes than were sent.
var errETag = errors.New("the store confirms other bytes than were sent")

// checkETag compares the ETag of a part with the MD5 of the bytes that were
// sent. Buckets that encrypt with keys of their own have other ETags: only one
// that has given an MD5 before is held to it.
func (b *bucket) checkETag(etag, md5Base64 string) error {
	sum, err := base64.StdEncoding.DecodeString(md5Base64)
	switch {
	case err != nil:
		return err
	case strings.EqualFold(etag, hex.EncodeToString(sum)):
		b.md5ETags.Store(true)
	case b.md5ETags.Load():
		return fmt.Errorf("%w: ETag %s, want %x", errETag, etag, sum)
	}
	return nil
}

// Place implements object.StagedFile.
func (s *stagedFile) Place(staged *stream.Staged) {
	staged.Name, staged.Parts = s.upload.String(), strings.Join(s.etags, " ")
}

// Reopen implements object.StagedFile.
func (s *stagedFile) Reopen(context.Context) (object.ReadFile, error) {
	return sent{bytes.NewReader(s.data)}, nil
}

// Close implements object.StagedFile.
func (s *stagedFile) Close() error {
	s.data = nil
	return nil
}

type sent struct{ *bytes.Reader }

// Close implements object.ReadFile.
func (sent) Close() error { return nil }

// Open implements object.Files. A staged file cannot be read.
func (l *Lake) Open(ctx context.Context, name string) (object.ReadFile, error) {
	if strings.HasPrefix(name, staging) {
		return nil, fmt.Errorf("open %s: %w: an upload cannot be read", name, checkpoint.ErrNotExist)
	}
	info, err := l.stat(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return l.reader(ctx, name, info), nil
}
