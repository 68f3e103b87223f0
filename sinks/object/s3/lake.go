package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"landfall/edge/durable/failpoint"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

const (
	staging = "_staging/"
	// hashKey is the metadata of a published file that holds its SHA-256.
	hashKey = "Landfall-Sha256"
)

// Lake keeps published files as objects and staged ones as uploads: an
// object.Files.
type Lake struct{ b *bucket }

var _ object.Files = (*Lake)(nil)

// OpenLake gives the files at a place. It refuses a bucket with rules that would
// abort uploads too soon. Any number of them may be open on one place.
func OpenLake(ctx context.Context, cfg Config, at Location) (*Lake, error) {
	b, err := open(ctx, cfg, at)
	if err != nil {
		return nil, err
	}
	if err := b.checkRules(ctx, false); err != nil {
		return nil, err
	}
	return &Lake{b: b}, nil
}

// upload is a multipart upload: what a staged name says.
type upload struct{ task, id, target string }

// String gives the staged name.
func (u upload) String() string {
	return staging + u.task + "/" + base64.RawURLEncoding.EncodeToString([]byte(u.id)) + "/" + u.target
}

// parseUpload reads a staged name; false: it names no upload.
func parseUpload(name string) (upload, bool) {
	rest, ok := strings.CutPrefix(name, staging)
	parts := strings.SplitN(rest, "/", 3)
	if !ok || len(parts) != 3 {
		return upload{}, false
	}
	id, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || len(id) == 0 || !strings.HasPrefix(path.Base(parts[2]), parts[0]+"-") {
		return upload{}, false
	}
	return upload{task: parts[0], id: string(id), target: parts[2]}, true
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Create implements object.Files. Nothing is sent before Sync.
func (l *Lake) Create(ctx context.Context, name, target string) (object.StagedFile, error) {
	task, _, ok := strings.Cut(strings.TrimPrefix(name, staging), "/")
	if !ok || !strings.HasPrefix(name, staging) || !strings.HasPrefix(path.Base(target), task+"-") {
		return nil, fmt.Errorf("create %s as %s: %w: want %s<task>/… and …/<task>-…", name, target, object.ErrName, staging)
	}
	return &stagedFile{lake: l, ctx: ctx, upload: upload{task: task, target: target}}, ctx.Err()
}

// Publish implements object.Files. Steps, and what a crash after each leaves:
//
//  1. read the target's metadata: with another hash nothing is touched; with
//     this one all is done, and an upload that is left over is aborted.
//  2. complete the upload, on condition that the target is absent: readers see
//     it. The parts are named with their ETags, and a store that has others
//     refuses: a stream.DamagedError.
//  3. read the target's metadata again: only what is seen is published, and of
//     another length it is damaged. A store may confirm what it did not finish
//     (see interrupted), an answer may be lost, and a 500 or an upload that is
//     gone says nothing either.
//
// The bytes of an upload cannot be read before it is complete, so a part that a
// store damages after it confirmed it becomes visible; Verify finds it.
func (l *Lake) Publish(ctx context.Context, staged stream.Staged) error {
	err := l.publish(ctx, staged)
	if err != nil {
		return fmt.Errorf("publish %s as %s: %w", staged.Name, staged.Target, err)
	}
	return nil
}

func (l *Lake) publish(ctx context.Context, staged stream.Staged) error {
	u, ours := parseUpload(staged.Name)
	err := l.sameContent(ctx, staged)
	switch {
	case err == nil && ours:
		return errors.Join(l.abort(ctx, u), l.abort(ctx, u.interrupted(staged.Parts)))
	case err == nil:
		return nil
	case !errors.Is(err, checkpoint.ErrNotExist):
		return err
	case !ours || u.target != staged.Target || staged.Parts == "":
		return fmt.Errorf("%w: staged by another kind of lake", err)
	}
	var absent minio.PutObjectOptions
	absent.SetMatchETagExcept("*")
	return l.finish(ctx, staged, u, absent, func(completed bool) error {
		if completed {
			failpoint.Hit("c5.after-rename")
		}
		return l.seen(ctx, staged, completed)
	})
}

// finish completes an upload on a condition, and asks seen whether the file is
// there, whatever the answer was: checkpoint.ErrNotExist says that it is not.
func (l *Lake) finish(ctx context.Context, staged stream.Staged, u upload, condition minio.PutObjectOptions, seen func(completed bool) error) error {
	var errs error
	for level := 0; level <= maxInterrupted; level, u = level+1, u.interrupted(staged.Parts) {
		completed := l.complete(ctx, u, staged.Parts, condition)
		err := seen(completed == nil)
		if !errors.Is(err, checkpoint.ErrNotExist) {
			return err
		}
		if is(completed, invalidPart) {
			return &stream.DamagedError{Staged: staged, Where: staged.Name, Detail: "its upload has other parts than were sent: " + completed.Error()}
		}
		if completed != nil && !is(completed, noSuchUpload) {
			return completed
		}
		errs = errors.Join(errs, err, completed)
	}
	return errs
}

// maxInterrupted is how often a store may have been killed while it completed one
// upload: after a fourth time its name is longer than a file's may be.
const maxInterrupted = 3

// looks is how often a file that the store confirmed is looked for, with longer
// and longer waits: another request may be at it.
const looks = 6

// seen is sameContent, patient where the store confirmed the file. ErrUnseen.
func (l *Lake) seen(ctx context.Context, staged stream.Staged, confirmed bool) error {
	for look, wait := 1, l.b.cfg.Backoff; ; look, wait = look+1, 2*wait {
		err := l.sameContent(ctx, staged)
		if !confirmed || !errors.Is(err, checkpoint.ErrNotExist) {
			return err
		}
		if look >= looks || !pause(ctx, wait) {
			return fmt.Errorf("%w: %w", ErrUnseen, err)
		}
	}
}

// ErrUnseen says that the store confirmed a file and does not show it, and may
// never do so; the rows stay in the landing log.
var ErrUnseen = errors.New("the object store confirmed the file and does not show it")

// interrupted is how versitygw 1.8 names an upload while it completes it, and for
// ever when it is killed meanwhile: it confirms every further completion of the
// upload, as if another request were at it, and lists it no more. Under this name
// it is completed after all. Where another request is at it, one of the two finds
// its parts gone or the target there. No other store knows an upload of this name. One
// that is killed again while it completes that one has it under a name that is longer by
// the same once more, confirms the one before and does not know those before that.
func (u upload) interrupted(etags string) upload {
	parts := strings.Fields(etags)
	sum := md5.New()
	for _, etag := range parts {
		part, _ := hex.DecodeString(etag) // an ETag that is no MD5: no such upload
		_, _ = sum.Write(part)
	}
	u.id = fmt.Sprintf("%s.%x-%d.inprogress", u.id, sum.Sum(nil), len(parts))
	return u
}

func (l *Lake) complete(ctx context.Context, u upload, etags string, condition minio.PutObjectOptions) error {
	var parts []minio.CompletePart
	for i, etag := range strings.Fields(etags) {
		parts = append(parts, minio.CompletePart{PartNumber: i + 1, ETag: etag})
	}
	return l.b.conditional(ctx, 0, func(ctx context.Context) error {
		_, err := l.b.core.CompleteMultipartUpload(ctx, l.b.Bucket, l.b.key(u.target), u.id, parts, condition)
		return err
	})
}

// sameContent is nil when the target is published with the hash, as its
// metadata say, and the length; checkpoint.ErrNotExist, object.ErrContent, a
// stream.DamagedError where only the length is another. What somebody copied
// there without its metadata is read.
func (l *Lake) sameContent(ctx context.Context, staged stream.Staged) error {
	info, err := l.stat(ctx, staged.Target)
	if err != nil {
		return err
	}
	have := info.UserMetadata[hashKey]
	if have == "" {
		err := l.compare(ctx, staged, info)
		var damaged *stream.DamagedError
		if errors.As(err, &damaged) {
			return fmt.Errorf("%w: %s: %s", object.ErrContent, staged.Target, damaged.Detail)
		}
		return err
	}
	if have != staged.SHA256 {
		return fmt.Errorf("%w: %s has %s, not %s", object.ErrContent, staged.Target, have, staged.SHA256)
	}
	if info.Size != staged.Bytes {
		return l.compare(ctx, staged, info)
	}
	return nil
}

// Verify implements object.Files: the object is fetched whole.
func (l *Lake) Verify(ctx context.Context, staged stream.Staged) error {
	info, err := l.stat(ctx, staged.Target)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return object.Missing(staged)
	}
	if err == nil {
		err = l.compare(ctx, staged, info)
	}
	if err != nil {
		return fmt.Errorf("read back %s: %w", staged.Target, err)
	}
	return nil
}

