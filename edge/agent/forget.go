package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"landfall/edge/durable"
	"landfall/edge/seglog"
)

// ForgetSource forgets where a source stood that is configured no more, durably on
// return, and returns the bytes of its marks and of its list of filters; 0: there are
// none. It may run beside the daemon, which does not have the source, and again. Steps,
// and what a crash after each leaves: the notes that its gaps were acknowledged are
// removed (with its marks there, it would be red again for them), the marks are removed
// (a source of this name begins again, and counts its gaps from none; with its list it
// still ends what it subscribed to before), the list is removed. So as long as it goes on
// where it stood, the list is there too.
func (c *Config) ForgetSource(fsys durable.FS, source string) (bytes int64, err error) {
	notes, err := notesOf(fsys, c.gapsBase(source))
	if err != nil {
		return 0, fmt.Errorf("forget the gaps of source %s: %w", source, err)
	}
	for name := range notes {
		if err := fsys.Remove(filepath.Join(c.DataDir, name)); err != nil {
			return 0, fmt.Errorf("forget the gaps of source %s: %w", source, err)
		}
	}
	if err := fsys.SyncDir(c.DataDir); err != nil {
		return 0, fmt.Errorf("forget the gaps of source %s: %w", source, err)
	}
	if bytes, err = seglog.Forget(fsys, c.LogDir(), source); err != nil {
		return 0, err
	}
	filters, err := c.forgetFilters(fsys, source)
	return bytes + filters, err
}

// forgetFilters removes the list of filters of a source, durably on return, and returns
// its bytes.
func (c *Config) forgetFilters(fsys durable.FS, source string) (bytes int64, err error) {
	info, err := fsys.Stat(c.FiltersState(source))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = fsys.Remove(c.FiltersState(source))
	}
	if err == nil {
		err = fsys.SyncDir(c.DataDir)
	}
	if err != nil {
		return 0, fmt.Errorf("forget the filters of source %s: %w", source, err)
	}
	return info.Size(), nil
}
