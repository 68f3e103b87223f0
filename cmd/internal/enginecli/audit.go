package enginecli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/tips"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/server"
	"landfall/engine/table"
)

// errInexact ends an audit that found something.
var errInexact = errors.New("the lake is not exact; see the result")

func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Proves that a lake holds every captured record exactly once", Args: cli.NoArgs,
		Long: "Counts, for each log, the offsets recorded, rejected, given up, missing and doubled, up to where the checkpoints say that it was taken.\n" +
			"Levels, each with all of the one before: offsets counts; files compares the lake with the ledger (every file, none besides, and the digest of\n" +
			"the records that each gateway captured); bytes compares the SHA-256 of every file; values decodes every record again and compares the typed rows.\n" +
			"With --kafka the topics of the Kafka sink are counted too, as readers of committed messages see them, and compared with the lake.\n" +
			"Exit 0: exact at the level that is printed, with the tables loss and conflict empty. Exit 65: not exact."}
	lake := c.Flags().String("lake", "", "`DIR` of the tables, or s3://bucket/prefix")
	checkpoints := c.Flags().String("checkpoint", "", "`DIR` of the checkpoints, or s3://bucket/prefix; default: _checkpoint below the lake")
	edgeLogs := c.Flags().StringArray("edge-log", nil, "`DIR` of a gateway's log, to be compared byte by byte; may be given again")
	tipFiles := c.Flags().StringArray("tips", nil, "`FILE` that landfall-edge tips wrote: the lake has to hold what it says is acknowledged, and its ledger the entries that the engine told the gateway; what more it names is said to be not proven; may be given again")
	tipsCA := c.Flags().String("tips-ca", "", "PEM `FILE` with who issued the gateways' certificates; without it signatures are checked and issuers are not")
	tipsCRL := c.Flags().String("tips-crl", "", "PEM `FILE` with revocation lists of --tips-ca, such as crl.pem of landfall cert; without it nobody's certificate counts as revoked, which a note says")
	since := c.Flags().String("since", "", "`FILE` with the JSON of an earlier audit: what it read is not read again, and the ledger has to go on from there")
	level := c.Flags().String("level", "", "how much is checked: `LEVEL` offsets, files, bytes or values; default: files, offsets where a task has no ledger")
	decode := c.Flags().Bool("decode", false, "the same as --level values")
	quiet := c.Flags().Bool("quiet", false, "no progress bar")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	remote, kafka := newS3Flags(c), newKafkaFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *lake == "" && !kafka.given() {
			return cli.Fail(cli.ExitUsage, errors.New("audit: --lake, --kafka, or both"))
		}
		var asked audit.Level
		if *level != "" {
			var err error
			if asked, err = audit.ParseLevel(*level); err != nil {
				return cli.Fail(cli.ExitUsage, fmt.Errorf("audit: --level: %w", err))
			}
		}
		if *decode {
			if asked != "" && asked != audit.LevelValues {
				return cli.Fail(cli.ExitUsage, errors.New("audit: --decode is --level values, and another level is given"))
			}
			asked = audit.LevelValues
		}
		if *lake == "" {
			topics, err := kafka.audit(c.Context(), nil)
			if err != nil {
				return err
			}
			return auditSaid(c, topics, *asJSON)
		}
		cfg, err := auditOf(c.Context(), *lake, *checkpoints, remote.config())
		if err != nil {
			return err
		}
		cfg.EdgeLogs, cfg.Level, cfg.Decode = *edgeLogs, asked, NewDecoder()
		if cfg.Tips, cfg.TipsCA, cfg.TipsCRL, err = readTips(*tipFiles, *tipsCA, *tipsCRL); err != nil {
			return err
		}
		if cfg.Since, err = readSince(*since); err != nil {
			return err
		}
		for _, dir := range *edgeLogs {
			if err := present(dir); err != nil {
				return err
			}
		}
		stop := auditBar(c.ErrOrStderr(), *lake, &cfg, *quiet)
		result, err := audit.Run(c.Context(), cfg)
		stop()
		if errors.Is(err, audit.ErrNoLog) {
			err = cli.Fail(cli.ExitNoInput, err)
		}
		if err != nil {
			return err
		}
		topics, err := kafka.audit(c.Context(), result)
		if err != nil {
			return err
		}
		if topics != nil {
			audit.CompareTopics(result, topics)
			result.Topics = topics
		}
		return auditSaid(c, result, *asJSON)
	}
	return c
}

// auditBar draws an audit's progress on a terminal until the function it returns
// is called.
func auditBar(w io.Writer, lake string, cfg *audit.Config, quiet bool) (stop func()) {
	if quiet || !cli.IsTerminal(w) {
		return func() {}
	}
	p := new(audit.Progress)
	cfg.Progress = p
	started := time.Now()
	return drawBar(w, func() string {
		if p.Of.Load() == 0 {
			return ""
		}
		return barLine(path.Base(lake), p.Files.Load(), p.Of.Load(), "rows", p.Rows.Load(), time.Since(started))
	})
}

// auditSaid prints a result and decides about the exit code.
func auditSaid(c *cobra.Command, result *audit.Result, asJSON bool) error {
	var err error
	if asJSON {
		err = cli.JSON(c.OutOrStdout(), result)
	} else {
		err = result.WriteText(c.OutOrStdout())
	}
	if err == nil && (!result.Exact || result.Topics != nil && !result.Topics.Exact) {
		err = cli.Fail(cli.ExitData, errInexact)
	}
	return err
}

