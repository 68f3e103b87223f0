package agent

import (
	"path/filepath"
	"slices"
	"strings"

	"landfall/edge/durable"
)

// filtersSuffix ends the name of a list of filters.
const filtersSuffix = ".filters"

// removedFilters returns the sources that have a list of filters and are configured no
// more as sources of messages, by name, with the bytes of these lists. What cannot be
// looked at counts nothing.
func (c *Config) removedFilters(fsys durable.FS) (sources []string, bytes int64) {
	all, _ := fsys.ReadDir(c.DataDir)
	for _, e := range all {
		name, ok := strings.CutSuffix(e.Name(), filtersSuffix)
		if !ok || slices.ContainsFunc(c.Sources, func(s SourceConfig) bool { return s.Name == name && s.MQTT != nil }) {
			continue
		}
		if info, err := fsys.Stat(filepath.Join(c.DataDir, e.Name())); err == nil {
			sources, bytes = append(sources, name), bytes+info.Size()
		}
	}
	return sources, bytes
}
