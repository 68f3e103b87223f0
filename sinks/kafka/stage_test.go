package kafka

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"landfall/engine/stream"
	"landfall/sinks/object"
)

// liar changes what is read of staged objects.
type liar struct {
	object.Files
	change func([]byte) []byte
}

func (l liar) Open(ctx context.Context, name string) (object.ReadFile, error) {
	f, err := l.Files.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	data := make([]byte, f.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, err
	}
	return lie{f, l.change(data)}, nil
}

type lie struct {
	object.ReadFile
	data []byte
}

func (l lie) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(l.data).ReadAt(p, off) }
func (l lie) Size() int64                             { return int64(len(l.data)) }

// TestSealRefusesWhatReadsBackDifferently: nothing is named by a manifest that
// was not read back.
func TestSealRefusesWhatReadsBackDifferently(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"one bit": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"longer":  func(b []byte) []byte { return append(b, 0) },
		"empty":   func([]byte) []byte { return nil },
	} {
		s, err := New(Config{Files: liar{lakeInMemory(t), change}, Brokers: []string{"127.0.0.1:1"}})
		if err != nil {
			t.Fatal(err)
		}
		st, err := s.Begin(stream.TaskID{Landing: "test"}, stream.ClaimID(strings.Repeat("c", 32)), 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Write(rowsOf(0, 10)); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Seal(t.Context()); !errors.Is(err, errStaged) {
			t.Errorf("%s: sealed with %v", name, err)
		}
	}
}

// TestDamagedStagedObjectIsNotPublished: what changed on the way from staging to
// publishing stops the epoch before a row of it is committed.
func TestDamagedStagedObjectIsNotPublished(t *testing.T) {
	_, brokers := fake(t)
	c := Config{Brokers: brokers, Prefix: "p.", Tables: some}
	s, outputs := staged(t, c, 1, rowsOf(0, 5))
	for name, change := range map[string]func([]byte) []byte{
		"one bit": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		// It is a whole stream all the same: only the hash tells.
		"a column's name": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("received_at"), []byte("received_it")) },
	} {
		c.Files = liar{s.cfg.Files, change}
		damaged, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := damaged.Publish(t.Context(), outputs); !errors.Is(err, errStaged) || !errors.Is(err, stream.ErrDamaged) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	if err := s.Publish(t.Context(), outputs); err != nil {
		t.Fatal(err)
	}
	if n := values(t, brokers, "p.record"); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

// TestBadNamesAreRefused before they become folders.
func TestBadNamesAreRefused(t *testing.T) {
	s, err := New(Config{Files: lakeInMemory(t), Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(stream.TaskID{Landing: "../x"}, "c", 1); err == nil {
		t.Error("a landing log's id that leaves the folder was taken")
	}
	if _, err := s.Begin(stream.TaskID{Landing: "x"}, "", 1); err == nil {
		t.Error("an epoch without a claim was begun")
	}
}
