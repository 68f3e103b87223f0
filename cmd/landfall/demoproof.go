package main

import (
	"context"
	"fmt"

	"landfall/cmd/internal/cli"
	"landfall/cmd/internal/enginecli"
	"landfall/cmd/internal/explain"
	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/engine/audit"
	"landfall/engine/server"
	"landfall/sinks/object"
)

// proved is what demo prints with --json.
type proved struct {
	Dir      string            `json:"dir"`
	Handoffs []explain.Handoff `json:"handoffs"`
	Audit    *audit.Result     `json:"audit"`
}

// prove prints the chain with its guarantees, the audit, and a question to ask.
func (d *demo) prove(ctx context.Context) error {
	handoffs, err := d.handoffs()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(d.out, "\nThe chain, handoff by handoff (landfall-edge explain and landfall-engine explain say why):\n\n")
	rows := [][]string{{"FROM", "TO", "COMMIT", "GUARANTEE"}}
	for _, h := range handoffs {
		rows = append(rows, []string{h.From, h.To, h.Commit, string(h.Guarantee)})
	}
	if err := cli.Table(d.out, rows); err != nil {
		return err
	}
	_, _ = fmt.Fprint(d.out, "\nThe audit of the lake, each record decoded again and compared byte by byte with the logs on both gateways:\n\n")
	store, err := object.OpenDir(durable.OS{}, d.path("lake", "_checkpoint"))
	if err != nil {
		return err
	}
	result, err := audit.Run(ctx, audit.Config{
		Lake: d.path("lake"), Checkpoints: store, EdgeLogs: []string{d.path("north", "log"), d.path("pilot", "log")},
		Level: audit.LevelValues, Decode: enginecli.NewDecoder(),
	})
	if err != nil {
		return err
	}
	if err := result.WriteText(d.out); err != nil {
		return err
	}
	if d.result != nil {
		if err := cli.JSON(d.result, proved{d.dir, handoffs, result}); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(d.out, `
A question to ask, with DuckDB:

    duckdb -c "SELECT mmsi, count(*) AS receptions, count(*) FILTER (NOT is_duplicate) AS messages, round(avg(sog), 1) AS knots
               FROM '%s/*/*.parquet' GROUP BY mmsi ORDER BY receptions DESC LIMIT 10"

Everything lies in %s: lake/ holds the tables, *.yaml the configurations, *.log what the daemons said.
`, d.path("lake", "ais_position"), d.dir)
	if !result.Exact {
		return cli.Fail(cli.ExitData, fmt.Errorf("the audit is not exact"))
	}
	d.say("done")
	return nil
}

// handoffs explains the demo's own configurations.
func (d *demo) handoffs() ([]explain.Handoff, error) {
	var out []explain.Handoff
	for _, name := range []string{"north", "pilot"} {
		cfg := agent.Default()
		if _, err := config.Load(durable.OS{}, d.config(name), &cfg); err != nil {
			return nil, err
		}
		for _, h := range explain.Edge(&cfg) {
			if h.Commit == "C1" {
				out = append(out, h)
			}
		}
	}
	cfg := server.Default()
	if _, err := config.Load(durable.OS{}, d.config("engine"), &cfg); err != nil {
		return nil, err
	}
	return append(out, enginecli.Explain(&cfg)...), nil
}
