package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"landfall/edge/config"
)

// Report is a verb that reads a daemon's configuration C and prints one value V:
// as text, or as JSON with --json.
type Report[C, V any] struct {
	Use, Short string
	// Config is where the configuration lies when no flag says otherwise.
	Config string
	// Load reads and checks it.
	Load func(name string) (*C, *config.File, error)
	// Value gives what is printed. Its errors may name keys of the file.
	Value func(ctx context.Context, c *C) (V, error)
	// Text prints it for people.
	Text func(w io.Writer, v V) error
}

// Command makes the verb.
func (r Report[C, V]) Command() *cobra.Command {
	c := &cobra.Command{Use: r.Use, Short: r.Short, Args: NoArgs}
	name := ConfigFlag(c, r.Config)
	asJSON := JSONFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return r.print(c.Context(), c.OutOrStdout(), *name, *asJSON)
	}
	return c
}

// print reads the configuration and prints the value once.
func (r Report[C, V]) print(ctx context.Context, w io.Writer, name string, asJSON bool) error {
	cfg, f, err := r.Load(name)
	if err != nil {
		return err
	}
	v, err := r.Value(ctx, cfg)
	switch {
	case err != nil:
		return f.Locate(err)
	case asJSON:
		return JSON(w, v)
	}
	return r.Text(w, v)
}

// ConfigFlag adds --config to a verb and gives where its value will be.
func ConfigFlag(c *cobra.Command, standard string) *string {
	return c.Flags().StringP("config", "c", standard, "configuration `FILE`")
}

// JSONFlag adds --json to a verb and gives where its value will be.
func JSONFlag(c *cobra.Command) *bool { return c.Flags().Bool("json", false, "print JSON") }

// AskStatus asks the status page of a running daemon, whose configuration names
// its address under the key status.
func AskStatus[V any](ctx context.Context, who, address string) (*V, error) {
	if address == "" {
		return nil, &config.FieldError{Key: "status", Want: "an address like 127.0.0.1:8471, or there is nobody to ask"}
	}
	v := new(V)
	if err := Fetch(ctx, http.DefaultClient, "http://"+address+"/status", v); err != nil {
		return nil, Fail(ExitUnavailable, fmt.Errorf("ask the %s at %s: %w", who, address, err))
	}
	return v, nil
}

// Dash gives "-" for nothing, in tables.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
