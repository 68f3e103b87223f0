package archtest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"landfall/edge/agent"
	"landfall/edge/config"
	"landfall/engine/server"
)

// exampleBegin finds how an example of a configuration begins, whole or a part of it.
var exampleBegin = regexp.MustCompile(`^(gateway|sources|listen|landing|lake|sinks|forward|tls|identity|epoch):( |$)`)

// examples returns the configurations that a page shows: code that begins with a key.
func examples(page string) (all []string) {
	var block []string
	end := func() {
		if len(block) > 0 && exampleBegin.MatchString(block[0]) {
			all = append(all, strings.Join(block, "\n")+"\n")
		}
		block = nil
	}
	for line := range strings.SplitSeq(page, "\n") {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			block = append(block, text)
			continue
		}
		end()
	}
	end()
	return all
}

// wrongExamples lists what is wrong with the configurations that a page shows: a key or
// value that is refused. One with a gateway or sources is the gateway's. A part of one
// may lack what is required.
func wrongExamples(name, page string) (problems []string, read int) {
	for _, text := range examples(page) {
		read++
		var err error
		if regexp.MustCompile(`(?m)^(gateway|sources|forward):`).MatchString(text) {
			c := agent.Default()
			if _, err = config.Parse(name, []byte(text), &c); err == nil && c.Gateway != "" {
				err = c.Validate()
			}
		} else {
			c := server.Default()
			if _, err = config.Parse(name, []byte(text), &c); err == nil && c.Listen != "" && c.Lake.Dir != "" {
				err = c.Validate()
			}
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v\n%s", name, err, text))
		}
	}
	return problems, read
}

// TestExamplesAreConfigurations: what README and docs show as configurations is taken.
func TestExamplesAreConfigurations(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for _, name := range append(names, filepath.Join(root, "README.md"), filepath.Join(root, "firmware/README.md")) {
		page, err := readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		problems, read := wrongExamples(filepath.Base(name), string(page))
		all += read
		report(t, problems)
	}
	if all < 6 {
		t.Errorf("only %d configurations found", all)
	}
}

func TestExamplesRuleCanFail(t *testing.T) {
	page := "An engine:\n\n    listen: 127.0.0.1:1\n    lake: {dir: /lake}\n    identity: {unauthenticated: true}\n    landing: {dir: /landing}\n\nA part:\n\n    sources:\n      - {name: a, upd: {}}\n\n" +
		"A gateway:\n\n    gateway: x\n    data_dir: relative\n\n    go test\n\nNo times:\n\n    epoch: {interval: 5}\n"
	problems, read := wrongExamples("p", page)
	mustFind(t, problems, "upd", "data_dir", "interval")
	if read != 4 {
		t.Errorf("%d read", read)
	}
}
