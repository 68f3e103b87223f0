package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/ca"
	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/wire"
)

// certVerb is the verb of the authority.
const certVerb = "cert"

// certCommand is the small private certificate authority.
func certCommand() *cobra.Command {
	root := &cobra.Command{Use: certVerb, Short: "Keeps a small private certificate authority for gateways and engines",
		Long: "Keep its directory where neither gateways nor engine are: who has ca.key can be every gateway.\n\n" +
			"  landfall cert init\n  landfall cert engine landfall.example 192.0.2.7\n  landfall cert gateway north-pier\n\n" +
			"The engine gets its own .pem and .key, ca.pem as client_ca_file and crl.pem as crl_file; a gateway its own .pem and\n" +
			".key, and ca.pem as ca_file. Both take up new files by themselves."}
	dir := root.PersistentFlags().String("dir", "landfall-ca", "`DIR` of the authority")
	days := func(c *cobra.Command, standard time.Duration) *int {
		return c.Flags().Int("days", int(standard.Hours()/24), "how long it is valid")
	}

	start := &cobra.Command{Use: "init", Short: "Makes the authority", Args: cli.NoArgs}
	name := start.Flags().String("name", "Landfall", "name of the authority")
	life := days(start, ca.AuthorityLife)
	asJSON := cli.JSONFlag(start)
	start.RunE = func(c *cobra.Command, _ []string) error {
		if err := ca.Init(durable.OS{}, *dir, *name, lifeOf(*life), time.Now); err != nil {
			if errors.Is(err, ca.ErrExists) {
				err = cli.Fail(cli.ExitUsage, fmt.Errorf("%w\n--dir names another directory", err))
			}
			return err
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), map[string]string{"dir": *dir, "name": *name})
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s: ca.pem for everybody, ca.key for nobody, crl.pem for the engine\n", *dir)
		return err
	}
	root.AddCommand(start, signCommand(dir, ca.Gateway, "gateway NAME", "Signs a certificate that proves a gateway's name", days),
		signCommand(dir, ca.Engine, "engine HOST…", "Signs a certificate for the hosts under which gateways reach the engine", days), revokeCommand(dir), listCommand(dir))
	return root
}

func lifeOf(days int) time.Duration { return time.Duration(days) * 24 * time.Hour }

func signCommand(dir *string, role ca.Role, use, short string, days func(*cobra.Command, time.Duration) *int) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short + "; again: renews it", Args: cli.MinArgs(1)}
	if role == ca.Gateway {
		c.Args = func(c *cobra.Command, args []string) error {
			return cli.Fail(cli.ExitUsage, cobra.ExactArgs(1)(c, args))
		}
	}
	life := days(c, ca.LeafLife)
	asJSON := cli.JSONFlag(c)
	c.RunE = func(c *cobra.Command, names []string) error {
		for _, n := range names {
			if err := checkName(role, n); err != nil {
				return cli.Fail(cli.ExitUsage, err)
			}
		}
		a, err := open(*dir)
		if err != nil {
			return err
		}
		defer func() { _ = a.Close() }() // a lock
		s, err := a.Sign(role, lifeOf(*life), names...)
		if err != nil {
			return err
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), s)
		}
		base := filepath.Join(*dir, s.Name)
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s.pem and %s.key: %s %s until %s\n", base, base, role, strings.Join(names, ", "), s.NotAfter.Format(time.DateOnly))
		return err
	}
	return c
}

// checkName refuses a name that is none of a gateway or host, or that would
// overwrite the authority's own files.
func checkName(role ca.Role, name string) error {
	if name == "ca" || name == "crl" || strings.ContainsAny(name, "/\\") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q cannot be a name here", name)
	}
	if role == ca.Gateway {
		return wire.CheckGateway(name)
	}
	return nil
}

func revokeCommand(dir *string) *cobra.Command {
	c := &cobra.Command{Use: "revoke NAME|SERIAL", Short: "Revokes what is valid of a name, or one serial number, and writes crl.pem",
		Args: func(c *cobra.Command, args []string) error {
			return cli.Fail(cli.ExitUsage, cobra.ExactArgs(1)(c, args))
		}}
	asJSON := cli.JSONFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := open(*dir)
		if err != nil {
			return err
		}
		defer func() { _ = a.Close() }() // a lock
		done, err := a.Revoke(args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), done)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%d revoked; put %s where tls.crl_file of the engine points\n", len(done), filepath.Join(*dir, "crl.pem"))
		return err
	}
	return c
}

// open opens the authority, and says how to make one where there is none.
func open(dir string) (*ca.Authority, error) {
	a, err := ca.Open(durable.OS{}, dir, time.Now)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w\nlandfall cert init makes one; --dir says where it is", err)
	}
	return a, err
}

func listCommand(dir *string) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "Lists what was signed", Args: cli.NoArgs}
	asJSON := cli.JSONFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := open(*dir)
		if err != nil {
			return err
		}
		defer func() { _ = a.Close() }() // a lock
		if *asJSON {
			return cli.JSON(c.OutOrStdout(), a.List())
		}
		return printSigned(c.OutOrStdout(), a.List(), time.Now())
	}
	return c
}

func printSigned(w io.Writer, list []ca.Signed, now time.Time) error {
	rows := [][]string{{"NAME", "ROLE", "STATE", "UNTIL", "SERIAL"}}
	for _, s := range list {
		state := "valid"
		switch {
		case !s.RevokedAt.IsZero():
			state = "revoked " + s.RevokedAt.Format(time.DateOnly)
		case now.After(s.NotAfter):
			state = "expired"
		}
		rows = append(rows, []string{s.Name, string(s.Role), state, s.NotAfter.Format(time.DateOnly), s.Serial})
	}
	return cli.Table(w, rows)
}
