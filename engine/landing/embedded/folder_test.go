package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
)

// fillFolders makes a landing log of two partitions with blocks of several gateways in
// each.
func fillFolders(t *testing.T, id landing.ID) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, Config{Dir: dir, Partitions: 2, ID: id})
	for n := range 8 {
		c := landingtest.Chain{Gateway: fmt.Sprintf("gw-%d", n), Log: record.LogID{byte(n + 1)}}
		if err := l.Append(t.Context(), c.Block(1, 10)); err != nil {
			t.Fatal(err)
		}
	}
	for part := range 2 {
		if n := len(l.Tails(part)); n == 0 {
			t.Fatalf("no gateway in partition %d", part)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAFolderIsNotTakenForAnothers: folders of partitions that were exchanged, or of
// another landing log, are refused before anything is changed, with what to do; put right
// they open. Those of a version before, which do not say whose they are, are known by
// their gateways, and say it from then on.
func TestAFolderIsNotTakenForAnothers(t *testing.T) {
	exchange := func(t *testing.T, dir string) {
		t.Helper()
		zero, one, aside := filepath.Join(dir, "p0000"), filepath.Join(dir, "p0001"), filepath.Join(dir, "x")
		if err := errors.Join(os.Rename(zero, aside), os.Rename(one, zero), os.Rename(aside, one)); err != nil {
			t.Fatal(err)
		}
	}
	forget := func(t *testing.T, dir string) {
		t.Helper()
		for _, name := range []string{"p0000", "p0001"} {
			if err := os.Remove(filepath.Join(dir, name, seglog.OwnerName)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		hurt, right func(t *testing.T, dir string)
		says        string // "": it opens
	}{
		"nothing":              {},
		"exchanged":            {exchange, exchange, "folder p0000 is partition 1: folders were exchanged, or put back in the wrong place; rename it to p0001"},
		"of before":            {hurt: forget},
		"of before, exchanged": {func(t *testing.T, dir string) { forget(t, dir); exchange(t, dir) }, exchange, "which are in partition 1: folders were exchanged"},
		"damaged": {hurt: func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "p0001", seglog.OwnerName), []byte("landfall-part"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"of another landing log": {func(t *testing.T, dir string) {
			other := fillFolders(t, "quay-2")
			if err := errors.Join(os.Rename(filepath.Join(dir, "p0001"), filepath.Join(dir, "x")), os.Rename(filepath.Join(other, "p0001"), filepath.Join(dir, "p0001"))); err != nil {
				t.Fatal(err)
			}
		}, func(t *testing.T, dir string) {
			if err := errors.Join(os.RemoveAll(filepath.Join(dir, "p0001")), os.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "p0001"))); err != nil {
				t.Fatal(err)
			}
		}, `folder p0001 is partition 1 of landing log "quay-2", and this is "harbour-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fillFolders(t, "harbour-1")
			if c.hurt != nil {
				c.hurt(t, dir)
			}
			if c.says != "" {
				if l, err := Open(Config{Dir: dir}); !errors.Is(err, ErrFolder) || !errors.Is(err, landing.ErrMismatch) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("opened %v, %v", l, err)
				}
				c.right(t, dir)
			}
			l := open(t, Config{Dir: dir})
			for part := range 2 {
				if n := l.StoreStats(part).Orphans; len(l.Tails(part)) == 0 || n > 0 {
					t.Errorf("partition %d: %d gateways, %d unknown names", part, len(l.Tails(part)), n)
				}
				p, err := os.ReadFile(filepath.Join(dir, folderName(part), seglog.OwnerName))
				if is, errDecode := decodeFolder(p); errors.Join(err, errDecode) != nil || is != (folder{"harbour-1", part}) {
					t.Errorf("partition %d says %+v, %v, %v", part, is, err, errDecode)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestFolderFormatIsFrozen: version 1 is written and read as it stands on disks, and a
// newer one is refused.
func TestFolderFormatIsFrozen(t *testing.T) {
	const frozen = "landfall-partition 1 b4c2898a\n" + `{"landing":"harbour-1","partition":1}` + "\n"
	p, err := folder{"harbour-1", 1}.encode()
	if err != nil || string(p) != frozen {
		t.Errorf("%q, %v", p, err)
	}
	if got, err := decodeFolder([]byte(frozen)); err != nil || got != (folder{"harbour-1", 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []folder{{"", 1}, {"Harbour", 1}, {"harbour-1", -1}, {"harbour-1", MaxPartitions}} {
		if p, err = bad.encode(); err != nil {
			t.Fatal(err)
		}
		if got, err := decodeFolder(p); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	dir := fillFolders(t, "harbour-1")
	newer := strings.Replace(frozen, "partition 1 ", "partition 2 ", 1)
	if err := os.WriteFile(filepath.Join(dir, "p0001", seglog.OwnerName), []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}
