package seglog

import (
	"errors"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// TestAHugeNoteIsDamaged: a size of a terabyte that nothing fills goes to
// quarantine, and is not allocated.
func TestAHugeNoteIsDamaged(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), FS: durable.OS{}}
	s := mustOpen(t, cfg)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{newestName(7, record.LogID{7}), shedName(7, record.LogID{7})} {
		f, err := durable.OS{}.Create(filepath.Join(cfg.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, cfg)
	if st := s.Stats(); st.UnreadableMeta != 2 || st.Quarantined != 2 {
		t.Errorf("%d unreadable, %d in quarantine", st.UnreadableMeta, st.Quarantined)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
