package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// Replace implements object.Files. Steps, and what a crash after each leaves:
//
//  1. fetch the target and hash it: with the manifest's hash all is done, and an
//     upload that is left over is aborted; absent, the file is published; with
//     another hash than damaged nothing is touched.
//  2. copy the damaged object to quarantine, in the store: the target is as it
//     was. That this cannot be done keeps nothing back.
//  3. complete the upload, on condition that the target has the ETag of step 1:
//     readers see the new object.
//  4. fetch the target and hash it: only what is read back is replaced. An
//     answer that is lost is made up for here, or by replacing again.
func (l *Lake) Replace(ctx context.Context, staged stream.Staged, damaged string) error {
	if err := l.replace(ctx, staged, damaged); err != nil {
		return fmt.Errorf("replace %s with %s: %w", staged.Target, staged.Name, err)
	}
	return nil
}

func (l *Lake) replace(ctx context.Context, staged stream.Staged, damaged string) error {
	info, err := l.stat(ctx, staged.Target)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return l.publish(ctx, staged)
	}
	if err != nil {
		return err
	}
	u, ours := parseUpload(staged.Name)
	err = l.compare(ctx, staged, info)
	var found *stream.DamagedError
	switch {
	case err == nil && ours:
		return errors.Join(l.abort(ctx, u), l.abort(ctx, u.interrupted(staged.Parts)))
	case !errors.As(err, &found):
		return err
	case found.SHA256 != damaged:
		return fmt.Errorf("%w: %s: %s; what was found damaged had SHA-256 %q", object.ErrContent, staged.Target, found.Detail, damaged)
	case !ours || u.target != staged.Target || staged.Parts == "":
		return fmt.Errorf("%w: staged by another kind of lake", checkpoint.ErrNotExist)
	}
	l.keep(ctx, staged.Target, object.Kept(staged.Target, damaged))
	var unchanged minio.PutObjectOptions
	unchanged.SetMatchETag(info.ETag)
	return l.finish(ctx, staged, u, unchanged, func(bool) error {
		err := l.Verify(ctx, staged)
		var now *stream.DamagedError
		if errors.As(err, &now) && now.SHA256 == damaged { // whatever the store answered
			return fmt.Errorf("%w: the upload did not take its place: %s", checkpoint.ErrNotExist, now.Detail)
		}
		return err
	})
}

// keep copies an object within the store, if it can.
func (l *Lake) keep(ctx context.Context, target, name string) {
	_ = l.b.call(ctx, 0, func(ctx context.Context) error {
		_, err := l.b.core.CopyObject(ctx, l.b.Bucket, l.b.key(target), l.b.Bucket, l.b.key(name), nil, minio.CopySrcOptions{}, minio.PutObjectOptions{})
		return err
	})
}
