package faultfs

import (
	"bytes"
	"io/fs"
	"slices"
	"time"
)

const pageBytes = 4096

// inode is a file or a directory. Its fields are guarded by FS.mu.
type inode struct {
	// Of a file: what the page cache shows, what the disk holds, and which pages
	// the next sync writes back.
	cache, disk []byte
	dirty       map[int64]bool
	sizeDirty   bool
	number      uint64 // that of no other file, ever

	// Of a directory: names now, names on disk, and what lies between.
	entries map[string]*inode
	synced  map[string]*inode
	pending []change
}

// edit sets a name, or removes it.
type edit struct {
	name string
	node *inode
}

// change is edits that a crash takes whole or not at all.
type change struct {
	edits []edit
	stuck bool // a sync of it failed: no later one makes it durable
}

func newDir() *inode { return &inode{entries: map[string]*inode{}, synced: map[string]*inode{}} }

// edit changes names in one step that a crash takes whole or not at all.
func (n *inode) edit(edits ...edit) {
	apply(n.entries, edits)
	n.pending = append(n.pending, change{edits: edits})
}

func apply(entries map[string]*inode, edits []edit) {
	for _, e := range edits {
		if e.node == nil {
			delete(entries, e.name)
		} else {
			entries[e.name] = e.node
		}
	}
}

// syncNames makes the changes durable that no failed sync has touched. A name
// they set is no longer what a stuck change made of it.
func (n *inode) syncNames() {
	var stuck []change
	for _, c := range n.pending {
		if c.stuck {
			stuck = append(stuck, c)
			continue
		}
		apply(n.synced, c.edits)
		for i := range stuck {
			stuck[i].edits = slices.DeleteFunc(slices.Clone(stuck[i].edits), func(old edit) bool {
				return slices.ContainsFunc(c.edits, func(e edit) bool { return e.name == old.name })
			})
		}
	}
	n.pending = stuck
}

// dropNames is a sync of names that fails.
func (n *inode) dropNames() {
	for i := range n.pending {
		n.pending[i].stuck = true
	}
}

// writeAt changes the page cache.
func (n *inode) writeAt(p []byte, at int64) {
	if len(p) == 0 {
		return
	}
	if end := at + int64(len(p)); end > int64(len(n.cache)) {
		n.resize(end)
	}
	copy(n.cache[at:], p)
	n.touch(at, at+int64(len(p)))
}

func (n *inode) touch(from, to int64) {
	if n.dirty == nil {
		n.dirty = map[int64]bool{}
	}
	for page := from / pageBytes; page*pageBytes < to; page++ {
		n.dirty[page] = true
	}
}

func (n *inode) resize(size int64) {
	old := int64(len(n.cache))
	if size == old {
		return
	}
	n.sizeDirty = true
	if size < old {
		n.cache = n.cache[:size:size]
		return
	}
	n.cache = append(n.cache, make([]byte, size-old)...)
	n.touch(old, size)
}

// writeBack is a sync that succeeds.
func (n *inode) writeBack(size bool) {
	if size && n.sizeDirty {
		n.disk = resized(n.disk, int64(len(n.cache)))
		n.sizeDirty = false
	}
	for page := range n.dirty {
		from := page * pageBytes
		if from < int64(len(n.disk)) && from < int64(len(n.cache)) {
			copy(n.disk[from:min(from+pageBytes, int64(len(n.disk)))], n.cache[from:])
		}
		if size || from+pageBytes <= int64(len(n.disk)) || int64(len(n.cache)) <= int64(len(n.disk)) {
			delete(n.dirty, page)
		}
	}
}

// dropDirty is a sync that fails: pages are clean and not written back; with
// forget the cache shows the disk's bytes again.
func (n *inode) dropDirty(forget bool) {
	n.dirty, n.sizeDirty = nil, false
	if forget {
		n.cache = bytes.Clone(n.disk)
	}
}

func resized(p []byte, size int64) []byte {
	if size <= int64(len(p)) {
		return p[:size:size]
	}
	return append(p, make([]byte, size-int64(len(p)))...)
}

// used sums the files below a node.
func (n *inode) used() int64 {
	total := int64(len(n.cache))
	for _, child := range n.entries {
		total += child.used()
	}
	return total
}

// info describes an inode at one moment.
type info struct {
	name string
	size int64
	dir  bool
}

func newInfo(name string, n *inode) info { return info{name, int64(len(n.cache)), n.entries != nil} }

// Name implements fs.FileInfo.
func (i info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i info) Size() int64 { return i.size }

// Mode implements fs.FileInfo.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o750
	}
	return 0o640
}

// ModTime implements fs.FileInfo; this file system keeps no times.
func (i info) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.dir }

// Sys implements fs.FileInfo.
func (i info) Sys() any { return nil }
