package repair

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// taskState is what the checkpoints say of one task, and what of it is wrong.
type taskState struct {
	id       stream.TaskID
	manifest checkpoint.Manifest
	readable bool                   // HEAD, manifest and ledger are whole
	files    map[string]ledger.File // that have to be there, by name
	waiting  map[string]bool        // committed, not visible yet, and staged
	repaired map[string]bool        // files of which the newest entry is that of a repair
	decoders map[string]string      // versions of what made files, by name
	epochs   map[stream.Epoch]*ledger.Entry
	opened   map[string]ledger.Log                      // the entry that opened a log, by its id
	order    map[string]int                             // in which logs were opened
	marks    map[stream.Epoch]map[string]record.Micros  // watermarks at the ends of epochs; nil: not read yet
	digests  map[string]map[record.Offset]record.Digest // of logs at the ends of epochs; nil: not gathered yet
	landed   map[stream.Epoch][]*group                  // what files say that are taken for wrong though the ledger names them
	wrong    []wrongFile
	maker    *maker // nil: nothing was made yet
	gone     bool   // HEAD, read again, is gone or of an earlier time

	lost      error             // what is wrong with HEAD or its manifest, in place of which manifest is; nil: nothing
	stateLost error             // what is wrong with the state that the manifest names; nil: nothing
	memory    *memory           // state that was made again; nil: none was
	unable    bool              // what was lost stays so
	came      bool              // it goes on from tasks of another landing log
	staged    map[string]string // where what waits lies staged, by name
	rebuilt   *rebuilt          // epochs in the lake after that of the checkpoint; nil: there are none
	// unwhole tells epochs of which the ledger does not name all files of record.
	unwhole map[stream.Epoch]bool
}

// wrongFile is a file that is not as the ledger says.
type wrongFile struct {
	ledger.File
	epoch  stream.Epoch
	absent bool
	odd    string // what is there in its place and is no file; empty: a file
	fix    *fix   // nil: none was found
	aside  bool   // what was in its place is set aside
	// suspect says why it is taken for wrong though it has the bytes that the ledger
	// names; right: it turned out not to be.
	suspect string
	right   bool
	unnamed string // why it is set aside where no ledger names it; empty: one does
}

// fix is how a file is put right.
type fix struct {
	kind   Kind
	copyOf string        // a file of the lake with the bytes; empty: staged is in the scratch place
	staged stream.Staged // as it is to be published
	from   string        // its name in the scratch place
	note   string        // for the entry
	// decoder is the version of what made its rows.
	decoder string
}

// allTasks lists the tasks that have anything in the store.
func allTasks(ctx context.Context, store checkpoint.Store) ([]stream.TaskID, error) {
	names, err := store.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	var ids []stream.TaskID
	for _, name := range names {
		folder, _, _ := strings.Cut(name, "/")
		if id, ok := parseTask(folder); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// parseTask returns the task that a folder of the checkpoints is of; false: none.
func parseTask(folder string) (stream.TaskID, bool) {
	cut := strings.LastIndexByte(folder, '-')
	if cut < 1 || len(folder)-cut != 5 {
		return stream.TaskID{}, false
	}
	n, err := strconv.ParseUint(folder[cut+1:], 10, 16)
	return stream.TaskID{Landing: folder[:cut], Partition: int(n)}, err == nil
}

// look reads what a task's checkpoint and ledger say, and hashes its files.
func (r *run) look(ctx context.Context, id stream.TaskID) (*taskState, error) {
	t := &taskState{id: id, files: map[string]ledger.File{}, waiting: map[string]bool{}, repaired: map[string]bool{}, decoders: map[string]string{}, epochs: map[stream.Epoch]*ledger.Entry{},
		opened: map[string]ledger.Log{}, order: map[string]int{}, staged: map[string]string{}}
	found, why, err := r.head(ctx, t)
	if err == nil && !found && why != nil {
		found, err = r.lost(ctx, t, why)
	}
	if err != nil || !found {
		return t, err
	}
	if err := r.checkState(ctx, t); err != nil {
		return t, err
	}
	m := &t.manifest
	if m.Ledger == nil {
		if t.stateLost != nil {
			t.unable = true
			r.left(id.String(), "", id.String()+"/state", "%v; without a ledger it cannot be made again: put it back from a backup of the checkpoints", t.stateLost)
		}
		if m.Epoch > 0 {
			r.left(id.String(), "", ledger.Folder(id.String()), "the task has no ledger: it was begun by a version without one; start an engine of this version once, which takes it over")
		}
		t.readable = m.Epoch == 0
		return t, nil
	}
	if err := r.readLedger(ctx, t); err != nil {
		return t, err
	}
	return t, r.compare(ctx, t)
}

// readLedger walks from the newest entry back.
func (r *run) readLedger(ctx context.Context, t *taskState) error {
	if why, err := r.mendLedger(ctx, t); err != nil || why != "" {
		if err == nil {
			r.left(t.id.String(), "", ledger.Folder(t.id.String()), "%s", why)
		}
		return err
	}
	seen := map[string]bool{}
	var logs [][]ledger.Log
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), t.id.String(), *t.manifest.Ledger) {
		if err != nil {
			return err
		}
		for _, f := range one.Files {
			if f.Sink == LakeSink && !seen[f.Name] {
				seen[f.Name], t.files[f.Name] = true, f
				t.repaired[f.Name] = one.Kind == ledger.KindRepair
				if t.decoders[f.Name] = one.Decoder; one.Kind == ledger.KindAdopted {
					t.decoders[f.Name] = "unknown" // the entry says only what was there
				}
			}
		}
		for _, f := range one.Removed {
			seen[f.Name] = seen[f.Name] || f.Sink == LakeSink
		}
		t.came = t.came || one.Kind == ledger.KindMoved
		if one.Kind == ledger.KindEpoch {
			entry := one.Entry
			t.epochs[one.Epoch] = &entry
		}
		logs = append(logs, one.Logs)
	}
	slices.Reverse(logs)
	for _, entry := range logs {
		for _, l := range entry {
			if _, known := t.order[l.Log]; !known {
				t.order[l.Log], t.opened[l.Log] = len(t.order), l
			}
		}
	}
	t.readable = true
	return nil
}

