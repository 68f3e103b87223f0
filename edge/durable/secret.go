package durable

import (
	"fmt"
	"os"
)

// secretMode lets nobody but the owner read.
const secretMode = 0o600

// WriteSecret is WriteFileAtomic for a key: nobody but its owner may read it.
// On another file system than OS it is WriteFileAtomic.
func WriteSecret(fsys FS, name string, data []byte) error {
	if _, ok := fsys.(OS); !ok {
		return WriteFileAtomic(fsys, name, data)
	}
	temp := name + TempSuffix
	if err := writeTemp(fsys, temp, nil); err != nil { // empty until nobody else may read it
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Chmod(temp, secretMode); err != nil {
		return fmt.Errorf("write %s: %w", name, wrap(err))
	}
	f, err := fsys.OpenWrite(temp)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := writeAndClose(f, data); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fsys.Rename(temp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncParent(fsys, name)
}
