package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// testTask is the task under which SelfTest stages.
const testTask = "selftest"

// tests is the folder in which it works.
const tests = "_selftest/"

// testOver is how old what a self-test made is when nobody works with it any more.
const testOver = time.Hour

// sweepTests removes what self-tests that were killed left: uploads, and the
// objects that they became.
func (l *Lake) sweepTests(ctx context.Context) error {
	old := func(made time.Time) bool { return !made.IsZero() && l.b.now().Sub(made) > testOver }
	for key, id := "", ""; ; {
		page, err := l.uploadPage(ctx, tests, key, id)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			if !strings.HasPrefix(u.Key, l.b.key(tests+testTask+"-")) || !old(u.Initiated) {
				continue
			}
			if err := l.abort(ctx, upload{task: testTask, id: u.UploadID, target: strings.TrimPrefix(u.Key, l.b.key(""))}); err != nil {
				return err
			}
		}
		if !page.IsTruncated || key == page.NextKeyMarker && id == page.NextUploadIDMarker {
			break
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
	names, err := l.b.listOld(ctx, tests+testTask+"-", old)
	for _, name := range names {
		err = errors.Join(err, l.b.remove(ctx, name))
	}
	return err
}

// testAttempts is how often it is made where an answer does not arrive.
const testAttempts = 5

// SelfTest makes sure that a file can be staged, is not seen before it is
// published, is read back, and that what is abandoned goes: that the store does
// it and that the credentials allow it. A store that shows a staged file, or
// other bytes, is object.ErrUnfit; every other error names the step. It works
// below "_selftest/" under names of its own and removes them.
func (l *Lake) SelfTest(ctx context.Context) (Notes, error) {
	var err error
	for range testAttempts {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails: the runtime ends the process instead
		target := tests + testTask + "-" + hex.EncodeToString(id[:])
		var notes Notes
		if notes, err = l.selfTest(ctx, target); err == nil {
			if err := l.sweepTests(ctx); err != nil {
				notes = append(notes, fmt.Sprintf("what self-tests that were killed left below %s%s was not removed: %v", l.b.Location, "/"+tests, err))
			}
			return append(notes, l.b.notes...), nil
		}
		if !Transient(err) || ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("self-test of %s: %w", l.b.Location, err)
}

func (l *Lake) selfTest(ctx context.Context, target string) (Notes, error) {
	content := []byte("what SelfTest writes\n")
	kept, err := l.stageTest(ctx, target, content)
	if err != nil {
		return nil, err
	}
	dropped, err := l.stageTest(ctx, target, content)
	if err != nil {
		return nil, errors.Join(err, l.Remove(ctx, kept.Name))
	}
	notes, err := l.listTest(ctx, kept, dropped)
	if err == nil {
		err = l.Remove(ctx, dropped.Name)
	}
	for range 2 { // the second time it is done already
		if err == nil {
			err = l.Publish(ctx, kept)
		}
	}
	if err == nil {
		err = l.readTest(ctx, target, content)
	}
	return notes, errors.Join(err, l.Remove(ctx, target), l.Remove(ctx, kept.Name))
}

func (l *Lake) stageTest(ctx context.Context, target string, content []byte) (stream.Staged, error) {
	staged := stream.Staged{Target: target, SHA256: sha256Hex(content), Bytes: int64(len(content))}
	f, err := l.Create(ctx, staging+testTask+"/x", target)
	if err != nil {
		return staged, err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(content); err != nil {
		return staged, err
	}
	if err := f.Sync(); err != nil {
		return staged, err
	}
	f.Place(&staged)
	return staged, nil
}

// listTest looks for what is staged, which no reader may see.
func (l *Lake) listTest(ctx context.Context, staged ...stream.Staged) (Notes, error) {
	seen, err := l.Exists(ctx, staged[0].Target)
	if err != nil {
		return nil, err
	}
	if seen {
		return nil, fmt.Errorf("%w: an upload that is not completed is seen", object.ErrUnfit)
	}
	names, err := l.List(ctx, staging+testTask+"/")
	if err != nil {
		return nil, err
	}
	for _, s := range staged {
		if slices.Contains(names, s.Name) {
			continue
		}
		return Notes{fmt.Sprintf("the store does not list uploads, so what killed writers leave staged is not collected: let it abort them by itself, after more than %s "+
			"(MinIO: mc admin config set ALIAS api stale_uploads_expiry=…, 24h if it is not set)", l.b.cfg.Outage)}, nil
	}
	return nil, nil
}

func (l *Lake) readTest(ctx context.Context, name string, content []byte) error {
	f, err := l.Open(ctx, name)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return fmt.Errorf("%w: what was published is not seen", object.ErrUnfit)
	}
	if err != nil {
		return err
	}
	data := make([]byte, min(f.Size(), int64(len(content))+1))
	if _, err := f.ReadAt(data, 0); err != nil {
		return err
	}
	if !bytes.Equal(data, content) {
		return fmt.Errorf("%w: what was published reads back as %q", object.ErrUnfit, data)
	}
	return nil
}
