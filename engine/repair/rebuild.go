package repair

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"landfall/edge/durable/failpoint"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// maxEmptyEpochs bounds how many epochs after each other may have left no file: an
// epoch that took only copies of blocks leaves none.
const maxEmptyEpochs = 1000

// rebuilt is what a repair makes of the epochs of a task that lie in the lake after
// the one at which its checkpoint ends: a whole older _checkpoint was put back.
type rebuilt struct {
	was     checkpoint.Manifest // that HEAD names
	hash    string              // of that manifest
	last    stream.Epoch        // up to which the ledger was rebuilt; that of was: not at all
	entries []rebuiltEntry
	newest  *ledger.Entry
	tip     ledger.Tip
	// cut are the files of the one epoch after last that is not whole, and cutWhy says
	// what it lacks: it was being published when the engine ended.
	cut    []string
	cutWhy string
	again  []unwhole // epochs of which files have to be made again, oldest first
	// reused are epochs of HEAD that are dropped, for the lake has their numbers; nil:
	// there are none. was is then what HEAD named before them.
	reused *reused
	why    string // why nothing is done; empty: it can be
}

// rebuiltEntry is an entry of a ledger with its object.
type rebuiltEntry struct {
	name, hash string
	data       []byte
}

// rebuild finds the epochs of a task that lie in the lake after that of its
// checkpoint, and makes their entries of the ledger from their files; nil: there are
// none, or nothing can be said of them. It changes nothing.
//
// Gateways and the landing log have let go of what was published, so that moving such
// files aside could lose their records: they are taken on as they are where they prove
// each other, and else left alone. Of every epoch up to the newest one in the lake,
//
//   - every page of every file has its checksum, and the footer the file's own name;
//   - the offsets that its rows of the table log say it took are in record or in loss,
//     each once, and no other is; they go on where the epoch before ended;
//   - the records have the digest that the gateway kept, which the table log tells, or are
//     those of blocks that were named, in which the gateway stated a digest that is not so;
//   - each record has the typed rows that it declares, and no other row is there;
//   - where blocks of these offsets are in a log that was named, the chain agrees.
//
// A block that was set aside (reason poison) is in conflict and counts as if its records
// were in record. What else of window, late and conflict is there is taken as it was found,
// and an epoch that has files of other conflicts alone as one that took nothing. Files of
// record and of typed tables that are gone or damaged are made again where something proves
// what they held (unwhole). The newest
// epoch of all may lack files of record, or of log and record, which are published last:
// it was being published. Nobody was told then that it is published, so that what it was
// made of is still in the landing log or on gateways: its files are set aside, and its
// records come again. Where that is not so, because these files are gone for another
// reason, gateways that were told say that the lake is an older one.
func (r *run) rebuild(ctx context.Context, id stream.TaskID, was *checkpoint.Manifest) (*rebuilt, error) {
	if was.Ledger == nil {
		return nil, nil
	}
	head, err := checkpoint.ReadHead(ctx, r.Store, id)
	if err != nil {
		return nil, except(err)
	}
	if head.Epoch != was.Epoch || head.Claim != was.Claim {
		return nil, nil // it moved on meanwhile
	}
	b := &rebuilt{hash: head.SHA256, was: *was}
	if b.reused, err = r.reusedEpochs(ctx, id, was); err != nil {
		return nil, err
	}
	if b.reused != nil {
		if b.was, b.why, err = r.undo(ctx, b.reused, *was); isDamage(err) {
			b.why, err = err.Error(), nil
		}
		if err != nil || b.why != "" {
			return b, err
		}
	}
	files := r.filesAfter(id, b.was.Epoch)
	if len(files) == 0 {
		return nil, nil
	}
	newest, last := slices.Max(slices.Collect(maps.Keys(files))), was.Epoch
	was, b.last, b.tip = &b.was, b.was.Epoch, *b.was.Ledger
	switch {
	case was.Moved != nil:
		b.why = "the lake has left the landing log of this task"
	case was.Final:
		b.why = "the landing log of this task had ended before"
	}
	if b.why == "" {
		if b.why, err = r.movedSince(ctx, id); err != nil {
			return nil, err
		}
	}
	if b.why != "" {
		return b, nil
	}
	if why, err := r.mendLedger(ctx, &taskState{id: id, manifest: *was}); err != nil || why != "" {
		b.why = why
		return b, err
	}
	ends, why, err := r.endsBefore(ctx, id, was)
	if b.why = why; err != nil || why != "" {
		return b, err
	}
	empty := 0
	for epoch := was.Epoch + 1; epoch <= newest; epoch++ {
		gap := empty
		if len(files[epoch]) == 0 {
			if empty++; empty > maxEmptyEpochs {
				b.why = fmt.Sprintf("epoch %s lies in the lake, and of %d epochs before it no file does", newest, empty)
				return b, nil
			}
		} else {
			empty = 0
		}
		newestOne := epoch == newest && gap == 0 // behind a gap it may lack what that took
		if b.reused != nil && len(files[epoch]) > 0 {
			if files[epoch], err = r.leaveOut(ctx, id, epoch, files[epoch], b.reused, ends); err != nil {
				return nil, err
			}
		}
		found, err := r.rebuildEpoch(ctx, id, epoch, files[epoch], ends, newestOne)
		if err != nil {
			return nil, err
		}
		if found.lacks && newestOne {
			b.cut, b.cutWhy = files[epoch], found.why
			break
		}
		if found.why != "" {
			b.why = cannotTakeOn(epoch, found.why)
			if gap > 0 {
				b.why += fmt.Sprintf("; no file of the %d epochs before it is in the lake", gap)
			}
			return b, nil
		}
		if found.again != nil {
			b.again = append(b.again, *found.again)
		}
		if err := b.add(id, found.entry); err != nil {
			b.why = err.Error()
			return b, nil
		}
	}
	for b.reused != nil && b.last <= last { // HEAD never goes back, and numbers are given once
		if err := b.add(id, rebuiltOf(id, b.last+1)); err != nil {
			b.why = err.Error()
			return b, nil
		}
	}
	return b, nil
}

