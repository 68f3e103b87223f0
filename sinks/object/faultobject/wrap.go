package faultobject

import (
	"context"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// Store wraps a store.
func Store(inner checkpoint.Store, script *Script) checkpoint.Store {
	return &store{inner: inner, script: script}
}

type store struct {
	inner  checkpoint.Store
	script *Script
}

// Read implements checkpoint.Store.
func (s *store) Read(ctx context.Context, name string) (data []byte, v checkpoint.Version, err error) {
	damaged := s.script.damages()
	err = s.script.do("Read", name, func() (err error) {
		data, v, err = s.inner.Read(ctx, name)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if damaged {
		data = changed(data)
	}
	return data, v, nil
}

// Create implements checkpoint.Store.
func (s *store) Create(ctx context.Context, name string, data []byte) error {
	if s.script.damages() {
		data = changed(data)
	}
	return s.script.do("Create", name, func() error { return s.inner.Create(ctx, name, data) })
}

// Swap implements checkpoint.Store.
func (s *store) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (v checkpoint.Version, err error) {
	v = "unkept"
	err = s.script.do("Swap", name, func() (err error) {
		v, err = s.inner.Swap(ctx, name, old, data)
		return err
	})
	if err != nil {
		return "", err
	}
	return v, nil
}

// List implements checkpoint.Store.
func (s *store) List(ctx context.Context, prefix string) (names []string, err error) {
	err = s.script.do("List", prefix, func() (err error) {
		names, err = s.inner.List(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Delete implements checkpoint.Store.
func (s *store) Delete(ctx context.Context, name string) error {
	return s.script.do("Delete", name, func() error { return s.inner.Delete(ctx, name) })
}

// Settle implements checkpoint.Store.
func (s *store) Settle(ctx context.Context, name string) error {
	return s.script.do("Settle", name, func() error { return s.inner.Settle(ctx, name) })
}

// Sweep implements checkpoint.Store.
func (s *store) Sweep(ctx context.Context, prefix string) error {
	return s.script.do("Sweep", prefix, func() error { return s.inner.Sweep(ctx, prefix) })
}

// Files wraps files.
func Files(inner object.Files, script *Script) object.Files {
	return &files{inner: inner, script: script}
}

type files struct {
	inner  object.Files
	script *Script
}

// Create implements object.Files.
func (f *files) Create(ctx context.Context, name, target string) (staged object.StagedFile, err error) {
	err = f.script.do("Create", name, func() (err error) {
		staged, err = f.inner.Create(ctx, name, target)
		return err
	})
	if err != nil {
		if staged != nil {
			_ = staged.Close() // made, but nobody hears of it
		}
		return nil, err
	}
	return &stagedFile{inner: staged, name: name, script: f.script}, nil
}

// Open implements object.Files.
func (f *files) Open(ctx context.Context, name string) (file object.ReadFile, err error) {
	damaged := f.script.damages()
	err = f.script.do("Open", name, func() (err error) {
		file, err = f.inner.Open(ctx, name)
		return err
	})
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return nil, err
	}
	if damaged {
		file = damagedFile{file}
	}
	return file, nil
}

// Publish implements object.Files.
func (f *files) Publish(ctx context.Context, staged stream.Staged) error {
	return f.script.do("Publish", staged.Target, func() error { return f.inner.Publish(ctx, staged) })
}

// Verify implements object.Files.
func (f *files) Verify(ctx context.Context, staged stream.Staged) error {
	return f.script.do("Verify", staged.Target, func() error { return f.inner.Verify(ctx, staged) })
}

// Replace implements object.Files.
func (f *files) Replace(ctx context.Context, staged stream.Staged, damaged string) error {
	return f.script.do("Replace", staged.Target, func() error { return f.inner.Replace(ctx, staged, damaged) })
}

// List implements object.Files.
func (f *files) List(ctx context.Context, prefix string) (names []string, err error) {
	err = f.script.do("List", prefix, func() (err error) {
		names, err = f.inner.List(ctx, prefix)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Next implements object.Files.
func (f *files) Next(ctx context.Context, prefix, after string) (name string, err error) {
	err = f.script.do("Next", prefix, func() (err error) {
		name, err = f.inner.Next(ctx, prefix, after)
		return err
	})
	if err != nil {
		return "", err
	}
	return name, nil
}

// Remove implements object.Files.
func (f *files) Remove(ctx context.Context, name string) error {
	return f.script.do("Remove", name, func() error { return f.inner.Remove(ctx, name) })
}

// Sweep implements object.Files.
func (f *files) Sweep(ctx context.Context, prefix string) error {
	return f.script.do("Sweep", prefix, func() error { return f.inner.Sweep(ctx, prefix) })
}

type stagedFile struct {
	inner  object.StagedFile
	name   string
	script *Script
}

// Write implements object.StagedFile.
func (s *stagedFile) Write(p []byte) (n int, err error) {
	if s.script.damages() {
		p = changed(p)
	}
	err = s.script.do("Write", s.name, func() (err error) {
		n, err = s.inner.Write(p)
		return err
	})
	return n, err
}

// Sync implements object.StagedFile.
func (s *stagedFile) Sync() error { return s.script.do("Sync", s.name, s.inner.Sync) }

// Place implements object.StagedFile.
func (s *stagedFile) Place(staged *stream.Staged) { s.inner.Place(staged) }

// Reopen implements object.StagedFile.
func (s *stagedFile) Reopen(ctx context.Context) (file object.ReadFile, err error) {
	damaged := s.script.damages()
	err = s.script.do("Reopen", s.name, func() (err error) {
		file, err = s.inner.Reopen(ctx)
		return err
	})
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return nil, err
	}
	if damaged {
		file = damagedFile{file}
	}
	return file, nil
}

// Close implements object.StagedFile. A crash closes too.
func (s *stagedFile) Close() error {
	done := false
	err := s.script.do("Close", s.name, func() error {
		done = true
		return s.inner.Close()
	})
	if !done {
		_ = s.inner.Close()
	}
	return err
}

// damagedFile is a file of which every piece reads with one bit changed.
type damagedFile struct{ object.ReadFile }

// ReadAt implements io.ReaderAt.
func (f damagedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.ReadFile.ReadAt(p, off)
	copy(p, changed(p[:n]))
	return n, err
}
