package tampertest

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// Task returns the task of one partition of a lake.
func Task(partition int) stream.TaskID {
	return stream.TaskID{Landing: landingID, Partition: partition}
}

// TaskNamed returns the task with a name.
func TaskNamed(t testing.TB, name string) stream.TaskID {
	t.Helper()
	cut := strings.LastIndexByte(name, '-')
	partition, err := strconv.Atoi(name[cut+1:])
	must(t, err)
	return stream.TaskID{Landing: name[:max(cut, 0)], Partition: partition}
}

func (l *Lake) store(t testing.TB) checkpoint.Store {
	t.Helper()
	s, err := object.OpenDir(durable.OS{}, l.Checkpoints())
	must(t, err)
	return s
}

// Head reads HEAD and the manifest that it names.
func (l *Lake) Head(t testing.TB, task stream.TaskID) (checkpoint.Head, checkpoint.Manifest) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(l.Checkpoints(), task.String(), "HEAD"))
	must(t, err)
	h, err := checkpoint.DecodeHead(data)
	must(t, err)
	m, err := checkpoint.Load(t.Context(), l.store(t), task)
	must(t, err)
	return h, m
}

// Ledger reads a task's ledger, the oldest entry first.
func (l *Lake) Ledger(t testing.TB, task stream.TaskID) (all []ledger.Walked) {
	t.Helper()
	_, m := l.Head(t, task)
	if m.Ledger == nil {
		t.Fatalf("task %s has no ledger", task)
	}
	for one, err := range ledger.Walk(t.Context(), checkpoint.LedgerOf(l.store(t)), task.String(), *m.Ledger) {
		must(t, err)
		all = append(all, one)
	}
	slices.Reverse(all)
	return all
}

// Forge changes entries of a task's ledger and writes the chain again, up to
// the manifest and HEAD, so that every hash fits.
func (b *Bench) Forge(task stream.TaskID, change func(e *ledger.Entry)) {
	b.Helper()
	head, m := b.Head(b, task)
	previous := ""
	for _, one := range b.Ledger(b, task) {
		e := one.Entry
		change(&e)
		e.Previous = previous
		line, err := e.Encode()
		must(b, err)
		Write(b, filepath.Join(b.Checkpoints(), one.Object), line)
		previous = ledger.Hash(line)
	}
	m.Ledger.SHA256 = previous
	b.setHead(task, head, m)
}

// setHead makes HEAD name a manifest.
func (b *Bench) setHead(task stream.TaskID, head checkpoint.Head, m checkpoint.Manifest) {
	b.Helper()
	data, err := m.Encode()
	must(b, err)
	Write(b, filepath.Join(b.Checkpoints(), head.Manifest), data)
	sum := sha256.Sum256(data)
	head.SHA256 = hex.EncodeToString(sum[:])
	data, err = head.Encode()
	must(b, err)
	Write(b, filepath.Join(b.Checkpoints(), task.String(), "HEAD"), data)
}

// Append adds an entry to a task's ledger, as somebody would who leaves the history
// before it as it is.
func (b *Bench) Append(task stream.TaskID, change func(e *ledger.Entry)) {
	b.Helper()
	head, m := b.Head(b, task)
	all := b.Ledger(b, task)
	last := &all[len(all)-1]
	e := last.Entry
	e.Number, e.Previous, e.Files, e.Removed, e.Logs = last.Number+1, last.SHA256, nil, nil, nil
	change(&e)
	line, err := e.Encode()
	must(b, err)
	m.Ledger = &ledger.Tip{Name: ledger.EntryName(e.Task, e.Number, e.Claim), Number: e.Number, SHA256: ledger.Hash(line)}
	Write(b, filepath.Join(b.Checkpoints(), m.Ledger.Name), line)
	b.setHead(task, head, m)
}

// RepairFile makes the ledger say that a file was replaced by what it is now, in a
// new entry.
func (b *Bench) RepairFile(name string) {
	b.Helper()
	task := TaskNamed(b, taskOf(name))
	b.Append(task, func(e *ledger.Entry) {
		for _, one := range b.Ledger(b, task) {
			for _, f := range one.Files {
				if f.Name == name {
					now := b.fileNow(f)
					e.Kind, e.Removed, e.Files = ledger.KindRepair, []ledger.File{f}, []ledger.File{now}
				}
			}
		}
	})
}

// fileNow returns what the ledger would say of a file as it is now.
func (b *Bench) fileNow(f ledger.File) ledger.File {
	b.Helper()
	data, err := os.ReadFile(b.Path(f.Name))
	must(b, err)
	sum := sha256.Sum256(data)
	f.SHA256, f.Bytes, f.Rows = hex.EncodeToString(sum[:]), int64(len(data)), int64(len(ReadRows(b, b.Path(f.Name)).Rows))
	return f
}

// restart leaves of a task's checkpoint what its first claim wrote.
func (b *Bench) restart(task stream.TaskID) {
	b.Helper()
	head, m := b.Head(b, task)
	first := checkpoint.Manifest{
		Format: m.Format, Landing: m.Landing, Partition: m.Partition, Partitions: m.Partitions, Claim: m.Claim,
		Schema: m.Schema, Decoder: m.Decoder, Writer: m.Writer, Params: m.Params,
	}
	head.Manifest = path.Join(path.Dir(head.Manifest), first.Epoch.Padded()+"-"+string(m.Claim)+".json")
	head.Epoch = 0
	b.Remove("_checkpoint/" + task.String())
	b.setHead(task, head, first)
}

// ForgeFile makes the ledger say of a file what it is now.
func (b *Bench) ForgeFile(name string) {
	b.Helper()
	b.Forge(TaskNamed(b, taskOf(name)), func(e *ledger.Entry) {
		for i := range e.Files {
			if f := &e.Files[i]; f.Name == name {
				*f = b.fileNow(*f)
			}
		}
	})
}
