package main

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// copyright writes who owns what is in a binary: the licence of every module
// that was linked into it, word for word.
func copyright(bin, name string) error {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("Landfall\n\nCopyright: the authors of Landfall.\nLicense: none has been granted yet; ask the authors.\n\n" +
		"The program is linked statically with the following modules, under their own licences.\n")
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		texts, err := licences(m.Path, m.Version)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n%s\n%s %s\n\n%s", strings.Repeat("-", 78), m.Path, m.Version, texts)
	}
	goRoot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goRoot)), "LICENSE"))
	if err != nil {
		return fmt.Errorf("licence of Go: %w", err)
	}
	fmt.Fprintf(&b, "\n%s\nthe Go runtime and standard library, %s\n\n%s", strings.Repeat("-", 78), info.GoVersion, text)
	return os.WriteFile(name, b.Bytes(), 0o644)
}

var licenceName = regexp.MustCompile(`^(?i)(un)?(licen[cs]e|copying|copyright|notice)([.-].*)?$`)

// licences gives the texts that a module brings, from the module cache.
func licences(path, version string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path+"@"+version).Output()
	if err != nil {
		return "", fmt.Errorf("find module %s %s: %w", path, version, err)
	}
	dir := strings.TrimSpace(string(out))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceName.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		if bytes.Contains(text, []byte("Apache License")) && bytes.Contains(text, []byte("Version 2.0, January 2004")) {
			text = []byte("Apache License, Version 2.0: see /usr/share/common-licenses/Apache-2.0\n")
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	if all.Len() == 0 {
		return "", fmt.Errorf("module %s %s has no licence in its top folder", path, version)
	}
	return all.String(), nil
}
