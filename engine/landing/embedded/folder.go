package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/textfile"
	"landfall/engine/landing"
)

// ErrFolder says that a partition's folder lies in the place of another one. It is an
// ErrMismatch.
var ErrFolder = fmt.Errorf("a partition's folder in the place of another: %w", landing.ErrMismatch)

// The file seglog.OwnerName in a partition's folder, version 1 (edge/textfile draws its
// form), says whose folder it is, so that one that was moved or put back in another's
// place is not taken for that one's: its blocks would be published by the wrong task, once
// more.
//
//	landfall-partition 1 <CRC-32C of the JSON, 8 hexadecimal digits>\n
//	{"landing":"<identity>","partition":<number>}\n
//
// A folder of a version before has none, and gets it when it is opened; so does one whose
// file is damaged.
const (
	folderMagic   = "landfall-partition"
	folderVersion = 1
)

type folder struct {
	Landing   landing.ID `json:"landing"`
	Partition int        `json:"partition"`
}

func folderName(partition int) string { return fmt.Sprintf("p%04d", partition) }

func (f folder) encode() ([]byte, error) { return textfile.Encode(folderMagic, folderVersion, f) }

// decodeFolder reads what encode wrote. Errors: record.ErrCorrupt, record.ErrVersion.
func decodeFolder(p []byte) (f folder, err error) {
	_, err = textfile.DecodeInto(folderMagic, folderVersion, p, &f)
	if err == nil && (!validID(f.Landing) || f.Partition < 0 || f.Partition >= MaxPartitions) {
		err = fmt.Errorf("it is partition %d of %q: %w", f.Partition, f.Landing, record.ErrCorrupt)
	}
	if err != nil {
		return folder{}, fmt.Errorf("decode identity of a partition's folder: %w", err)
	}
	return f, nil
}

// checkFolder says whether a folder is that of a partition, as far as it says whose it
// is; said is false where it says nothing. It changes nothing. Errors: ErrFolder,
// record.ErrVersion, the file system's.
func checkFolder(cfg Config, m meta, partition int) (said bool, err error) {
	p, err := durable.ReadFileUpTo(cfg.FS, filepath.Join(cfg.Dir, folderName(partition), seglog.OwnerName), maxMetaBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var is folder
	if err == nil {
		is, err = decodeFolder(p)
	}
	switch want := (folder{m.ID, partition}); {
	case errors.Is(err, record.ErrCorrupt), errors.Is(err, durable.ErrMedia), errors.Is(err, durable.ErrTooLarge):
		cfg.Logger.Warn("whose folder of a landing log it is cannot be read; it is written again", "folder", folderName(partition), "error", err)
		return false, nil
	case err != nil:
		return false, err
	case is.Landing != want.Landing:
		return false, fmt.Errorf("folder %s is partition %d of landing log %q, and this is %q: put back the folder that was here; nothing was changed: %w",
			folderName(partition), is.Partition, is.Landing, m.ID, ErrFolder)
	case is != want:
		return false, fmt.Errorf("folder %s is partition %d: folders were exchanged, or put back in the wrong place; "+
			"rename it to %s, and the others likewise; nothing was changed: %w",
			folderName(partition), is.Partition, folderName(is.Partition), ErrFolder)
	}
	return true, nil
}

// claim has a folder that does not say whose it is say so, durably on return. What
// gateways it has tells whether it is that of another partition: a gateway has one
// partition only. Where the disk is full it is tried again at the next start. Errors:
// ErrFolder, the file system's.
func (p *partition) claim(cfg Config, m meta, partition int) error {
	for _, gateway := range slices.Sorted(maps.Keys(p.tails)) {
		if of := landing.Partition(gateway, m.Partitions); of != partition {
			return fmt.Errorf("folder %s has blocks of gateway %s, which are in partition %d: folders were exchanged, or put back in the wrong place; "+
				"rename it to %s, and the others likewise: %w", folderName(partition), gateway, of, folderName(of), ErrFolder)
		}
	}
	text, err := folder{m.ID, partition}.encode()
	if err == nil {
		err = durable.WriteFileAtomic(cfg.FS, filepath.Join(cfg.Dir, folderName(partition), seglog.OwnerName), text)
	}
	if errors.Is(err, durable.ErrNoSpace) {
		cfg.Logger.Warn("a folder of the landing log does not say yet whose it is", "folder", folderName(partition), slog.Any("error", err))
		return nil
	}
	return err
}
