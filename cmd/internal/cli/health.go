package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"landfall/edge/config"
)

// HealthCommand makes a verb for health checks of containers: it ends with 0
// when the daemon is well, and with ExitUnavailable and the reasons when not.
// address gives the status address of the configuration under the name.
func HealthCommand(standard string, address func(name string) (string, *config.File, error)) *cobra.Command {
	c := &cobra.Command{Use: "health", Short: "Ends with 0 when the running daemon is healthy, else says why not", Args: NoArgs}
	name := ConfigFlag(c, standard)
	ready := c.Flags().Bool("ready", false, "whether data flows, in place of whether anything is complained of")
	asJSON := JSONFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		at, f, err := address(*name)
		if err != nil {
			return err
		}
		if at == "" {
			return f.Locate(&config.FieldError{Key: "status", Want: "an address like 127.0.0.1:8471, or there is nobody to ask"})
		}
		path := "/healthz"
		if *ready {
			path = "/readyz"
		}
		err = well(c.Context(), "http://"+at+path)
		if *asJSON {
			err = errors.Join(err, JSON(c.OutOrStdout(), wellness(err)))
		}
		return Fail(ExitUnavailable, err)
	}
	return c
}

// Wellness is what health says, as JSON.
type Wellness struct {
	Well    bool     `json:"well"`
	Reasons []string `json:"reasons"`
}

func wellness(err error) Wellness {
	if err == nil {
		return Wellness{true, []string{}}
	}
	return Wellness{false, strings.Split(strings.TrimPrefix(err.Error(), notWell), "\n")}
}

// notWell begins what is said of a daemon that is not.
const notWell = "not well: "

// well asks one of a page's lights.
func well(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	why, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	return errors.New(notWell + strings.TrimSpace(string(why)))
}