// compare finds the files that are not as the ledger says.
func (r *run) compare(ctx context.Context, t *taskState) error {
	if b := t.rebuilt; b != nil && b.why != "" && b.reused != nil {
		r.left(t.id.String(), "", t.id.String()+"/HEAD", "an older checkpoint was put back, and an engine gave the numbers of published epochs from %s on to other rows, which cannot be published; %s", b.reused.from, b.why)
	}
	for _, p := range t.manifest.Pending() {
		for _, s := range p.Staged {
			if s.Sink != LakeSink {
				continue
			}
			var err error
			t.staged[s.Target] = s.Name
			if t.waiting[s.Target], err = r.waits(ctx, s); err != nil {
				return err
			}
		}
	}
	for _, name := range sortedKeys(t.files) {
		if t.isReused(name) {
			continue
		}
		have, err := r.hash(ctx, name)
		if err != nil {
			return err
		}
		if f := t.files[name]; have != f.SHA256 && !t.waiting[name] {
			t.wrong = append(t.wrong, wrongFile{File: f, epoch: epochOf(name), absent: have == "" && r.odd[name] == "", odd: r.odd[name]})
		}
	}
	return nil
}

// waits tells whether a committed file is staged and not published yet. The bytes
// of one that can be read are right.
func (r *run) waits(ctx context.Context, s stream.Staged) (bool, error) {
	have, err := r.hash(ctx, s.Target)
	if err != nil || have != "" {
		return false, err
	}
	staged, err := r.hash(ctx, s.Name)
	if err != nil || staged == s.SHA256 {
		return err == nil, err
	}
	held := false
	if staged == "" {
		if held, err = r.Lake.Holds(ctx, s); err != nil {
			return false, fmt.Errorf("look for %s: %w", s.Target, err)
		}
	}
	delete(r.hashes, s.Target) // published meanwhile, perhaps
	delete(r.odd, s.Target)
	have, err = r.hash(ctx, s.Target)
	return held && have == "" && r.odd[s.Target] == "", err
}

// hash returns the SHA-256 of a file; empty: it is not there, or odd says what is
// there in its place.
func (r *run) hash(ctx context.Context, name string) (string, error) {
	if sum, ok := r.hashes[name]; ok {
		return sum, nil
	}
	f, err := r.Lake.Open(ctx, name)
	if none := new(NotAFileError); errors.As(err, &none) {
		r.hashes[name], r.odd[name] = "", none.What
		return "", nil
	}
	if errors.Is(err, checkpoint.ErrNotExist) {
		r.hashes[name] = ""
		return "", nil
	}
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.CopyBuffer(h, io.NewSectionReader(f, 0, f.Size()), make([]byte, 256<<10))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	r.hashes[name] = hex.EncodeToString(h.Sum(nil))
	return r.hashes[name], nil
}

// inHiddenFolder tells whether a name lies in a folder that other programs keep
// for themselves, such as _delta_log.
func inHiddenFolder(name string) bool {
	return slices.ContainsFunc(strings.Split(path.Dir(name), "/"), func(part string) bool {
		return strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".")
	})
}

// findSpares notes which bytes lie where they do not belong.
func (r *run) findSpares(ctx context.Context, strays []string) error {
	r.spare = map[string]string{}
	aside, err := r.Lake.List(ctx, "_quarantine/")
	if err != nil {
		return err
	}
	names := append(aside, strays...)
	for _, t := range r.tasks {
		for _, w := range t.wrong {
			if !w.absent && w.suspect == "" {
				names = append(names, w.Name)
			}
		}
	}
	for _, name := range names {
		sum, err := r.hash(ctx, name)
		if err != nil {
			return err
		}
		r.spare[sum] = name
	}
	delete(r.spare, "")
	return nil
}

// taskName returns the task in a file's name; empty: none is.
func taskName(name string) string {
	parts := nameParts(name)
	if parts == nil {
		return ""
	}
	return strings.Join(parts[:len(parts)-2], "-")
}

// epochOf returns the epoch in a file's name; 0: none is.
func epochOf(name string) stream.Epoch {
	parts := nameParts(name)
	if parts == nil {
		return 0
	}
	n, _ := strconv.ParseUint(parts[len(parts)-2], 10, 64)
	return stream.Epoch(n)
}

// nameParts takes "<task>-<epoch, 20 digits>-<n>.parquet" apart; nil: that is
// none.
func nameParts(name string) []string {
	parts := strings.Split(strings.TrimSuffix(path.Base(name), ".parquet"), "-")
	if n := len(parts); n < 4 || len(parts[n-2]) != 20 || len(parts[n-3]) != 4 {
		return nil
	}
	return parts
}

func tableOf(name string) table.Name {
	first, _, _ := strings.Cut(name, "/")
	return table.Name(first)
}

// dayOf returns the date in a file's name, "YYYY-MM-DD".
func dayOf(name string) string { return strings.TrimPrefix(path.Base(path.Dir(name)), "dt=") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