// rebuiltOf begins the entry of an epoch.
func rebuiltOf(id stream.TaskID, epoch stream.Epoch) *ledger.Entry {
	return &ledger.Entry{Format: ledger.Format, Kind: ledger.KindEpoch, Task: id.String(), Epoch: epoch, Note: ledger.NoteRebuilt + " by a repair"}
}

// cannotTakeOn says why an epoch stays what it is.
func cannotTakeOn(epoch stream.Epoch, why string) string {
	return fmt.Sprintf("epoch %s cannot be taken on: %s", epoch, why)
}

// filesAfter returns the files of a task in the lake by epoch, of those after one.
func (r *run) filesAfter(id stream.TaskID, after stream.Epoch) map[stream.Epoch][]string {
	files := map[stream.Epoch][]string{}
	for _, name := range r.listedNames {
		if epoch := epochOf(name); taskName(name) == id.String() && epoch > after && !inHiddenFolder(name) {
			files[epoch] = append(files[epoch], name)
		}
	}
	return files
}

// replayed begins the name of the landing log that a file is (engine/landing/replay): it
// feeds a lake beside the lake's own.
const replayed = "replay-"

// movedSince says that the lake was moved after the checkpoints were made that are there: it
// holds files of tasks of another landing log, and nothing of these tasks. Their logs are
// those of these tasks, which would take them up where they had left them.
func (r *run) movedSince(ctx context.Context, id stream.TaskID) (why string, err error) {
	known, err := allTasks(ctx, r.Store)
	if err != nil {
		return "", err
	}
	for _, name := range r.listedNames {
		other, ok := parseTask(taskName(name))
		if !ok || other.Landing == id.Landing || inHiddenFolder(name) || strings.HasPrefix(other.Landing, replayed) || slices.Contains(known, other) {
			continue
		}
		return fmt.Sprintf("%s lies in the lake, of another landing log, and no checkpoint of it is there: the lake was moved since, "+
			"and nothing tells how far; put the checkpoints back that were made after the move", name), nil
	}
	return "", nil
}

