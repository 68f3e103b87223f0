package faultfs

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"landfall/edge/durable"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// synced makes a file of n bytes b that survives.
func synced(t *testing.T, f *FS, name string, b byte, n int) durable.File {
	t.Helper()
	h, err := f.Create(name)
	check(t, err)
	_, err = h.Write(bytes.Repeat([]byte{b}, n))
	check(t, err)
	check(t, h.Sync())
	check(t, f.SyncDir("/"))
	return h
}

func content(t *testing.T, f *FS, name string) string {
	t.Helper()
	p, err := durable.ReadFile(f, name)
	check(t, err)
	return string(p)
}

func TestLosses(t *testing.T) {
	for _, tc := range []struct {
		loss          Loss
		bytes, rename bool
	}{
		{LoseAll, false, false}, {KeepAll, true, true}, {LoseNames, true, false}, {LoseBytes, false, true},
	} {
		f := New()
		h := synced(t, f, "/a", 'o', 3)
		_, err := h.WriteAt([]byte("new"), 0)
		check(t, err)
		check(t, f.Rename("/a", "/b"))
		f.Crash(tc.loss, 1)
		name, want := "/a", "ooo"
		if tc.rename {
			name = "/b"
		}
		if tc.bytes {
			want = "new"
		}
		if got := content(t, f, name); got != want {
			t.Errorf("%s: %s holds %q, want %q", tc.loss, name, got, want)
		}
		if _, err := h.Size(); !errors.Is(err, ErrCrashed) {
			t.Errorf("%s: a file of the earlier life is open", tc.loss)
		}
	}
}

func TestTearTakesWholePieces(t *testing.T) {
	seen := map[bool]bool{}
	for seed := range uint64(20) {
		f := New()
		h := synced(t, f, "/a", 'o', 4096)
		_, err := h.WriteAt(bytes.Repeat([]byte{'n'}, 4096), 0)
		check(t, err)
		f.Crash(TearSectors, seed)
		got := content(t, f, "/a")
		for at := 0; at < 4096; at += 512 {
			piece := got[at : at+512]
			for i := range piece {
				if piece[i] != piece[0] {
					t.Fatalf("seed %d: the piece at %d is torn", seed, at)
				}
			}
			seen[piece[0] == 'n'] = true
		}
	}
	if len(seen) != 2 {
		t.Error("pieces were all kept or all lost")
	}
}

func TestSyncDataLeavesTheSize(t *testing.T) {
	f := New()
	h := synced(t, f, "/a", 'o', 10)
	_, err := h.WriteAt(bytes.Repeat([]byte{'n'}, 20), 0)
	check(t, err)
	check(t, h.SyncData())
	f.Crash(LoseAll, 0)
	if got := content(t, f, "/a"); got != "nnnnnnnnnn" {
		t.Errorf("content %q", got)
	}
}

// TestFailedSyncStaysLost is the fsyncgate: the second Sync says nil.
func TestFailedSyncStaysLost(t *testing.T) {
	for mode, cache := range map[Mode]string{FailNotStored: "nnn", SyncDrop: "ooo", FailStored: "nnn"} {
		f := New()
		h := synced(t, f, "/a", 'o', 3)
		_, err := h.WriteAt([]byte("nnn"), 0)
		check(t, err)
		f.Script(Fault{On: OpSync, N: 1, Mode: mode})
		if err := h.Sync(); !errors.Is(err, ErrInjected) {
			t.Fatalf("%s: sync said %v", mode, err)
		}
		check(t, h.Sync())
		if got := content(t, f, "/a"); got != cache {
			t.Errorf("%s: cache shows %q", mode, got)
		}
		f.Crash(LoseAll, 0)
		want := "ooo"
		if mode == FailStored {
			want = "nnn"
		}
		if got := content(t, f, "/a"); got != want {
			t.Errorf("%s: disk holds %q, want %q", mode, got, want)
		}
	}
}

func TestScript(t *testing.T) {
	f := New()
	f.Script(Fault{On: OpCreate, N: 2, Mode: FailNotStored}, Fault{On: OpRemove, N: 1, Mode: CrashAfter})
	_, err := f.Create("/a")
	check(t, err)
	if _, err := f.Create("/b"); !errors.Is(err, ErrInjected) {
		t.Errorf("create said %v", err)
	}
	_, err = f.Create("/b")
	check(t, err)
	check(t, f.SyncDir("/"))
	if err := f.Remove("/a"); !errors.Is(err, ErrCrashed) {
		t.Errorf("remove said %v", err)
	}
	if _, err := f.Stat("/b"); !errors.Is(err, ErrCrashed) || !f.Crashed() {
		t.Errorf("stat after the crash said %v", err)
	}
	if f.Hits() != 2 || f.Count(OpCreate) != 3 || f.Count(OpMutating) != 5 {
		t.Errorf("%d hits, operations %v", f.Hits(), f.Ops())
	}
	kept := f.Clone()
	f.Crash(LoseAll, 0)
	if _, err := f.Stat("/a"); err != nil {
		t.Errorf("a removal that was not synced was kept: %v", err)
	}
	kept.Crash(KeepAll, 0)
	if _, err := kept.Stat("/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removal was undone: %v", err)
	}
}

func TestPause(t *testing.T) {
	f := New()
	calls := 0
	f.Pause(OpCreate, 2, func() {
		calls++
		if _, err := f.Create("/between"); err != nil {
			t.Errorf("the files cannot be used in a pause: %v", err)
		}
		if _, err := f.Stat("/b"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the paused operation had been done: %v", err)
		}
	})
	for _, name := range []string{"/a", "/b", "/c"} {
		_, err := f.Create(name)
		check(t, err)
	}
	if calls != 1 {
		t.Errorf("paused %d times", calls)
	}
}

func TestLimit(t *testing.T) {
	f := New()
	f.SetLimit(10)
	h, err := f.Create("/a")
	check(t, err)
	n, err := h.Write(make([]byte, 20))
	if n != 10 || !errors.Is(err, durable.ErrNoSpace) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if free, _ := f.Free("/"); free != 0 {
		t.Errorf("%d bytes free", free)
	}
	check(t, f.Remove("/a"))
	if free, _ := f.Free("/"); free != 10 {
		t.Errorf("%d bytes free after the removal", free)
	}
}

// TestFailedSyncDirStaysLost: names of a failed SyncDir are not made durable by
// the next one, unless they change again.
func TestFailedSyncDirStaysLost(t *testing.T) {
	f := New()
	synced(t, f, "/a", 'a', 1)
	check(t, f.Rename("/a", "/b"))
	f.Script(Fault{On: OpSyncDir, N: 1, Mode: MediaError})
	if err := f.SyncDir("/"); !errors.Is(err, durable.ErrMedia) {
		t.Fatalf("syncdir said %v", err)
	}
	check(t, f.SyncDir("/"))
	f.Crash(LoseAll, 0)
	if got := content(t, f, "/a"); got != "a" {
		t.Errorf("content %q", got)
	}
}
