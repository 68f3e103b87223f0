package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"landfall/edge/config"
)

// Verdict is what doctor says of one thing.
type Verdict string

// The verdicts.
const (
	Good Verdict = "ok"
	Look Verdict = "look" // it works, and a person should look at it
	Bad  Verdict = "bad"
)

// Finding is one thing that doctor looked at.
type Finding struct {
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Fix     string  `json:"fix,omitempty"` // what to do, where the verdict is not Good
}

// DoctorCommand makes the verb doctor of a daemon with the configuration C.
// standard is where that lies when no flag says otherwise, begin says what to do
// where there is none that works, examine looks at everything else.
func DoctorCommand[C any](standard, begin string, load func(name string) (*C, *config.File, error), examine func(ctx context.Context, name string, c *C) []Finding) *cobra.Command {
	c := &cobra.Command{Use: "doctor", Short: "Looks for what keeps data from flowing, and says how to mend it", Args: NoArgs,
		Long: "Exit 0: nothing is bad. 78: the configuration cannot be used, 66: there is none. 69: something else is bad."}
	name := ConfigFlag(c, standard)
	asJSON := JSONFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, _, err := load(*name)
		var all []Finding
		if err != nil {
			all = []Finding{{*name, Bad, err.Error(), begin}}
		} else {
			all = append([]Finding{{*name, Good, "every key is known and valid", ""}}, examine(c.Context(), *name, cfg)...)
		}
		if *asJSON {
			err = errors.Join(err, JSON(c.OutOrStdout(), all))
		} else {
			err = errors.Join(err, printFindings(c.OutOrStdout(), all))
		}
		if err == nil && worst(all) == Bad {
			return Fail(ExitUnavailable, errors.New("something is bad"))
		}
		return err
	}
	return c
}

func worst(all []Finding) Verdict {
	w := Good
	for _, f := range all {
		if f.Verdict == Bad || f.Verdict == Look && w == Good {
			w = f.Verdict
		}
	}
	return w
}

func printFindings(w io.Writer, all []Finding) error {
	for _, f := range all {
		if _, err := fmt.Fprintf(w, "%-5s %s: %s\n", f.Verdict, f.What, f.Detail); err != nil {
			return err
		}
		if f.Fix != "" && f.Verdict != Good {
			if _, err := fmt.Fprintf(w, "      %s\n", f.Fix); err != nil {
				return err
			}
		}
	}
	return nil
}
