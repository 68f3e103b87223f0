// Package config reads configuration files strictly: YAML into plain structs,
// refusing what it does not know, with the file, the line, the key and what was
// expected in every error.
//
// In:  a YAML file, and a pointer to a struct whose fields carry
// `yaml:"name"`.
// Out: the struct filled, and a File that knows the line of every key, so that
// what Validate says about a field is said about a line.
//
// Invariants
//
//  1. A key that no field names, a key given twice, a value of another kind, a
//     number without its unit: each is an error, and all of them are reported,
//     not only the first.
//  2. A key that is absent leaves its field alone, so the struct is filled with
//     defaults before.
//  3. Load reads nothing but the one file; no environment, no expansion. Files that
//     it names (ReadFiles, Login) are read when they are needed, and only the name
//     of a secret's file may refer to a credential of the service manager, whose
//     directory the environment names.
//
// Parse and what concerns addresses are pure; the rest reads files or the
// environment. No goroutines.
package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrInvalid is what every error about the content of a configuration wraps.
var ErrInvalid = errors.New("invalid configuration")

// ErrBusy is what an error wraps instead where the content is right and somebody else
// has what it names, as an address: trying again later may help.
var ErrBusy = errors.New("not free now")

// Error is one thing wrong in a file. It wraps ErrInvalid, or ErrBusy.
type Error struct {
	File string
	Line int    // from 1; 0 when the key is absent from the file
	Key  string // like "sources[0].udp.listen"
	Got  string // what stands there, as Shown gives it; may be empty
	Want string // what was expected
	Busy bool   // it is not wrong, but not free now
}

// Error gives "file:line: key: got x, expected y".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		fmt.Fprintf(&b, ": %s", e.Key)
	}
	if e.Got != "" {
		fmt.Fprintf(&b, ": got %s, expected %s", Shown(e.Got), e.Want)
	} else {
		fmt.Fprintf(&b, ": expected %s", e.Want)
	}
	return b.String()
}

// userinfo is the part of a URL that may hold a password. It goes on to the last
// '@' there is: in a URL that is wrong a password may hold anything.
var userinfo = regexp.MustCompile(`://.*@`)

// Shown gives text without the names and passwords of the URLs within it.
// Configurations with such URLs are refused; a refusal is logged, and must not
// say more than the file, which few may read.
func Shown(text string) string { return userinfo.ReplaceAllString(text, "://…@") }

// Unwrap returns ErrInvalid, or ErrBusy.
func (e *Error) Unwrap() error { return kind(e.Busy) }

func kind(busy bool) error {
	if busy {
		return ErrBusy
	}
	return ErrInvalid
}

// FieldError is what Validate of a configuration struct returns about one
// field, which it names by its key.
type FieldError struct {
	Key  string // like "forward.url" or "sources[0].udp.listen"
	Got  string // may be empty
	Want string
	Busy bool // as in Error
}

// Error gives "key: got x, expected y".
func (e *FieldError) Error() string {
	return strings.TrimPrefix((&Error{Key: e.Key, Got: e.Got, Want: e.Want}).Error(), ": ")
}

// Unwrap returns ErrInvalid, or ErrBusy.
func (e *FieldError) Unwrap() error { return kind(e.Busy) }

// Problems gathers what is wrong with a struct; the zero value is ready.
type Problems struct{ errs []error }

// Add notes that the field under key is wrong unless ok.
func (p *Problems) Add(ok bool, key, got, want string) {
	if !ok {
		p.errs = append(p.errs, &FieldError{Key: key, Got: got, Want: want})
	}
}

// Err gives all problems as one error, nil for none.
func (p *Problems) Err() error { return errors.Join(p.errs...) }
