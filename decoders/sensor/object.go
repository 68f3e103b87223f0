package sensor

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// A JSON object is read into a tree whose size is bounded before it is built: of any
// number of fields MaxFields are, and a list stays as bytes, for no reading is in it.
// What is read is what encoding/json would: of two fields of one name the last counts.

// MaxFields bounds the fields of a JSON payload, in all its objects together and
// without those in lists.
const MaxFields = 4 * MaxReadings

// list is a list as it stands in the payload.
type list []byte

// object reads a payload that is one JSON object; reason: why it cannot be read.
func object(payload []byte) (fields map[string]any, reason string) {
	// This bounds the depth to 10,000, too.
	if !json.Valid(payload) {
		return nil, RejectNoJSON
	}
	p := parser{rest: payload}
	if p.space(); len(p.rest) == 0 || p.rest[0] != '{' {
		return nil, RejectNoJSON
	}
	if fields = p.object(); p.fields > MaxFields {
		return nil, RejectTooManyFields
	}
	return fields, ""
}

// parser reads what is known to be valid JSON.
type parser struct {
	rest   []byte
	fields int
}

func (p *parser) space() { p.rest = bytes.TrimLeft(p.rest, " \t\r\n") }

// object reads an object. Beyond MaxFields it ends early.
func (p *parser) object() map[string]any {
	all := map[string]any{}
	for p.rest = p.rest[1:]; p.fields <= MaxFields; p.rest = p.rest[1:] { // { or ,
		p.space()
		if p.rest[0] == '}' {
			break
		}
		if p.fields++; p.fields > MaxFields {
			return nil
		}
		name := text(p.take(stringEnd(p.rest)))
		p.space()
		p.rest = p.rest[1:] // :
		all[name] = p.value()
		if p.fields > MaxFields {
			return nil
		}
		p.space()
		if p.rest[0] == '}' {
			break
		}
	}
	p.rest = p.rest[1:]
	return all
}

// value reads a value.
func (p *parser) value() any {
	p.space()
	switch p.rest[0] {
	case '{':
		return p.object()
	case '[':
		return list(p.take(listEnd(p.rest)))
	case '"':
		return text(p.take(stringEnd(p.rest)))
	}
	switch word := p.take(wordEnd(p.rest)); word[0] {
	case 't', 'f':
		return word[0] == 't'
	case 'n':
		return nil
	default:
		return json.Number(word)
	}
}

func (p *parser) take(n int) []byte {
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

// stringEnd returns the length of the string that p begins with.
func stringEnd(p []byte) int {
	for i := 1; ; i++ {
		switch p[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// listEnd returns the length of the list that p begins with.
func listEnd(p []byte) int {
	for i, depth := 0, 0; ; {
		switch p[i] {
		case '"':
			i += stringEnd(p[i:])
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// wordEnd returns the length of the number or word that p begins with.
func wordEnd(p []byte) int {
	if i := bytes.IndexAny(p, ",]} \t\r\n"); i >= 0 {
		return i
	}
	return len(p)
}

// text reads a string with its quotes.
func text(quoted []byte) string {
	inside := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return string(inside)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}

// whole returns a value that is no scalar as encoding/json would read it; false: the
// lists in it are together too large for a text.
func whole(v any) (any, bool) {
	room := 2 * MaxTextBytes
	return wholeWithin(v, &room)
}

func wholeWithin(v any, room *int) (any, bool) {
	switch v := v.(type) {
	case list:
		if *room -= len(v); *room < 0 {
			return nil, false
		}
		dec := json.NewDecoder(bytes.NewReader(v))
		dec.UseNumber()
		var all []any
		err := dec.Decode(&all)
		return all, err == nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, inner := range v {
			read, ok := wholeWithin(inner, room)
			if !ok {
				return nil, false
			}
			all[name] = read
		}
		return all, true
	}
	return v, true
}
