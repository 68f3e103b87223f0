package task

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// Acknowledged returns how many of a task's Contradictions an operator has acknowledged;
// 0: none. Only the names of objects are read: whoever acknowledges may be another user
// than the engine, who could not read what is in them. It may be called beside the task.
func Acknowledged(ctx context.Context, store checkpoint.Store, id stream.TaskID) (uint64, error) {
	prefix := checkpoint.AcknowledgedPrefix(id)
	names, err := store.List(ctx, prefix)
	if err != nil {
		return 0, fmt.Errorf("look what is acknowledged of %s: %w", id, err)
	}
	most := uint64(0)
	for _, name := range names {
		if n, err := strconv.ParseUint(strings.TrimPrefix(name, prefix), 10, 64); err == nil {
			most = max(most, n)
		}
	}
	return most, nil
}

// Acknowledge notes, durable on return, that an operator knows of the first n
// Contradictions of a task. It may run beside the task, and again. Steps, and what a crash
// after each leaves: the note of n is made (it is there or not), older notes are removed
// (some are left, and say less than it).
func Acknowledge(ctx context.Context, store checkpoint.Store, id stream.TaskID, n uint64) error {
	prefix := checkpoint.AcknowledgedPrefix(id)
	name := prefix + strconv.FormatUint(n, 10)
	if err := store.Create(ctx, name, []byte(name+"\n")); err != nil && !errors.Is(err, checkpoint.ErrExist) {
		return fmt.Errorf("acknowledge %d contradictions of %s: %w", n, id, err)
	}
	names, err := store.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("look for older notes of %s: %w", id, err)
	}
	for _, old := range names {
		if was, err := strconv.ParseUint(strings.TrimPrefix(old, prefix), 10, 64); err != nil || was >= n {
			continue
		}
		if err := store.Delete(ctx, old); err != nil {
			return fmt.Errorf("remove the older note %s: %w", old, err)
		}
	}
	return nil
}
