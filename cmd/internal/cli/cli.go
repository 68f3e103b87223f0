// Package cli is what the three commands share: how a main ends, which exit
// code an error gives, and how results are printed.
//
// In:  a main package's root command and the process's arguments.
// Out: text or JSON on stdout, errors on stderr, one exit code.
//
// Invariants
//
//  1. Exit codes are those of sysexits.h; Code decides them in one place.
//  2. SIGINT and SIGTERM end the context; a second one ends the process at
//     once, as the operating system would.
//  3. stdout carries results only; what is said about them goes to stderr.
//  4. No control character that came with data reaches a terminal.
//
// Main is called once, by main. The rest is pure.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
)

// Exit codes, from sysexits.h.
const (
	ExitOK          = 0
	ExitUsage       = 64 // the command line is wrong
	ExitData        = 65 // data is not what it should be; an audit that is not exact
	ExitNoInput     = 66 // an input file is absent
	ExitUnavailable = 69 // somebody else holds what is needed, or does not answer
	ExitSoftware    = 70 // any other error
	ExitIO          = 74 // a disk failed or is full
	ExitConfig      = 78 // a configuration that cannot be used
)

// Error gives an error its exit code.
type Error struct {
	Exit int
	Err  error
}

// Error gives the text of Err.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }

// Fail gives err the exit code, unless err is nil.
func Fail(exit int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Exit: exit, Err: err}
}

// Code decides the exit code of an error.
func Code(err error) int {
	var e *Error
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &e):
		return e.Exit
	case errors.Is(err, config.ErrBusy), errors.Is(err, durable.ErrLocked): // before what is wrong: a service manager starts it again, and then that is told
		return ExitUnavailable
	case errors.Is(err, config.ErrInvalid):
		return ExitConfig
	case errors.Is(err, fs.ErrNotExist):
		return ExitNoInput
	case errors.Is(err, durable.ErrNoSpace), errors.Is(err, durable.ErrMedia):
		return ExitIO
	case errors.Is(err, record.ErrCorrupt), errors.Is(err, record.ErrVersion):
		return ExitData
	}
	return ExitSoftware
}

// Main runs a command with the process's arguments until it is done or
// signalled, prints its error, and gives the exit code.
func Main(root *cobra.Command) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal is the operating system's
	return Run(ctx, root, os.Args[1:], forTerminal(os.Stdout), forTerminal(os.Stderr))
}

// Run is Main with everything given.
func Run(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	completions(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return Fail(ExitUsage, fmt.Errorf("%w\nsee %s --help", err, c.CommandPath()))
	})
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	if isOfCommandLine(err) {
		err = Fail(ExitUsage, err)
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", root.Name(), line)
	}
	return Code(err)
}

// ofCommandLine are the beginnings of cobra's own errors about a command line, which
// have no type.
var ofCommandLine = []string{"unknown command ", "required flag(s) ", "if any flags in the group [", "at least one of the flags in the group ["}

func isOfCommandLine(err error) bool {
	return slices.ContainsFunc(ofCommandLine, func(start string) bool { return strings.HasPrefix(err.Error(), start) })
}

// NoArgs, MinArgs and MaxArgs check the number of arguments; their error is
// one of usage.
func NoArgs(c *cobra.Command, args []string) error { return Fail(ExitUsage, cobra.NoArgs(c, args)) }

// MinArgs wants at least n arguments.
func MinArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error { return Fail(ExitUsage, cobra.MinimumNArgs(n)(c, args)) }
}

// MaxArgs wants at most n arguments.
func MaxArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error { return Fail(ExitUsage, cobra.MaximumNArgs(n)(c, args)) }
}
