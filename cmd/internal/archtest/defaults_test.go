package archtest

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/engine/server"
)

// defaultRow finds a row of a table of keys: the keys and what an absent one means.
var defaultRow = regexp.MustCompile("(?m)^\\| (`[a-z0-9_.]+`(?:, `[a-z0-9_.]+`)*) \\| ([^|]*) \\|")

// defaultsDiffer reads the defaults that a page says under a heading, and lists those
// that a configuration has not: the page's value in a file has to change nothing. It
// reads those alone that are code and nothing else.
func defaultsDiffer(page, heading string, defaults func() any) (problems []string, read int) {
	_, section, _ := strings.Cut(page, "\n"+heading+"\n")
	section, _, _ = strings.Cut(section, "\n| kind of source |")
	for _, m := range defaultRow.FindAllStringSubmatch(section, -1) {
		cells := strings.Split(m[2], ", ")
		for i, key := range quoted.FindAllStringSubmatch(m[1], -1) {
			if i == len(cells) {
				break // one default for several keys is the first one's
			}
			value := quoted.FindStringSubmatch(cells[i])
			if value == nil || value[0] != cells[i] || strings.Contains(cells[i], "AWS_") ||
				strings.Contains(cells[i], "<lake>") {
				continue // a word, or what is taken from elsewhere
			}
			read++
			said, is := defaults(), defaults()
			if _, err := config.Parse("page", []byte(nested(key[1], value[1])), said); err != nil {
				problems = append(problems, fmt.Sprintf("%s: %s: %v", key[1], value[1], err))
			} else if !reflect.DeepEqual(said, is) {
				problems = append(problems, fmt.Sprintf("%s: an absent key does not mean %s", key[1], value[1]))
			}
		}
	}
	return problems, read
}

// nested returns a configuration with one key, given by its path.
func nested(path, value string) (text string) {
	names := strings.Split(path, ".")
	for n, name := range names {
		text += strings.Repeat(" ", n) + name + ":"
		if n < len(names)-1 {
			text += "\n"
		}
	}
	return text + " " + value + "\n"
}

// TestDefaultsAreAsThePageSays: what docs/configuration.md says that an absent key means
// is what it means.
func TestDefaultsAreAsThePageSays(t *testing.T) {
	page, err := readFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		heading  string
		defaults func() any
		least    int
	}{
		{"## Gateway: `landfall-edge … --config edge.yaml`", func() any { c := agent.Default(); return &c }, 14},
		{"## Engine: `landfall-engine … --config engine.yaml`", func() any { c := server.Default(); return &c }, 20},
	} {
		problems, read := defaultsDiffer(string(page), one.heading, one.defaults)
		if read < one.least {
			t.Errorf("%s: only %d defaults", one.heading, read)
		}
		report(t, problems)
	}
}

func TestDefaultsRuleCanFail(t *testing.T) {
	page := "\n## X\n\n| `log.quota` | `5GiB` | |\n| `log.segment_size`, `capture.group_size` | `8MiB`, `64KiB` | |\n| `drain_timeout` | none | |\n" +
		"| `capture.nothing` | `1s` | |\n| `forward.linger` | `2s` | |\n"
	problems, read := defaultsDiffer(page, "## X", func() any { c := agent.Default(); return &c })
	mustFind(t, problems, "log.quota: an absent key", "capture.nothing", "forward.linger: an absent key")
	if read != 5 {
		t.Errorf("%d defaults", read)
	}
}
