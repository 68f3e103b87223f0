package enginecli

import (
	"net/url"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
	"landfall/engine/server"
	"landfall/engine/table"
	"landfall/sinks/parquet"
	"landfall/sinks/rowjson"
)

func tapCommand() *cobra.Command {
	t := cli.Tap{
		Stages: []string{server.StageRecord, server.StageLanded, server.StageTyped},
		Judged: []string{server.StageRecord, server.StageLanded},
		Rows:   []string{server.StageTyped},
	}
	return t.Command("Shows what passes the engine, at any stage",
		"Asks the running engine, whose configuration must have status: an address. It shows what passes from now on, and holds\n"+
			"nothing up: what this end is too slow for is missed and counted.\n\n"+
			"  record  what a task made of each captured record: how many rows, or under reject why none; and what contradicts or is lost\n"+
			"  landed  records as they land from gateways, before a task has read them\n"+
			"  typed   the rows themselves as they will stand in the tables, under row, without what is NULL; they are committed later\n\n"+
			"nmea prints the lines as the gateway received them; json one object a record, and is all that typed has.",
		"engine", DefaultConfig, statusAddress, func(c *cobra.Command) func(url.Values) {
			gateway := c.Flags().String("gateway", "", "only of the gateway of this `NAME`")
			only := c.Flags().String("table", "", "at stage typed, only rows of the table of this `NAME`")
			cli.Choices(c, "table", shownTables()...)
			return func(q url.Values) {
				for key, value := range map[string]string{"gateway": *gateway, "table": *only} {
					if value != "" {
						q.Set(key, value)
					}
				}
			}
		})
}

// shownTables names the tables whose rows tap shows.
func shownTables() []string {
	var all []string
	for _, name := range append(table.TypedNames(), table.Window, table.Late) {
		all = append(all, string(name))
	}
	return all
}

// typedRows gives the rows of a batch, but for those that stage record shows.
func typedRows(b *table.Batch) []server.TypedRow {
	g := parquet.NewGatherer(append(table.TypedNames(), table.Window, table.Late))
	g.Add(b)
	var all []server.TypedRow
	for _, one := range g.Tables() {
		for row := range one.Rows {
			all = append(all, server.TypedRow{Table: one.Table, Source: sourceOf(one, row), Row: rowjson.AppendRow(nil, one, row)})
		}
	}
	return all
}

func sourceOf(g *parquet.Gathered, row int) string {
	for _, c := range g.Columns {
		if c.About().Name == "source" {
			return c.Text(row)
		}
	}
	return ""
}
