// Package clidocs writes what a package ships beside a command: man pages and
// shell completions, both made from the command itself. Only the packing of a
// release uses it; no shipped binary holds it.
//
// In:  a root command.
// Out: files below a directory, laid out as below /usr/share.
//
// Write is called by one goroutine.
package clidocs

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"landfall/edge/durable"
)

// Write writes man pages and completions of root below dir; date stands in the
// man pages.
func Write(root *cobra.Command, dir string, date time.Time) error {
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd()
	if err := pages(root, filepath.Join(dir, "man/man1"), root.Name(), date); err != nil {
		return err
	}
	name := root.Name()
	for _, shell := range []struct {
		path  string
		write func(*bytes.Buffer) error
	}{
		{"bash-completion/completions/" + name, func(b *bytes.Buffer) error { return root.GenBashCompletionV2(b, true) }},
		{"zsh/vendor-completions/_" + name, func(b *bytes.Buffer) error { return root.GenZshCompletion(b) }},
		{"fish/vendor_completions.d/" + name + ".fish", func(b *bytes.Buffer) error { return root.GenFishCompletion(b, true) }},
	} {
		var b bytes.Buffer
		if err := shell.write(&b); err != nil {
			return fmt.Errorf("write completions of %s: %w", name, err)
		}
		if err := write(filepath.Join(dir, shell.path), b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// pages writes the man page of c and of the verbs below it.
func pages(c *cobra.Command, dir, top string, date time.Time) error {
	for _, verb := range c.Commands() {
		if !verb.IsAvailableCommand() || verb.Name() == "completion" || verb.Name() == "help" {
			continue
		}
		if err := pages(verb, dir, top, date); err != nil {
			return err
		}
	}
	title := strings.ReplaceAll(c.CommandPath(), " ", "-")
	header := &doc.GenManHeader{Title: strings.ToUpper(title), Section: "1", Date: &date, Source: "Landfall", Manual: "Landfall"}
	var b bytes.Buffer
	if err := doc.GenMan(c, header, &b); err != nil {
		return fmt.Errorf("write man page of %s: %w", title, err)
	}
	return write(filepath.Join(dir, title+".1"), b.Bytes())
}

func write(name string, data []byte) error {
	if err := durable.MkdirAllSync(durable.OS{}, filepath.Dir(name)); err != nil {
		return err
	}
	return durable.WriteFileAtomic(durable.OS{}, name, data)
}
