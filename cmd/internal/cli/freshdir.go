package cli

import (
	"fmt"
	"path/filepath"

	"landfall/edge/durable"
)

// FreshDir makes a directory "<name>-<n>" in parent that was not there.
func FreshDir(fsys durable.FS, parent, name string) (string, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	if err := durable.MkdirAllSync(fsys, parent); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		dir := filepath.Join(parent, fmt.Sprintf("%s-%d", name, n))
		if _, err := fsys.Stat(dir); err == nil {
			continue
		}
		if err := fsys.Mkdir(dir); err != nil {
			return "", fmt.Errorf("make a directory to work in: %w", err)
		}
		return dir, nil
	}
}
