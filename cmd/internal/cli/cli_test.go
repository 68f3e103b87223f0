package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
)

func TestCodeFollowsTheError(t *testing.T) {
	for want, err := range map[int]error{
		ExitOK:          nil,
		ExitUsage:       fmt.Errorf("outer: %w", Fail(ExitUsage, errors.New("inner"))),
		ExitData:        fmt.Errorf("read: %w", record.ErrCorrupt),
		ExitNoInput:     fmt.Errorf("open: %w", fs.ErrNotExist),
		ExitUnavailable: errors.Join(&config.Error{File: "f", Want: "x"}, &config.FieldError{Key: "listen", Busy: true}),
		ExitSoftware:    errors.New("anything"),
		ExitIO:          fmt.Errorf("append: %w", durable.ErrNoSpace),
		ExitConfig:      errors.Join(&config.Error{File: "f", Want: "x"}, errors.New("more")),
	} {
		if got := Code(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
	if got := Code(fmt.Errorf("open: %w", durable.ErrLocked)); got != ExitUnavailable {
		t.Errorf("locked: got %d", got)
	}
	if Fail(ExitData, nil) != nil {
		t.Error("Fail made an error of nil")
	}
}

func sampleCommand() *cobra.Command {
	root := &cobra.Command{Use: "sample"}
	one := &cobra.Command{Use: "one", Args: NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(c.OutOrStdout(), "result")
		return err
	}}
	one.Flags().String("need", "", "a flag")
	bad := &cobra.Command{Use: "bad", Args: MinArgs(1), RunE: func(*cobra.Command, []string) error {
		return fmt.Errorf("do it: %w", errors.Join(errors.New("first"), errors.New("second")))
	}}
	strict := &cobra.Command{Use: "strict", RunE: func(*cobra.Command, []string) error { return nil }}
	strict.Flags().String("config", "", "")
	_ = strict.MarkFlagRequired("config")
	either := &cobra.Command{Use: "either", RunE: strict.RunE}
	either.Flags().Bool("this", false, "")
	either.Flags().Bool("that", false, "")
	either.MarkFlagsMutuallyExclusive("this", "that")
	either.MarkFlagsOneRequired("this", "that")
	root.AddCommand(one, bad, strict, either)
	return root
}

func TestRunPrintsAndGivesTheCode(t *testing.T) {
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"one", ExitOK, "result\n", ""},
		{"one two", ExitUsage, "", "sample: unknown command"},
		{"one --nope", ExitUsage, "", "sample: unknown flag: --nope\nsample: see sample one --help"},
		{"strict", ExitUsage, "", `sample: required flag(s) "config" not set`},
		{"either --this --that", ExitUsage, "", "sample: if any flags in the group [this that] are set none of the others can be"},
		{"either", ExitUsage, "", "sample: at least one of the flags in the group [this that] is required"},
		{"bad", ExitUsage, "", "sample: requires at least 1 arg"},
		{"bad x", ExitSoftware, "", "sample: do it: first\nsample: second\n"},
		{"wrong", ExitUsage, "", `sample: unknown command "wrong"`},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(context.Background(), sampleCommand(), strings.Fields(c.args), &stdout, &stderr)
		if code != c.code || stdout.String() != c.stdout || !strings.HasPrefix(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%q: code %d, stdout %q, stderr %q", c.args, code, stdout.String(), stderr.String())
		}
	}
}

func TestPrinting(t *testing.T) {
	var b bytes.Buffer
	if err := Table(&b, [][]string{{"a", "long head", ""}, {"longer", "x", ""}}); err != nil {
		t.Fatal(err)
	}
	if want := "a       long head\nlonger  x\n"; b.String() != want {
		t.Errorf("got %q", b.String())
	}
	if got := Wrap("one two three four", 9, "  "); got != "one two\n  three\n  four" {
		t.Errorf("got %q", got)
	}
	if got := Time(1_700_000_000_123_000); got != "2023-11-14T22:13:20.123Z" {
		t.Errorf("got %s", got)
	}
	if Time(record.NoTime) != "-" {
		t.Error("no time is not shown as -")
	}
	if IsTerminal(&b) {
		t.Error("a buffer is no terminal")
	}
}
