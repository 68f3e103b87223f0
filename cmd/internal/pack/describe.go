package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"landfall/cmd/internal/clidocs"
	"landfall/cmd/internal/edgecli"
	"landfall/cmd/internal/enginecli"
)

// docs writes the man pages and completions of every command.
func (r *release) docs() error {
	date := time.Unix(r.epoch, 0).UTC()
	if err := clidocs.Write(edgecli.Command("landfall-edge", r.version), r.share("landfall-edge"), date); err != nil {
		return err
	}
	if err := clidocs.Write(enginecli.Command("landfall-engine", r.version), r.share("landfall-engine"), date); err != nil {
		return err
	}
	return command(nil, "go", "run", "-tags", "docs", "./cmd/landfall", r.share("landfall"), fmt.Sprint(r.epoch))
}

// share is where the docs of a package lie.
func (r *release) share(name string) string { return filepath.Join(r.work, "share", name) }

// content is one file of a package, as nfpm wants it.
type content struct {
	Src  string         `yaml:"src,omitempty"`
	Dst  string         `yaml:"dst"`
	Type string         `yaml:"type,omitempty"`
	Info map[string]any `yaml:"file_info,omitempty"`
}

// describe writes nfpm's description of a package.
func (r *release) describe(p part, arch, bin, rights, name string) error {
	doc := "/usr/share/doc/" + p.name
	changes := filepath.Join(r.work, p.name+".changelog.gz")
	if err := r.changelog(p, changes); err != nil {
		return err
	}
	overrides := filepath.Join(r.work, p.name+".overrides")
	if err := os.WriteFile(overrides, []byte(p.overrides()), 0o644); err != nil {
		return err
	}
	files := []content{
		r.file(bin, "/usr/bin/"+p.name, 0o755),
		r.file(rights, doc+"/copyright", 0o644),
		r.file(changes, doc+"/changelog.gz", 0o644),
		r.file(overrides, "/usr/share/lintian/overrides/"+p.name, 0o644),
	}
	shared, err := r.shared(p)
	if err != nil {
		return err
	}
	files = append(files, shared...)
	d := map[string]any{
		"name": p.name, "arch": arch, "platform": "linux", "version": r.version, "version_schema": "none", "section": p.section, "priority": "optional",
		"maintainer":  "Landfall <maintainers@landfall.example>",
		"description": p.summary + "\n" + p.description,
		"mtime":       time.Unix(r.epoch, 0).UTC().Format(time.RFC3339),
		"deb":         map[string]any{"compression": r.compression},
	}
	if p.service {
		d["depends"] = []string{"systemd (>= 247) | systemd-standalone-sysusers", "init-system-helpers (>= 1.52)"}
		files = append(files, r.service(p, doc)...)
		scripts := map[string]string{}
		for _, s := range []string{"postinst", "prerm", "postrm"} {
			path, err := r.script(p, s)
			if err != nil {
				return err
			}
			scripts[map[string]string{"postinst": "postinstall", "prerm": "preremove", "postrm": "postremove"}[s]] = path
		}
		d["scripts"] = scripts
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Dst < files[j].Dst })
	d["contents"] = files
	text, err := yaml.Marshal(d)
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}

func (r *release) file(src, dst string, mode int) content {
	return content{Src: src, Dst: dst, Info: map[string]any{"mode": mode, "mtime": time.Unix(r.epoch, 0).UTC().Format(time.RFC3339)}}
}

// service gives the files of a daemon: unit, user, configuration, documents.
func (r *release) service(p part, doc string) []content {
	short := strings.TrimPrefix(p.name, "landfall-")
	config := r.file("systemd/"+short+".yaml", "/etc/landfall/"+short+".yaml", 0o644)
	config.Type = "config|noreplace"
	files := []content{
		config,
		r.file("systemd/"+p.name+".service", "/usr/lib/systemd/system/"+p.name+".service", 0o644),
		r.file("systemd/package/landfall.sysusers", "/usr/lib/sysusers.d/"+p.name+".conf", 0o644),
	}
	for _, page := range documents() {
		files = append(files, r.file("docs/"+page, doc+"/"+page, 0o644))
	}
	return files
}

// documents are the pages of docs/ that an operator reads where there is no
// internet.
func documents() []string {
	return []string{"configuration.md", "guarantee.md", "metrics.md", "operator.md", "security.md"}
}

// shared gives man pages, gzipped, and completions.
func (r *release) shared(p part) ([]content, error) {
	root := r.share(p.name)
	var files []content
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".1") {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			zipped := filepath.Join(r.work, "gz-"+filepath.Base(path)+".gz")
			files = append(files, r.file(zipped, "/usr/share/"+rel+".gz", 0o644))
			return r.gzip(text, zipped)
		}
		files = append(files, r.file(path, "/usr/share/"+rel, 0o644))
		return nil
	})
	return files, err
}

// gzip writes data as gzip -9n does: without a name and a time.
func (r *release) gzip(data []byte, name string) error {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// changelog writes Debian's form of what changed: that it was released.
func (r *release) changelog(p part, name string) error {
	text := fmt.Sprintf("%s (%s) unstable; urgency=medium\n\n  * Built from the sources of this date.\n\n -- Landfall <maintainers@landfall.example>  %s\n",
		p.name, r.version, time.Unix(r.epoch, 0).UTC().Format(time.RFC1123Z))
	return r.gzip([]byte(text), name)
}

// overrides says to lintian what is meant.
func (p part) overrides() string {
	text := "# One file without libraries, so that it runs wherever the kernel does.\n" + p.name + ": statically-linked-binary\n"
	if p.service {
		text += "# What debhelper writes for daemon-reload; this package is made without it.\n" + p.name + ": maintainer-script-calls-systemctl\n"
	}
	return text
}

// script fills in a maintainer's script.
func (r *release) script(p part, which string) (string, error) {
	text, err := os.ReadFile("systemd/package/" + which)
	if err != nil {
		return "", err
	}
	short := strings.TrimPrefix(p.name, "landfall-")
	name := filepath.Join(r.work, p.name+"."+which)
	return name, os.WriteFile(name, []byte(strings.NewReplacer("@PACKAGE@", p.name, "@SHORT@", short).Replace(string(text))), 0o755)
}