// compare fetches an object whole and compares it with the manifest: a
// stream.DamagedError. Bytes that are wrong are fetched twice: a body may be
// damaged on its way.
func (l *Lake) compare(ctx context.Context, staged stream.Staged, info minio.ObjectInfo) error {
	var wrong *stream.DamagedError
	for range 2 {
		wrong = nil
		err := l.b.again(ctx, int(info.Size), func(ctx context.Context) error {
			err := l.compareOnce(ctx, staged, info)
			if errors.As(err, &wrong) {
				return nil
			}
			return err
		})
		if err != nil || wrong == nil {
			return err
		}
	}
	return wrong
}

func (l *Lake) compareOnce(ctx context.Context, staged stream.Staged, info minio.ObjectInfo) error {
	var o minio.GetObjectOptions
	if err := o.SetMatchETag(info.ETag); err != nil {
		return err
	}
	body, _, _, err := l.b.core.GetObject(ctx, l.b.Bucket, l.b.key(staged.Target), o)
	if err != nil {
		return err
	}
	whole := &counted{r: body}
	err = object.Compare(ctx, whole, staged, staged.Target)
	if whole.n < info.Size { // cut short, which says nothing of what is stored
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, body.Close())
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (l *Lake) stat(ctx context.Context, name string) (info minio.ObjectInfo, err error) {
	err = l.b.call(ctx, 0, func(ctx context.Context) error {
		info, err = l.b.core.StatObject(ctx, l.b.Bucket, l.b.key(name), minio.StatObjectOptions{})
		return err
	})
	if is(err, noSuchKey) {
		return info, fmt.Errorf("%w: %w", checkpoint.ErrNotExist, err)
	}
	return info, l.b.explained(ctx, err)
}

// List implements object.Files. Below "_staging/<task>/" it gives the task's
// uploads, whoever began them.
func (l *Lake) List(ctx context.Context, prefix string) ([]string, error) {
	rest, ok := strings.CutPrefix(prefix, staging)
	if !ok {
		return l.b.list(ctx, prefix)
	}
	task, _, ok := strings.Cut(rest, "/")
	if !ok {
		return nil, fmt.Errorf("list %q: %w: want %s<task>/", prefix, object.ErrName, staging)
	}
	names, err := l.uploads(ctx, task)
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(names)
	return names, err
}

// Next implements object.Files.
func (l *Lake) Next(ctx context.Context, prefix, after string) (name string, err error) {
	err = l.b.call(ctx, 0, func(ctx context.Context) error {
		// Three keys, of which one is taken: the client keeps one and waits with the
		// third, so that it asks for no second page.
		for o := range l.b.core.Client.ListObjects(ctx, l.b.Bucket, minio.ListObjectsOptions{
			Prefix: l.b.key(prefix), StartAfter: l.b.key(after), Recursive: true, MaxKeys: 3,
		}) {
			name = strings.TrimPrefix(o.Key, l.b.key(""))
			return o.Err
		}
		return ctx.Err()
	})
	if err != nil {
		return "", fmt.Errorf("list %s after %s: %w", l.b.key(prefix), after, l.b.explained(ctx, err))
	}
	return name, nil
}

// uploads lists the staged files of a task.
func (l *Lake) uploads(ctx context.Context, task string) ([]string, error) {
	var names []string
	for key, id := "", ""; ; {
		page, err := l.uploadPage(ctx, "", key, id)
		if err != nil {
			return nil, fmt.Errorf("list uploads below %s: %w", l.b.Location, err)
		}
		for _, u := range page.Uploads {
			target := strings.TrimPrefix(u.Key, l.b.key(""))
			if strings.HasPrefix(path.Base(target), task+"-") {
				names = append(names, upload{task: task, id: u.UploadID, target: target}.String())
			}
		}
		if !page.IsTruncated {
			return names, nil
		}
		if key == page.NextKeyMarker && id == page.NextUploadIDMarker {
			return nil, fmt.Errorf("list uploads below %s: the store gives the same page again", l.b.Location)
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

func (l *Lake) uploadPage(ctx context.Context, prefix, key, id string) (page minio.ListMultipartUploadsResult, err error) {
	err = l.b.call(ctx, 0, func(ctx context.Context) error {
		page, err = l.b.core.ListMultipartUploads(ctx, l.b.Bucket, l.b.key(prefix), key, id, "", 1000)
		return err
	})
	return page, err
}

// Holds tells whether a committed file is published or staged, also when it is
// published meanwhile, or a kill of the store cut that (see interrupted).
func (l *Lake) Holds(ctx context.Context, committed stream.Staged) (bool, error) {
	names := []string{committed.Target, committed.Name}
	if u, ok := parseUpload(committed.Name); ok {
		for range maxInterrupted {
			u = u.interrupted(committed.Parts)
			names = append(names, u.String())
		}
	}
	for _, name := range append(names, committed.Target) {
		if there, err := l.Exists(ctx, name); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// Exists tells whether a file is published, or staged, under a name.
func (l *Lake) Exists(ctx context.Context, name string) (bool, error) {
	if u, ok := parseUpload(name); ok {
		err := l.b.call(ctx, 0, func(ctx context.Context) error {
			_, err := l.b.core.ListObjectParts(ctx, l.b.Bucket, l.b.key(u.target), u.id, 0, 1)
			return err
		})
		if is(err, noSuchUpload) || is(err, noSuchKey) {
			return false, nil
		}
		return err == nil, err
	}
	_, err := l.stat(ctx, name)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Remove implements object.Files: a staged file's upload is aborted.
func (l *Lake) Remove(ctx context.Context, name string) error {
	u, ok := parseUpload(name)
	if !ok && strings.HasPrefix(name, staging) {
		return nil // no upload has such a name
	}
	if !ok {
		return l.b.remove(ctx, name)
	}
	if err := l.abort(ctx, u); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// abort ends an upload; one that is gone is success.
func (l *Lake) abort(ctx context.Context, u upload) error {
	err := l.b.call(ctx, 0, func(ctx context.Context) error {
		return l.b.core.AbortMultipartUpload(ctx, l.b.Bucket, l.b.key(u.target), u.id)
	})
	if is(err, noSuchUpload) || is(err, noSuchKey) {
		return nil
	}
	return err
}

// Sweep implements object.Files. What a crashed writer leaves is an upload, and
// List shows that.
func (l *Lake) Sweep(_ context.Context, prefix string) error {
	if !strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("sweep %q: %w: no folder", prefix, object.ErrName)
	}
	return nil
}