// except is an error that says neither that something is gone nor that it is damaged.
func except(err error) error {
	if isDamage(err) || errors.Is(err, checkpoint.ErrVersion) {
		return nil
	}
	return err
}

// add follows the entries with that of the next epoch. Equal files make equal bytes
// under an equal name, so that a repair that is repeated finds its own.
func (b *rebuilt) add(id stream.TaskID, e *ledger.Entry) error {
	e.Number, e.Previous = b.tip.Number+1, b.tip.SHA256
	e.Position = b.position()
	if e.Schema == 0 {
		e.Schema = b.was.Schema
		if b.newest != nil {
			e.Schema = b.newest.Schema
		}
	}
	if e.Decoder = "unknown"; b.was.Decoder == decoderVersion {
		e.Decoder = decoderVersion // of the epochs before these; none but a newer one came after it
	}
	files, err := json.Marshal(e.Files)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append([]byte(ledger.NoteRebuilt+"\n"+e.Previous+"\n"), files...))
	e.Claim = stream.ClaimID(hex.EncodeToString(sum[:16]))
	data, err := e.Encode()
	if err != nil {
		return err
	}
	b.tip = ledger.Tip{Name: ledger.EntryName(id.String(), e.Number, e.Claim), Number: e.Number, SHA256: ledger.Hash(data)}
	b.entries = append(b.entries, rebuiltEntry{b.tip.Name, b.tip.SHA256, data})
	b.newest, b.last = e, e.Epoch
	return nil
}

// position is where the task reads on. Nothing in the lake says where an epoch ended in
// the landing log; from where the checkpoint of before stands nothing is passed over,
// and what was taken since is dropped.
func (b *rebuilt) position() stream.Position { return b.was.Released() }

// takeUp makes a rebuilt ledger what the task's checkpoint is to name: a manifest of
// the newest epoch, whose state comes later.
func (r *run) takeUp(ctx context.Context, t *taskState, b *rebuilt) error {
	if t.rebuilt = b; b == nil || b.why != "" || len(b.entries) == 0 {
		return nil
	}
	m := b.was
	m.Previous, m.Epoch, m.Ledger, m.Decoder, m.Schema = b.hash, b.last, &b.tip, b.newest.Decoder, max(b.was.Schema, b.newest.Schema)
	m.Position, m.Hold, m.From, m.GivenUp, m.State, m.Staged, m.Unpublished = b.position(), nil, nil, false, nil, nil, nil
	for _, p := range b.was.Pending() {
		p.Staged = slices.Clone(p.Staged)
		for i := len(p.Staged) - 1; i >= 0; i-- {
			have, err := r.hash(ctx, p.Staged[i].Target)
			if err != nil {
				return err
			}
			if have == p.Staged[i].SHA256 && p.Staged[i].Sink == LakeSink {
				p.Staged = slices.Delete(p.Staged, i, i+1)
			}
		}
		if len(p.Staged) > 0 {
			m.Unpublished = append(m.Unpublished, p)
		}
	}
	t.manifest = m
	t.lost = fmt.Errorf("%w: HEAD names epoch %s, and the lake holds epochs up to %s: an older checkpoint was put back", checkpoint.ErrCorrupt, b.was.Epoch, b.last)
	r.planned().add(b.entries)
	return nil
}

// note says what was done, for people and for the ledger.
func (b *rebuilt) note() string {
	note := fmt.Sprintf("HEAD was at epoch %s, that of an older checkpoint: the ledger of epochs %s to %s is rebuilt from their files, which hold every offset that the table log "+
		"says they took, with its digest, or with the records of the blocks in which their gateway states a false one. Nothing but these files says that they are as they were published, and that no file of window, late or conflict is missing", b.was.Epoch, b.was.Epoch+1, b.last)
	if len(b.again) > 0 {
		note += fmt.Sprintf("; files of %d of them were gone or damaged and are made again", len(b.again))
	}
	if b.reused != nil {
		note += fmt.Sprintf("; epochs from %s on, which an engine had begun from that checkpoint under numbers of these, are dropped: they were not published, and what they took is read again", b.reused.from)
	}
	return note + fmt.Sprintf("; the landing log is read again from %s, and what was taken is dropped", b.position())
}

