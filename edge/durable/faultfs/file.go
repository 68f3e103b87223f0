package faultfs

import (
	"fmt"
	"io"
	"io/fs"

	"landfall/edge/durable"
)

// handle is an open file.
type handle struct {
	fs       *FS
	life     int
	node     *inode
	name     string
	readOnly bool
	closed   bool
	at       int64
}

var _ durable.File = (*handle)(nil)

func (h *handle) do(kind Kind, op parts) error {
	h.fs.paused(kind)
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.usable(kind)
	if err == nil {
		err = h.fs.run(kind, h.name, op)
	}
	if err == io.EOF {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, h.name, err)
	}
	return nil
}

func (h *handle) usable(kind Kind) error {
	switch {
	case h.life != h.fs.life:
		return ErrCrashed
	case h.closed:
		return fs.ErrClosed
	case h.readOnly && kind&(OpWrite|OpTruncate) != 0:
		return fs.ErrPermission
	}
	return nil
}

// Read implements io.Reader.
func (h *handle) Read(p []byte) (int, error) {
	n, err := h.ReadAt(p, h.at)
	h.at += int64(n)
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	err := h.do(OpRead, parts{effect: func() error {
		if off < int64(len(h.node.cache)) {
			n = copy(p, h.node.cache[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	}})
	return n, err
}

// Write implements io.Writer.
func (h *handle) Write(p []byte) (int, error) {
	n, err := h.WriteAt(p, h.at)
	h.at += int64(n)
	return n, err
}

// WriteAt implements io.WriterAt.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	err := h.do(OpWrite, parts{effect: func() error {
		room := len(p)
		if grow := off + int64(len(p)) - int64(len(h.node.cache)); h.fs.limit > 0 && grow > 0 {
			if over := h.fs.root.used() + grow - h.fs.limit; over > 0 {
				room = int(max(0, int64(len(p))-over))
			}
		}
		h.node.writeAt(p[:room], off)
		n = room
		if room < len(p) {
			return durable.ErrNoSpace
		}
		return nil
	}, half: func() {
		h.node.writeAt(p[:len(p)/2], off)
		n = len(p) / 2
	}})
	return n, err
}

// Sync implements durable.File.
func (h *handle) Sync() error { return h.sync(OpSync) }

// SyncData implements durable.File. It never makes a new size durable.
func (h *handle) SyncData() error { return h.sync(OpSyncData) }

func (h *handle) sync(kind Kind) error {
	return h.do(kind, parts{
		effect: func() error { h.node.writeBack(kind == OpSync); return nil },
		drop:   h.node.dropDirty,
	})
}

// Truncate implements durable.File.
func (h *handle) Truncate(size int64) error {
	return h.do(OpTruncate, parts{effect: func() error {
		if grow := size - int64(len(h.node.cache)); grow > 0 && h.fs.limit > 0 && h.fs.root.used()+grow > h.fs.limit {
			return durable.ErrNoSpace
		}
		h.node.resize(size)
		return nil
	}})
}

// Size implements durable.File.
func (h *handle) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.crashed || h.life != h.fs.life {
		return 0, ErrCrashed
	}
	return int64(len(h.node.cache)), nil
}

// Close implements io.Closer. It is no operation of the script: closing a file
// promises nothing.
func (h *handle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed && h.life == h.fs.life {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}
