package edgecli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/tips"
)

// madeTips is the document with what it says, for programs.
type madeTips struct {
	tips.Body
	Signed   bool   `json:"signed"`
	Unsigned string `json:"unsigned,omitempty"` // why it is not signed
	Document string `json:"document"`           // what audit --tips reads, its line ends included
}

func tipsCommand() *cobra.Command {
	c := &cobra.Command{Use: "tips", Short: "Prints where each log of the gateway ended, for landfall-engine audit --tips", Args: cli.NoArgs,
		Long: "Prints a document that says of every log that this gateway ever opened where it ended, with its digest and the hash of its\n" +
			"last block; of the running one, where it is durable to. It also says which ledger entry of the lake the engine told last (of a\n" +
			"running gateway up to ten minutes old): that vouches for all that was published up to it. It is signed with the key of\n" +
			"forward.key_file, and standard error says whether. With this file a person can check the lake without the gateway's disk:\n" +
			"landfall-engine audit --tips FILE.\n\n" +
			"It works beside a running gateway and without one, and changes nothing."}
	name := cli.ConfigFlag(c, DefaultConfig)
	to := c.Flags().String("to", "", "write the document to this `FILE` instead of standard output")
	gateway := c.Flags().String("gateway", "", "the logs written under this earlier `NAME` of the gateway")
	asJSON := c.Flags().Bool("json", false, "print what the document says, and the document, as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		m, err := makeTips(c, *name, *gateway)
		if err != nil {
			return err
		}
		if *to != "" {
			if err := durable.WriteFileAtomic(durable.OS{}, *to, []byte(m.Document)); err != nil {
				return err
			}
		}
		switch {
		case *asJSON:
			return cli.JSON(c.OutOrStdout(), m)
		case *to == "":
			_, err = fmt.Fprint(c.OutOrStdout(), m.Document)
		}
		return err
	}
	return c
}

// makeTips makes the document and says on standard error whether it is signed.
func makeTips(c *cobra.Command, name, gateway string) (*madeTips, error) {
	cfg, f, err := load(name)
	if err != nil {
		return nil, err
	}
	body, err := cfg.Tips(c.Context(), durable.OS{}, gateway, time.Now())
	if err != nil {
		return nil, f.Locate(err)
	}
	key, chain, why, err := cfg.TipsSigner(durable.OS{}, body.Gateway)
	if err != nil {
		return nil, f.Locate(err)
	}
	doc, err := tips.Encode(body, key, chain)
	if err != nil {
		return nil, err
	}
	said := "signed with the key in " + cfg.Forward.KeyFile
	if why != "" {
		said = "not signed: " + why
	}
	_, _ = fmt.Fprintf(c.ErrOrStderr(), "gateway %s: %d logs, and %d older ones merged; the newest ledger entry of %d tasks; %s\n",
		body.Gateway, len(body.Logs), body.Merged.Count, len(body.Anchors), said)
	return &madeTips{Body: body, Signed: why == "", Unsigned: why, Document: string(doc)}, nil
}
