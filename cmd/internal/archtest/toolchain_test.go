package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestOneToolchain: the image that the Dockerfile builds in holds the Go that go.mod
// names, which make package and make vuln take from there.
func TestOneToolchain(t *testing.T) {
	of := func(file, pattern string) string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s names no Go", file)
		}
		return string(found[1])
	}
	mod, docker := of("go.mod", `(?m)^toolchain go(\S+)$`), of("Dockerfile", `(?m)^FROM .*golang:(\S+) AS build$`)
	if mod != docker {
		t.Errorf("go.mod says Go %s, Dockerfile %s", mod, docker)
	}
}