// auditOf opens what an audit reads. A lake without checkpoints can be audited
// too, unless they were asked for.
func auditOf(ctx context.Context, lake, checkpoints string, remote server.S3Config) (audit.Config, error) {
	cfg := audit.Config{Lake: lake}
	asked := checkpoints != ""
	if !asked {
		checkpoints = server.Checkpoints(lake)
	}
	var err error
	if server.IsBucket(lake) {
		cfg.Files, err = readLake(ctx, lake, remote)
	} else {
		err = present(lake)
	}
	if err != nil {
		return cfg, err
	}
	if !server.IsBucket(checkpoints) {
		if err := present(checkpoints); !asked && errors.Is(err, fs.ErrNotExist) {
			return cfg, nil
		} else if err != nil {
			return cfg, err
		}
	}
	store, err := place{checkpoints: checkpoints, s3: remote}.openStore(ctx, true)
	if err != nil {
		return cfg, err
	}
	tasks, err := checkpoint.Tasks(ctx, store)
	if err != nil {
		return cfg, err
	}
	if len(tasks) > 0 || !server.IsBucket(checkpoints) {
		cfg.Checkpoints = store
		return cfg, nil
	}
	// A bucket has no folders: what is not there looks like what is empty.
	if cfg.Files != nil && !asked {
		names, err := cfg.Files.List(ctx, string(table.Record)+"/")
		if err != nil || len(names) > 0 {
			return cfg, err
		}
	}
	return cfg, cli.Fail(cli.ExitNoInput, fmt.Errorf("audit: there is nothing below %s", checkpoints))
}

// readSince reads the result of an earlier audit; nil without a name.
func readSince(name string) (*audit.Result, error) {
	if name == "" {
		return nil, nil
	}
	data, err := durable.ReadFile(durable.ReadOnly(durable.OS{}), name)
	if err != nil {
		return nil, fmt.Errorf("audit: --since: %w", err)
	}
	var r audit.Result
	if err := json.Unmarshal(data, &r); err != nil || r.Level == "" {
		return nil, cli.Fail(cli.ExitData, fmt.Errorf("audit: --since: %s is not what audit --json of a lake printed", name))
	}
	return &r, nil
}

// readTips reads documents of gateways, the roots that vouch for their signers, and
// lists of those that these revoked; nil without a file of them.
func readTips(names []string, ca, crl string) ([]audit.TipsFile, *x509.CertPool, []*x509.RevocationList, error) {
	fail := func(err error) ([]audit.TipsFile, *x509.CertPool, []*x509.RevocationList, error) {
		return nil, nil, nil, err
	}
	var all []audit.TipsFile
	for _, name := range names {
		data, err := durable.ReadFileUpTo(durable.ReadOnly(durable.OS{}), name, tips.MaxDocumentBytes)
		if errors.Is(err, durable.ErrTooLarge) {
			return fail(cli.Fail(cli.ExitData, fmt.Errorf("audit: --tips: %w; tips have %d bytes at most", err, tips.MaxDocumentBytes)))
		}
		if err != nil {
			return fail(fmt.Errorf("audit: --tips: %w", err))
		}
		all = append(all, audit.TipsFile{Name: name, Data: data})
	}
	switch {
	case ca == "" && crl != "":
		return fail(cli.Fail(cli.ExitUsage, errors.New("audit: --tips-crl needs --tips-ca")))
	case ca == "":
		return all, nil, nil, nil
	case len(names) == 0:
		return fail(cli.Fail(cli.ExitUsage, errors.New("audit: --tips-ca is for --tips")))
	}
	data, err := durable.ReadFile(durable.ReadOnly(durable.OS{}), ca)
	if err != nil {
		return fail(fmt.Errorf("audit: --tips-ca: %w", err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return fail(cli.Fail(cli.ExitData, fmt.Errorf("audit: --tips-ca: %s holds no certificate", ca)))
	}
	if crl == "" {
		return all, pool, nil, nil
	}
	lists, err := readLists(crl, data)
	if err != nil {
		return fail(fmt.Errorf("audit: --tips-crl: %w", err))
	}
	return all, pool, lists, nil
}

// readLists reads revocation lists, each signed by one of the certificates in ca.
func readLists(name string, ca []byte) (lists []*x509.RevocationList, err error) {
	data, err := durable.ReadFile(durable.ReadOnly(durable.OS{}), name)
	if err != nil {
		return nil, err
	}
	var signers []*x509.Certificate
	for block, rest := pem.Decode(ca); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			signers = append(signers, c)
		}
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err == nil && !slices.ContainsFunc(signers, func(c *x509.Certificate) bool { return list.CheckSignatureFrom(c) == nil }) {
			err = errors.New("nobody in --tips-ca signed it")
		}
		if err != nil {
			return nil, cli.Fail(cli.ExitData, fmt.Errorf("%s: %w", name, err))
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 {
		return nil, cli.Fail(cli.ExitData, fmt.Errorf("%s holds no revocation list", name))
	}
	return lists, nil
}

// present makes sure that a directory is there.
func present(dir string) error {
	info, err := durable.OS{}.Stat(dir)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if !info.IsDir() {
		return cli.Fail(cli.ExitNoInput, fmt.Errorf("audit: %s is no directory", dir))
	}
	return nil
}
