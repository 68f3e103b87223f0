package config

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
)

// TestLoginKeepsWhatCouldBeUsed: new first lines are taken up; a file that is empty,
// or gone, leaves both as they were, is refused at the start, and is told of without
// what stood in it.
func TestLoginKeepsWhatCouldBeUsed(t *testing.T) {
	dir := t.TempDir()
	name, password := filepath.Join(dir, "name"), filepath.Join(dir, "password")
	var told strings.Builder
	l := &Login{FS: durable.OS{}, Logger: slog.New(slog.NewTextHandler(&told, nil)), NameKey: "x.name", NameFile: name, PasswordKey: "x.password", PasswordFile: password}
	for _, step := range []struct{ name, password, wantName, wantPassword, wrong string }{
		{"anna\nnot this", "one\r\n", "anna", "one", ""},
		{"bert", "two", "bert", "two", ""},
		{"cleo", "\nthree", "bert", "two", "x.password"},
		{"", "three", "bert", "two", "x.name"},
		{"cleo", "three", "cleo", "three", ""},
	} {
		for file, text := range map[string]string{name: step.name, password: step.password} {
			if err := durable.WriteFileAtomic(durable.OS{}, file, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		told.Reset()
		if n, p := l.Newest(); n != step.wantName || p != step.wantPassword {
			t.Errorf("%+v: %q, %q", step, n, p)
		}
		if said := told.String(); (said == "") != (step.wrong == "") || !strings.Contains(said, step.wrong) || strings.Contains(said, "three") {
			t.Errorf("%+v: said %q", step, said)
		}
		var field *FieldError
		if err := l.Read(); (err == nil) != (step.wrong == "") || err != nil && (!errors.As(err, &field) || field.Key != step.wrong) {
			t.Errorf("%+v: %v", step, err)
		}
	}
}
