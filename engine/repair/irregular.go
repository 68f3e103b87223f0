package repair

import (
	"context"
	"errors"
	"slices"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/move"
)

// clearCheckpoints sets aside what has a name in the checkpoints and is no object: a
// pipe, a folder in an object's place, a file that is longer than any object. Whatever
// had the name is then gone, and made again like anything that is.
func (r *run) clearCheckpoints(ctx context.Context) error {
	store, ok := r.Store.(checkpoint.Irregular)
	if !ok {
		return nil // objects are all that it has
	}
	odd, err := store.Irregular(ctx)
	if err != nil {
		return err
	}
	moved := ""
	for _, one := range odd {
		if one.What == Folder && mayBeFolder(one.Name) || strings.HasPrefix(one.Name, "_quarantine/") ||
			moved != "" && strings.HasPrefix(one.Name, moved+"/") {
			continue
		}
		to, err := store.SetAside(ctx, one.Name)
		if err != nil {
			return err
		}
		if to == "" {
			continue // another run was faster
		}
		task, _, _ := strings.Cut(one.Name, "/")
		if strings.HasPrefix(task, "_") {
			task = ""
		}
		moved = one.Name
		r.did(Aside, task, "", one.Name, "it is no object but %s; moved to %s", one.What, to)
	}
	return nil
}

// mayBeFolder tells whether a folder of that name belongs into the checkpoints, or
// nothing is known of it.
func mayBeFolder(name string) bool {
	parts := strings.Split(name, "/")
	_, task := parseTask(parts[0])
	switch {
	case len(parts) == 1:
		return true
	case parts[0] == "_lake":
		return false
	case task:
		return len(parts) == 2 && slices.Contains(checkpoint.FoldersOf(), parts[1])
	}
	return true
}

// restoreLanding makes the object again that says which landing log feeds the lake,
// where it is lost or damaged and the tasks tell it.
func (r *run) restoreLanding(ctx context.Context) error {
	const name = "_lake/landing"
	from, err := move.Restore(ctx, r.Store)
	switch {
	case errors.Is(err, move.ErrUnsure), errors.Is(err, checkpoint.ErrVersion), errors.Is(err, checkpoint.ErrExist), isDamage(err):
		r.left("", "", name, "%v", err)
		return nil
	case err != nil:
		return err
	case from != move.Landing{}:
		r.did(Replaced, "", "", name, "made again of the tasks: the lake is fed from %s", from)
	}
	return nil
}
