package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/textfile"
	"landfall/engine/landing"
)

// The identity file, version 1 (edge/textfile draws its form):
//
//	landfall-landing 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"id":"…","partitions":P}\n
const (
	metaName    = "landing"
	metaMagic   = "landfall-landing"
	metaVersion = 1
	// maxMetaBytes bounds what is read, of any version.
	maxMetaBytes = 1 << 20
)

type meta struct {
	ID         landing.ID `json:"id"`
	Partitions int        `json:"partitions"`
}

func (m meta) encode() ([]byte, error) { return textfile.Encode(metaMagic, metaVersion, m) }

// decodeMeta reads what encode wrote. Errors: record.ErrCorrupt, record.ErrVersion.
func decodeMeta(p []byte) (m meta, err error) {
	_, err = textfile.DecodeInto(metaMagic, metaVersion, p, &m)
	if err == nil && (!validID(m.ID) || m.Partitions < 1 || m.Partitions > MaxPartitions) {
		err = fmt.Errorf("it is %q with %d partitions: %w", m.ID, m.Partitions, record.ErrCorrupt)
	}
	if err != nil {
		return meta{}, fmt.Errorf("decode identity: %w", err)
	}
	return m, nil
}

func validID(id landing.ID) bool {
	return id != "" && len(id) <= 64 && strings.Trim(string(id), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Identity reads which landing log lies in a directory, and changes nothing. Without
// an ID there is none yet. Errors: record.ErrVersion, record.ErrCorrupt, those of the
// file system.
func Identity(fsys durable.FS, dir string) (id landing.ID, partitions int, err error) {
	p, err := durable.ReadFileUpTo(fsys, filepath.Join(dir, metaName), maxMetaBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	m, err := decodeMeta(p)
	return m.ID, m.Partitions, err
}

// openMeta reads the identity, or gives a new log one. A log without its
// identity is not taken for a new one.
func openMeta(cfg Config) (meta, error) {
	path := filepath.Join(cfg.Dir, metaName)
	p, err := durable.ReadFileUpTo(cfg.FS, path, maxMetaBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return newMeta(cfg, path)
	}
	if err != nil {
		return meta{}, err
	}
	m, err := decodeMeta(p)
	if err != nil {
		return meta{}, err
	}
	if cfg.Partitions != 0 && cfg.Partitions != m.Partitions {
		return meta{}, fmt.Errorf("it has %d partitions, not %d: %w", m.Partitions, cfg.Partitions, landing.ErrMismatch)
	}
	if cfg.ID != "" && cfg.ID != m.ID {
		return meta{}, fmt.Errorf("it is %q, not %q: %w", m.ID, cfg.ID, landing.ErrMismatch)
	}
	// The name may stem from a start whose fsync of the directory failed, and an
	// fsync repeated after that proves nothing: so it is written anew. A full
	// disk keeps nobody from reading what is there.
	if err := writeMeta(cfg, path, m); !errors.Is(err, durable.ErrNoSpace) {
		return m, err
	}
	return m, cfg.FS.SyncDir(cfg.Dir)
}

func writeMeta(cfg Config, path string, m meta) error {
	p, err := m.encode()
	if err != nil {
		return err
	}
	return durable.WriteFileAtomic(cfg.FS, path, p)
}

func newMeta(cfg Config, path string) (meta, error) {
	if _, err := cfg.FS.Stat(filepath.Join(cfg.Dir, "p0000")); !errors.Is(err, fs.ErrNotExist) {
		return meta{}, fmt.Errorf("partitions without the file %s: %w", metaName, errors.Join(landing.ErrMismatch, err))
	}
	m := meta{ID: cfg.ID, Partitions: max(cfg.Partitions, 1)}
	if m.ID == "" {
		var id [8]byte
		_, _ = rand.Read(id[:]) // never fails
		m.ID = landing.ID(fmt.Sprintf("%x", id))
	}
	return m, writeMeta(cfg, path, m)
}
