package archtest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"testing"
)

var yamlKey = regexp.MustCompile(`yaml:"([a-z_]+)"`)

// undocumentedKeys lists the keys of a configuration's source that a page does not
// name as code.
func undocumentedKeys(name string, source, page []byte) []string {
	var problems []string
	for _, m := range yamlKey.FindAllSubmatch(source, -1) {
		if !regexp.MustCompile("`([a-z0-9_]+\\.)*" + string(m[1]) + "[`.]").Match(page) {
			problems = append(problems, fmt.Sprintf("%s: key %s is not in docs/configuration.md", name, m[1]))
		}
	}
	return problems
}

func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := readFile(filepath.Join(root, "docs/configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"edge/agent/config.go", "edge/agent/sensorconfig.go", "edge/agent/modbusconfig.go", "engine/server/config.go", "engine/server/sinkconfig.go", "engine/server/kafkaconfig.go"} {
		source, err := readFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(yamlKey.FindAll(source, -1)) < 8 {
			t.Fatalf("%s: hardly any keys found", name)
		}
		report(t, undocumentedKeys(name, source, page))
	}
}

func TestUndocumentedKeyIsFound(t *testing.T) {
	source := []byte("A int `yaml:\"alpha\"`\nB int `yaml:\"beta\"`\nC int `yaml:\"gamma\"`")
	mustFind(t, undocumentedKeys("c.go", source, []byte("| `alpha` | `log.gamma` | beta |")), "beta")
}