// keep writes the rebuilt entries into the store, oldest first: no manifest names them
// yet.
func (r *run) keep(ctx context.Context, b *rebuilt) error {
	if b == nil {
		return nil
	}
	for i, e := range b.entries {
		if err := checkpoint.PutBack(ctx, r.planned().Store, e.name, e.data); err != nil {
			return fmt.Errorf("write an entry that was rebuilt: %w", err)
		}
		if i == 0 {
			failpoint.Hit("rebuild.after-first-entry")
		}
	}
	failpoint.Hit("rebuild.after-entries")
	return nil
}

// withEntries is a store that also has entries of ledgers that are rebuilt and not
// written yet.
type withEntries struct {
	checkpoint.Store
	entries map[string][]byte
}

// planned returns the store as it will be.
func (r *run) planned() *withEntries {
	s, ok := r.Store.(*withEntries)
	if !ok {
		s = &withEntries{Store: r.Store, entries: map[string][]byte{}}
		r.Store = s
	}
	return s
}

func (s *withEntries) add(entries []rebuiltEntry) {
	for _, e := range entries {
		s.entries[e.name] = e.data
	}
}

// Read implements checkpoint.Store.
func (s *withEntries) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	data, version, err := s.Store.Read(ctx, name)
	if planned, ok := s.entries[name]; ok && errors.Is(err, checkpoint.ErrNotExist) {
		return planned, versionOf(planned), nil
	}
	return data, version, err
}

// List implements checkpoint.Store.
func (s *withEntries) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := s.Store.List(ctx, prefix)
	for name := range s.entries {
		if strings.HasPrefix(name, prefix) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// withoutAttempt is a store without what a repair left that rebuilt the same entries
// and ended before HEAD named them: these, the entry of the repair itself, its
// manifest.
type withoutAttempt struct {
	checkpoint.Store
	task stream.TaskID
	b    *rebuilt
}

// List implements checkpoint.Store.
func (s withoutAttempt) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := s.Store.List(ctx, prefix)
	if err != nil || s.b == nil {
		return names, err
	}
	of := map[string]bool{} // hashes of entries of the attempt
	for _, e := range s.b.entries {
		of[e.hash] = true
	}
	hidden := map[string]bool{}
	for _, manifests := range []bool{false, true} { // a manifest is known by its entry
		for _, name := range names {
			isEntry, isManifest := strings.HasPrefix(name, ledger.Folder(s.task.String())), strings.HasPrefix(name, s.task.String()+"/manifest/")
			if manifests && !isManifest || !manifests && !isEntry {
				continue
			}
			data, _, err := s.Store.Read(ctx, name)
			if err != nil {
				if except(err) != nil {
					return nil, err
				}
				continue
			}
			hidden[name] = s.isOf(of, data, manifests)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return hidden[name] }), nil
}

// isOf tells whether an object is of the attempt.
func (s withoutAttempt) isOf(of map[string]bool, data []byte, manifest bool) bool {
	if manifest {
		m, err := checkpoint.DecodeManifest(data)
		return err == nil && m.Previous == s.b.hash && m.Ledger != nil && of[m.Ledger.SHA256]
	}
	if of[ledger.Hash(data)] {
		return true
	}
	if !bytes.Contains(data, []byte(s.b.tip.SHA256)) {
		return false
	}
	e, err := ledger.Decode(data)
	ofRepair := err == nil && e.Kind == ledger.KindRepair && e.Previous == s.b.tip.SHA256 && len(s.b.entries) > 0
	of[ledger.Hash(data)] = of[ledger.Hash(data)] || ofRepair
	return ofRepair
}
