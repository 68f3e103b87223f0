package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"landfall/edge/config"
)

// Checked is what check found, as JSON.
type Checked struct {
	Config   string    `json:"config"`
	OK       bool      `json:"ok"`
	Checked  []string  `json:"checked"` // what was looked at and is well
	Problems []Problem `json:"problems"`
	Sources  any       `json:"sources,omitempty"` // what was seen of each, where they were tried
}

// Problem is one thing wrong with a configuration or with what it names. Line 0:
// no line of the file is at fault.
type Problem struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Key  string `json:"key,omitempty"`
	Got  string `json:"got,omitempty"`
	Want string `json:"want,omitempty"`
	Text string `json:"text"` // all of it, as check without --json says it
}

// Checklist takes what check says, line by line: it prints each, or, for --json,
// gathers them.
type Checklist struct {
	out    io.Writer
	json   bool
	result Checked
}

// CheckCommand makes the verb check. run looks at the configuration under the
// name and writes a line for each thing that is well; its error says what is not.
func CheckCommand(standard string, run func(c *cobra.Command, name string, out *Checklist) error) *cobra.Command {
	c := &cobra.Command{Use: "check", Short: "Checks the configuration and the directories it names", Args: NoArgs}
	name := ConfigFlag(c, standard)
	asJSON := JSONFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		l := &Checklist{out: c.OutOrStdout(), json: *asJSON, result: Checked{Config: *name, Checked: []string{}, Problems: []Problem{}}}
		err := run(c, *name, l)
		if !l.json {
			return err
		}
		l.result.OK, l.result.Problems = err == nil, problems(l.result.Problems, err)
		return errors.Join(err, JSON(l.out, l.result))
	}
	return c
}

// Write implements io.Writer.
func (l *Checklist) Write(p []byte) (int, error) {
	if !l.json {
		return l.out.Write(p)
	}
	l.result.Checked = append(l.result.Checked, strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// Seen takes what was seen of the sources, for --json; false: print it.
func (l *Checklist) Seen(sources any) bool {
	l.result.Sources = sources
	return l.json
}

// problems takes an error apart.
func problems(all []Problem, err error) []Problem {
	many, several := err.(interface{ Unwrap() []error }) // err itself, not what it wraps
	var one *config.Error
	var e *Error
	switch {
	case err == nil:
		return all
	case errors.As(err, &e) && error(e) == err:
		return problems(all, e.Err)
	case several:
		for _, err := range many.Unwrap() {
			all = problems(all, err)
		}
		return all
	case errors.As(err, &one):
		return append(all, Problem{one.File, one.Line, one.Key, config.Shown(one.Got), one.Want, err.Error()})
	}
	return append(all, Problem{Text: err.Error()})
}

// Certificates reads the certificates of a configuration, and says so. Where it
// names credentials that are not here they are not read: that is no mistake, and
// the service, which has them, checks them at its start.
func (l *Checklist) Certificates(f *config.File, read func() error) error {
	if names := f.AbsentCredentials(); len(names) > 0 {
		_, err := fmt.Fprintf(l, "certificates: not read: systemd hands %s to the service alone, whose start checks them\n", strings.Join(names, ", "))
		return err
	}
	if err := read(); err != nil {
		return f.Locate(err)
	}
	_, err := fmt.Fprintln(l, "certificates: read, where any are named")
	return err
}
