package stream

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrPanic says that the program itself is at fault: one block, or one row, met a case
// that nobody thought of.
var ErrPanic = errors.New("the program panicked, which is a fault of it; please report it")

// Recover makes an error of a panic, with its stack, for the function that defers it: a
// block that nobody thought of ends its own partition's work, and not the process with
// all others. Deferred before anything that the function has to undo.
func Recover(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v\n%s", ErrPanic, r, debug.Stack())
	}
}
