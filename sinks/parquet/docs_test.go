package parquet

import (
	"os"
	"strings"
	"testing"

	"landfall/engine/table"
)

const tablesDoc = "../../docs/tables.md"

// docRow is a column's line in docs/tables.md.
func docRow(c Column) string {
	null := ""
	if c.Nullable {
		null = "yes"
	}
	return "| " + strings.Join([]string{"`" + c.Name + "`", string(c.Type), c.Unit, null, strings.ReplaceAll(c.Doc, "|", "\\|")}, " | ") + " |"
}

// TestDocsSayWhatFilesHold compares docs/tables.md, table by table and line by
// line, with the schema that is written. It prints what should stand there.
func TestDocsSayWhatFilesHold(t *testing.T) {
	data, err := os.ReadFile(tablesDoc)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string][]string)
	section := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(name, " ")
		}
		if strings.HasPrefix(line, "| `") {
			sections[section] = append(sections[section], line)
		}
	}
	for _, name := range table.Names() {
		var want []string
		for _, c := range Schema(name) {
			want = append(want, docRow(c))
		}
		if got := sections[string(name)]; strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("section %s should hold:\n%s\nand holds:\n%s", name, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
		delete(sections, string(name))
	}
	for name := range sections {
		t.Errorf("section %s describes no table", name)
	}
}
