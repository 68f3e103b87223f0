package objecttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// World is the Files under test and what lies below them.
type World interface {
	// Files opens the files as a new process does.
	Files(t testing.TB) object.Files
	// ChangeStaged changes the bytes of a staged file behind the Files' back.
	ChangeStaged(t testing.TB, staged stream.Staged, change func([]byte) []byte)
	// ChangePublished changes the bytes of a published file likewise.
	ChangePublished(t testing.TB, staged stream.Staged, change func([]byte) []byte)
	// ReadsStaged says that staged bytes can be read before they are
	// published. Where they cannot, Publish may show damaged ones, and Verify
	// finds them.
	ReadsStaged() bool
}

// Content is what the suite stages; a test that changes bytes finds it there.
const Content = "the rows of one file of one epoch"

const task = "task-0000"

// Run puts Files through the suite. Each call of open returns an empty World.
func Run(t *testing.T, open func(t testing.TB) World) {
	t.Run("what was staged is published and verified", func(t *testing.T) { good(t, open(t)) })
	t.Run("damaged staged bytes", func(t *testing.T) { damagedStaged(t, open) })
	t.Run("damaged published bytes", func(t *testing.T) { damagedPublished(t, open) })
	t.Run("replaced", func(t *testing.T) { replaced(t, open) })
	t.Run("not replaced", func(t *testing.T) { notReplaced(t, open) })
	t.Run("absent", func(t *testing.T) { absent(t, open(t)) })
	t.Run("another history", func(t *testing.T) { otherHistory(t, open(t)) })
}

// changes are the ways in which bytes become others.
func changes() map[string]func([]byte) []byte {
	return map[string]func([]byte) []byte{
		"one bit":   func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"last byte": func(b []byte) []byte { b[len(b)-1]++; return b },
		"cut":       func(b []byte) []byte { return b[:len(b)-1] },
		"emptied":   func(b []byte) []byte { return b[:0] },
		"longer":    func(b []byte) []byte { return append(b, 0) },
		"zeroed":    func(b []byte) []byte { clear(b); return b },
	}
}

// Stage stages content and returns what a manifest would say of it.
func Stage(t testing.TB, files object.Files, name, target, content string) stream.Staged {
	t.Helper()
	sum := sha256.Sum256([]byte(content))
	staged := stream.Staged{
		Name: "_staging/" + task + "/claim/" + name, Target: target, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
	}
	f, err := files.Create(t.Context(), staged.Name, staged.Target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Place(&staged)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return staged
}

func target(n int) string { return fmt.Sprintf("table/dt=2024-01-01/%s-%d", task, n) }

// visible returns what readers see under a name; nil where nothing is there.
func visible(t testing.TB, files object.Files, name string) []byte {
	t.Helper()
	f, err := files.Open(t.Context(), name)
	if errors.Is(err, object.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, f.Size())
	if _, err := f.ReadAt(data, 0); err != nil && len(data) > 0 {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

func wantVisible(t testing.TB, files object.Files, staged stream.Staged, content string) {
	t.Helper()
	if got := visible(t, files, staged.Target); !bytes.Equal(got, []byte(content)) {
		t.Errorf("%s has %q, want %q", staged.Target, got, content)
	}
}

// wantDamaged holds that an error names the file and where it was read.
func wantDamaged(t testing.TB, err error, staged stream.Staged, where string) *stream.DamagedError {
	t.Helper()
	var damaged *stream.DamagedError
	if !errors.As(err, &damaged) || !errors.Is(err, stream.ErrDamaged) {
		t.Fatalf("got %v, want a DamagedError", err)
	}
	if damaged.Where != where || damaged.Staged.Target != staged.Target {
		t.Errorf("it names %s for %s, want %s for %s", damaged.Where, damaged.Staged.Target, where, staged.Target)
	}
	return damaged
}

func good(t *testing.T, w World) {
	ctx, files := t.Context(), w.Files(t)
	for i, content := range []string{Content, ""} {
		staged := Stage(t, files, fmt.Sprint(i), target(i), content)
		for range 2 {
			if err := files.Publish(ctx, staged); err != nil {
				t.Fatal(err)
			}
			if err := files.Verify(ctx, staged); err != nil {
				t.Fatal(err)
			}
		}
		wantVisible(t, files, staged, content)
	}
}

func damagedStaged(t *testing.T, open func(t testing.TB) World) {
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			w, ctx := open(t), t.Context()
			files := w.Files(t)
			bad, good := Stage(t, files, "1", target(1), Content), Stage(t, files, "2", target(2), Content)
			w.ChangeStaged(t, bad, change)
			files = w.Files(t) // a process that starts
			for range 2 {
				err := files.Publish(ctx, bad)
				if w.ReadsStaged() {
					wantDamaged(t, err, bad, bad.Name)
					if got := visible(t, files, bad.Target); got != nil {
						t.Fatalf("readers see %q", got)
					}
				} else if err != nil && !errors.Is(err, stream.ErrDamaged) {
					t.Fatal(err)
				}
				wantDamaged(t, files.Verify(ctx, bad), bad, bad.Target)
			}
			if w.ReadsStaged() {
				left, err := files.List(ctx, "_staging/"+task+"/")
				if err != nil || !slices.Contains(left, bad.Name) {
					t.Errorf("what was damaged is not kept: %v %v", left, err)
				}
			}
			if err := files.Publish(ctx, good); err != nil {
				t.Fatalf("the other file of the epoch: %v", err)
			}
			wantVisible(t, files, good, Content)
		})
	}
}

