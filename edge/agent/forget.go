package agent

import (
	"fmt"
	"path/filepath"

	"landfall/edge/durable"
	"landfall/edge/seglog"
)

// ForgetSource forgets where a source stood that is configured no more, durably on
// return, and returns the bytes of its marks; 0: none are set aside. It may run beside
// the daemon, which does not have the source, and again. Steps, and what a crash after
// each leaves: the notes that its gaps were acknowledged are removed (with its marks
// there, it would be red again for them), the marks are removed (a source of this name
// begins again, and counts its gaps from none).
func (c *Config) ForgetSource(fsys durable.FS, source string) (bytes int64, err error) {
	notes, err := notesOf(fsys, c.gapsFile(source, 0))
	if err != nil {
		return 0, fmt.Errorf("forget the gaps of source %s: %w", source, err)
	}
	for _, name := range notes {
		if err := fsys.Remove(filepath.Join(c.DataDir, name)); err != nil {
			return 0, fmt.Errorf("forget the gaps of source %s: %w", source, err)
		}
	}
	if err := fsys.SyncDir(c.DataDir); err != nil {
		return 0, fmt.Errorf("forget the gaps of source %s: %w", source, err)
	}
	return seglog.Forget(fsys, c.LogDir(), source)
}
