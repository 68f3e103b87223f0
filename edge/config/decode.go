package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder walks YAML nodes and a struct side by side and gathers what is wrong.
type decoder struct {
	file *File
	errs []error
}

func (d *decoder) root(n *yaml.Node, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("parse configuration into %T: want a pointer to a struct", into)
	}
	d.value(n, "", v.Elem())
	return errors.Join(d.errs...)
}

func (d *decoder) fail(n *yaml.Node, key, got, want string) {
	d.errs = append(d.errs, &Error{File: d.file.Name, Line: n.Line, Key: key, Got: got, Want: want})
}

// wrong says that n is of another kind than wanted.
func (d *decoder) wrong(n *yaml.Node, key, want string) {
	got := ""
	switch n.Kind {
	case yaml.ScalarNode:
		got = strconv.Quote(n.Value)
	case yaml.MappingNode:
		got = "keys and values"
	case yaml.SequenceNode:
		got = "a list"
	}
	d.fail(n, key, got, want)
}

func (d *decoder) value(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, key, v.Elem())
		return
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" && v.Kind() != reflect.Struct {
		d.fail(n, key, "nothing", wanted(v))
		return
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || v.Kind() != reflect.Struct && v.Kind() != reflect.Slice {
		d.scalar(n, key, v)
		return
	}
	if v.Kind() == reflect.Slice {
		d.list(n, key, v)
		return
	}
	d.mapping(n, key, v)
}

func (d *decoder) list(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, key, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		k := fmt.Sprintf("%s[%d]", key, i)
		d.file.lines[k] = item.Line
		d.value(item, k, v.Index(i))
	}
}

func (d *decoder) mapping(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "udp:" alone: all defaults
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, key, "keys and values")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, item := n.Content[i], n.Content[i+1]
		k := name.Value
		if key != "" {
			k = key + "." + name.Value
		}
		d.file.lines[k] = name.Line
		field, known := fieldNamed(v, name.Value)
		switch {
		case !known:
			d.fail(name, k, "an unknown key", "one of "+strings.Join(keysOf(v.Type()), ", "))
		case seen[name.Value]:
			d.fail(name, k, "the key a second time", "it once")
		default:
			d.value(item, k, field)
		}
		seen[name.Value] = true
	}
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name && name != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keysOf lists a struct's keys, sorted.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if k := t.Field(i).Tag.Get("yaml"); k != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// wanted describes what a scalar field takes.
func wanted(v reflect.Value) string {
	switch v.Addr().Interface().(type) {
	case *time.Duration:
		return `a time with its unit, like 250ms, 30s or 5m`
	case *Bytes:
		return `a size with its unit, like 64KiB, 16MiB or 2GiB`
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "text"
}

func (d *decoder) scalar(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, key, wanted(v))
		return
	}
	var err error
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		*p, err = time.ParseDuration(n.Value)
		if err == nil && n.Value == "0" {
			err = ErrInvalid // no unit
		}
	case encoding.TextUnmarshaler:
		err = p.UnmarshalText([]byte(n.Value))
	default:
		err = d.basic(n, v)
	}
	if err != nil {
		d.fail(n, key, strconv.Quote(n.Value), wanted(v))
	}
}

// basic fills a text, a truth value or a number.
func (d *decoder) basic(n *yaml.Node, v reflect.Value) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
		return nil
	case reflect.Bool:
		if n.Tag != "!!bool" {
			return ErrInvalid
		}
		v.SetBool(n.Value == "true" || n.Value == "True" || n.Value == "TRUE")
		return nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		v.SetInt(i)
		return err
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		i, err := strconv.ParseUint(n.Value, 10, v.Type().Bits())
		v.SetUint(i)
		return err
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			err = ErrInvalid
		}
		v.SetFloat(f)
		return err
	}
	return fmt.Errorf("field of kind %s: %w", v.Kind(), errors.ErrUnsupported)
}