func damagedPublished(t *testing.T, open func(t testing.TB) World) {
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			w, ctx := open(t), t.Context()
			files := w.Files(t)
			staged := Stage(t, files, "1", target(1), Content)
			if err := files.Publish(ctx, staged); err != nil {
				t.Fatal(err)
			}
			w.ChangePublished(t, staged, change)
			wantDamaged(t, w.Files(t).Verify(ctx, staged), staged, staged.Target)
		})
	}
}

func absent(t *testing.T, w World) {
	ctx, files := t.Context(), w.Files(t)
	staged := Stage(t, files, "1", target(1), Content)
	damaged := wantDamaged(t, files.Verify(ctx, staged), staged, staged.Target)
	if damaged.SHA256 != "" {
		t.Errorf("nothing is there, with hash %s", damaged.SHA256)
	}
	if err := files.Publish(ctx, staged); err != nil {
		t.Fatal(err)
	}
	if err := files.Remove(ctx, staged.Target); err != nil {
		t.Fatal(err)
	}
	wantDamaged(t, files.Verify(ctx, staged), staged, staged.Target)
	if err := files.Publish(ctx, staged); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Errorf("neither staged nor published: %v", err)
	}
}

func otherHistory(t *testing.T, w World) {
	ctx, files := t.Context(), w.Files(t)
	first := Stage(t, files, "1", target(1), Content)
	if err := files.Publish(ctx, first); err != nil {
		t.Fatal(err)
	}
	second := Stage(t, files, "2", target(1), "other rows")
	if err := files.Publish(ctx, second); !errors.Is(err, object.ErrContent) {
		t.Errorf("other content: %v", err)
	}
	wantVisible(t, files, first, Content)
	wantDamaged(t, files.Verify(ctx, second), second, second.Target)
}

// replaced puts the right bytes in the place of damaged ones, again and again.
func replaced(t *testing.T, open func(t testing.TB) World) {
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			w, ctx := open(t), t.Context()
			files := w.Files(t)
			staged := Stage(t, files, "1", target(1), Content)
			if err := files.Publish(ctx, staged); err != nil {
				t.Fatal(err)
			}
			w.ChangePublished(t, staged, change)
			files = w.Files(t)
			damaged := wantDamaged(t, files.Verify(ctx, staged), staged, staged.Target)
			was := visible(t, files, staged.Target)
			again := Stage(t, files, "again", target(1), Content)
			for range 3 {
				if err := files.Replace(ctx, again, damaged.SHA256); err != nil {
					t.Fatal(err)
				}
				if err := files.Verify(ctx, again); err != nil {
					t.Fatal(err)
				}
			}
			wantVisible(t, files, again, Content)
			if got := visible(t, files, object.Kept(staged.Target, damaged.SHA256)); !bytes.Equal(got, was) {
				t.Errorf("kept is %q, damaged was %q", got, was)
			}
			if left, err := files.List(ctx, "_staging/"+task+"/"); err != nil || len(left) > 0 {
				t.Errorf("left staged: %v %v", left, err)
			}
			if err := files.Publish(ctx, again); err != nil { // as a claim does
				t.Error(err)
			}
		})
	}
}

// notReplaced holds that nothing is replaced but what was found damaged, and by
// nothing but what was committed.
func notReplaced(t *testing.T, open func(t testing.TB) World) {
	const other = "rows of another history"
	sum := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	for name, damaged := range map[string]string{"another hash": sum("damaged"), "nothing was there": ""} {
		t.Run(name, func(t *testing.T) {
			ctx, files := t.Context(), open(t).Files(t)
			first := Stage(t, files, "1", target(1), other)
			if err := files.Publish(ctx, first); err != nil {
				t.Fatal(err)
			}
			second := Stage(t, files, "2", target(1), Content)
			if err := files.Replace(ctx, second, damaged); !errors.Is(err, object.ErrContent) {
				t.Errorf("got %v", err)
			}
			wantVisible(t, files, first, other)
		})
	}
	t.Run("staged bytes are damaged too", func(t *testing.T) {
		w, ctx := open(t), t.Context()
		if !w.ReadsStaged() {
			t.Skip("staged bytes cannot be read here")
		}
		files := w.Files(t)
		first := Stage(t, files, "1", target(1), other)
		if err := files.Publish(ctx, first); err != nil {
			t.Fatal(err)
		}
		second := Stage(t, files, "2", target(1), Content)
		w.ChangeStaged(t, second, func(b []byte) []byte { b[0]++; return b })
		wantDamaged(t, files.Replace(ctx, second, sum(other)), second, second.Name)
		wantVisible(t, files, first, other)
	})
	t.Run("nothing is staged", func(t *testing.T) {
		ctx, files := t.Context(), open(t).Files(t)
		first := Stage(t, files, "1", target(1), other)
		if err := files.Publish(ctx, first); err != nil {
			t.Fatal(err)
		}
		second := Stage(t, files, "2", target(1), Content)
		if err := files.Remove(ctx, second.Name); err != nil {
			t.Fatal(err)
		}
		if err := files.Replace(ctx, second, sum(other)); !errors.Is(err, checkpoint.ErrNotExist) {
			t.Errorf("got %v", err)
		}
		wantVisible(t, files, first, other)
	})
	t.Run("absent", func(t *testing.T) {
		ctx, files := t.Context(), open(t).Files(t)
		staged := Stage(t, files, "1", target(1), Content)
		for range 2 {
			if err := files.Replace(ctx, staged, ""); err != nil {
				t.Fatal(err)
			}
		}
		wantVisible(t, files, staged, Content)
	})
}
