package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"strconv"
	"strings"

	"landfall/engine/stream"
)

// Head is the one small object a task that says which manifest is the current
// one, as JSON, of the manifest's format; the formats differ in the number alone.
type Head struct {
	Format   int            `json:"format"`
	Manifest string         `json:"manifest"` // name of the manifest's object
	SHA256   string         `json:"sha256"`   // of that object, hexadecimal
	Claim    stream.ClaimID `json:"claim"`
	Epoch    stream.Epoch   `json:"epoch"`
}

// Encode gives HEAD's JSON. Equal heads give equal bytes.
func (h Head) Encode() ([]byte, error) {
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode HEAD: %w", err)
	}
	return append(data, '\n'), nil
}

// DecodeHead reads HEAD's JSON: ErrVersion, ErrCorrupt.
func DecodeHead(data []byte) (Head, error) {
	var h Head
	if err := decodeStrict(data, &h); err != nil {
		return Head{}, fmt.Errorf("decode HEAD: %w", err)
	}
	if h.Manifest == "" || !isHex(h.SHA256, 64) || !isHex(string(h.Claim), 32) {
		return Head{}, fmt.Errorf("decode HEAD: %w: incomplete", ErrCorrupt)
	}
	// Nothing holds a hash of HEAD, and names in JSON match in any case.
	if again, err := h.Encode(); err != nil || !bytes.Equal(again, data) {
		return Head{}, fmt.Errorf("decode HEAD: %w: it is not as it was written", ErrCorrupt)
	}
	return h, nil
}

func headName(task stream.TaskID) string { return task.String() + "/HEAD" }

// ProgressName is the name of the object in which a task tells what of it is
// published (engine/published). It stands beside HEAD and decides nothing.
func ProgressName(task stream.TaskID) string { return task.String() + "/progress" }

// AttemptName is the name of the object in which a task notes what it is about to do, so
// that the next one learns of what its process died (engine/task). It stands beside HEAD
// and decides nothing about what is committed.
func AttemptName(task stream.TaskID) string { return task.String() + "/attempt" }

// AcknowledgedPrefix is how the names begin of the objects by which an operator
// acknowledges what contradicts the logs of a task (engine/task). They stand beside HEAD
// and decide nothing but what health says.
func AcknowledgedPrefix(task stream.TaskID) string { return task.String() + "/acknowledged-" }

func manifestName(task stream.TaskID, epoch stream.Epoch, claim stream.ClaimID) string {
	return fmt.Sprintf("%s%s-%s.json", manifestFolder(task), epoch.Padded(), claim)
}

func manifestFolder(task stream.TaskID) string { return task.String() + "/manifest/" }

func stateName(task stream.TaskID, epoch stream.Epoch, claim stream.ClaimID) string {
	return fmt.Sprintf("%s/state/%s-%s-0.state", task, epoch.Padded(), claim)
}

// isManifestName tells a name that may be that of a manifest of a task from what a
// damaged HEAD says, which a store may not even look for.
func isManifestName(task stream.TaskID, name string) bool {
	rest, ok := strings.CutPrefix(name, task.String()+"/manifest/")
	return ok && strings.Trim(rest, "0123456789abcdefghijklmnopqrstuvwxyz.-") == ""
}

// cursor is what HEAD said when it was read: absent when data is nil.
type cursor struct {
	data     []byte // HEAD's bytes
	version  Version
	hash     string // of the manifest
	manifest Manifest
}

// readHead reads HEAD, and with settle makes what it read durable; absent gives
// a zero cursor.
func readHead(ctx context.Context, store Store, task stream.TaskID, settle bool) (cursor, error) {
	name := headName(task)
	data, version, err := store.Read(ctx, name)
	if errors.Is(err, ErrNotExist) {
		return cursor{}, nil
	}
	if err != nil {
		return cursor{}, fmt.Errorf("read %s: %w", name, err)
	}
	if settle {
		if err := store.Settle(ctx, name); err != nil {
			return cursor{}, fmt.Errorf("settle %s: %w", name, err)
		}
	}
	return cursor{data: data, version: version}, nil
}

// load reads HEAD and the manifest that it names. A manifest that is gone was
// collected because HEAD moved on meanwhile: then HEAD is read again.
func load(ctx context.Context, store Store, task stream.TaskID, settle bool) (cursor, error) {
	for before := (cursor{}); ; {
		at, err := readHead(ctx, store, task, settle)
		if err != nil || at.data == nil {
			return cursor{}, err
		}
		head, err := DecodeHead(at.data)
		if err != nil {
			return cursor{}, fmt.Errorf("task %s: %w", task, err)
		}
		if !isManifestName(task, head.Manifest) {
			return cursor{}, fmt.Errorf("%w: HEAD of %s names %q", ErrCorrupt, task, head.Manifest)
		}
		data, _, err := store.Read(ctx, head.Manifest)
		if errors.Is(err, ErrNotExist) && !bytes.Equal(before.data, at.data) {
			before = at
			continue
		}
		if errors.Is(err, ErrNotExist) {
			return cursor{}, fmt.Errorf("%w: HEAD of %s names %s, which is missing", ErrCorrupt, task, head.Manifest)
		}
		if err != nil {
			return cursor{}, fmt.Errorf("read %s: %w", head.Manifest, err)
		}
		at.hash = hash(data)
		if at.hash != head.SHA256 {
			return cursor{}, fmt.Errorf("%w: %s has not the hash that HEAD names", ErrCorrupt, head.Manifest)
		}
		at.manifest, err = DecodeManifest(data)
		if err != nil {
			return cursor{}, fmt.Errorf("%s: %w", head.Manifest, err)
		}
		if m := &at.manifest; m.TaskID() != task || m.Claim != head.Claim || m.Epoch != head.Epoch || m.Format != head.Format {
			return cursor{}, fmt.Errorf("%w: %s is not the manifest that HEAD describes", ErrCorrupt, head.Manifest)
		}
		return at, nil
	}
}

// Load reads the current manifest of a task without claiming it: it changes
// nothing, and what it gives may be taken back by power loss. ErrNotExist when
// the task has none. Safe beside a running task.
func Load(ctx context.Context, store Store, task stream.TaskID) (Manifest, error) {
	at, err := load(ctx, store, task, false)
	if err != nil {
		return Manifest{}, fmt.Errorf("load checkpoint of %s: %w", task, err)
	}
	if at.data == nil {
		return Manifest{}, fmt.Errorf("load checkpoint of %s: %w", task, ErrNotExist)
	}
	return at.manifest, nil
}

// StateOf gives the objects that restore keyed state at a manifest that Load
// gave, oldest first, each checked against its hash. ErrCorrupt also when the
// task went on meanwhile and collected one.
func StateOf(ctx context.Context, store Store, m *Manifest) iter.Seq2[[]byte, error] {
	return readState(ctx, store, m.State)
}

// Tasks lists the tasks that have a HEAD in the store, sorted by name.
func Tasks(ctx context.Context, store Store) ([]stream.TaskID, error) {
	names, err := store.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	var tasks []stream.TaskID
	for _, name := range names {
		dir, ok := strings.CutSuffix(name, "/HEAD")
		if !ok || path.Base(dir) != dir {
			continue
		}
		cut := strings.LastIndexByte(dir, '-')
		if cut < 1 || len(dir)-cut != 5 {
			continue
		}
		n, err := strconv.ParseUint(dir[cut+1:], 10, 16)
		if err != nil {
			continue
		}
		tasks = append(tasks, stream.TaskID{Landing: dir[:cut], Partition: int(n)})
	}
	return tasks, nil
}
