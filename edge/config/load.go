package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v4"

	"landfall/edge/durable"
)

// MaxFileBytes bounds a configuration file.
const MaxFileBytes = 1 << 20

// File is a configuration file that was read: it knows where each key stands.
type File struct {
	Name  string
	lines map[string]int
	// credentials are those that it names, as it names them.
	credentials []string
}

// Load reads the file name and fills into, a pointer to a struct. Errors: one
// that wraps fs.ErrNotExist or another of reading, or Errors joined.
func Load(fsys durable.FS, name string, into any) (*File, error) {
	info, err := fsys.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w; --config names another", err)
	}
	if info.IsDir() || info.Size() > MaxFileBytes {
		return nil, &Error{File: name, Got: fmt.Sprintf("%d bytes, %s", info.Size(), info.Mode()), Want: fmt.Sprintf("a file of at most %d bytes", MaxFileBytes)}
	}
	data, err := durable.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(name, data, into)
}

// Parse is Load of a file's content.
func Parse(name string, data []byte, into any) (*File, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		line, reason := syntaxError(err)
		return nil, &Error{File: name, Line: line, Want: "YAML: " + reason}
	}
	d := decoder{file: &File{Name: name, lines: map[string]int{}}}
	if len(doc.Content) == 0 {
		return d.file, nil
	}
	if err := d.root(doc.Content[0], into); err != nil {
		return nil, err
	}
	d.file.credentials = credentialsIn(&doc, nil)
	return d.file, nil
}

// credentialsIn appends the values that name a credential.
func credentialsIn(n *yaml.Node, found []string) []string {
	if n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, credential) {
		found = append(found, n.Value)
	}
	for _, c := range n.Content {
		found = credentialsIn(c, found)
	}
	return found
}

// AbsentCredentials gives the credentials that the file names, outside the
// service that systemd hands them to; inside it, none.
func (f *File) AbsentCredentials() []string {
	if os.Getenv(credentialsDir) != "" {
		return nil
	}
	return f.credentials
}

// syntaxError takes the line out of the YAML library's message.
func syntaxError(err error) (line int, reason string) {
	reason = strings.TrimPrefix(err.Error(), "yaml: ")
	if i := strings.Index(reason, "line "); i >= 0 {
		if n, _ := fmt.Sscanf(reason[i:], "line %d", &line); n == 1 {
			return line, reason
		}
	}
	return 0, reason
}

// Locate turns the FieldErrors within err into Errors with this file's name
// and the line of the key, or of the nearest key above it. Other errors stay.
func (f *File) Locate(err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, f.Locate(e))
		}
		return errors.Join(out...)
	}
	var fe *FieldError
	if !errors.As(err, &fe) {
		return err
	}
	return &Error{File: f.Name, Line: f.line(fe.Key), Key: fe.Key, Got: Shown(fe.Got), Want: fe.Want, Busy: fe.Busy}
}

// line finds the line of key or of the nearest one above it; 0 for none.
func (f *File) line(key string) int {
	for key != "" {
		if n, ok := f.lines[key]; ok {
			return n
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0
}
