package registryclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"dist.example/content"
)

// newAuthFile is what a file begins with that was not there.
const newAuthFile = "{\n\t\"auths\": {}\n}\n"

// setAuths gives the entries of data, a docker config.json or a containers
// auth.json, one value. Every other byte stays as it is.
func setAuths(data []byte, keys []string, value []byte) ([]byte, error) {
	if text := bytes.TrimSpace(data); len(text) == 0 || string(text) == "null" {
		data = []byte(newAuthFile)
	}
	top, err := readObject(data)
	if err != nil {
		return nil, err
	}
	if top.find("auths") == nil {
		data = top.add("auths", []byte("{}"))
	}
	return editAuths(data, func(auths object) ([]byte, error) {
		for _, key := range keys {
			text := auths.add(key, value)
			if m := auths.find(key); m != nil {
				text = splice(auths.text, m.value, m.end, value)
			}
			if auths, err = readObject(text); err != nil {
				return nil, err
			}
		}
		return auths.text, nil
	})
}

// dropAuths takes entries away, however often they are there.
func dropAuths(data []byte, keys []string) ([]byte, error) {
	return editAuths(data, func(auths object) ([]byte, error) {
		for _, key := range keys {
			for m := auths.find(key); m != nil; m = auths.find(key) {
				var err error
				if auths, err = readObject(auths.remove(m)); err != nil {
					return nil, err
				}
			}
		}
		return auths.text, nil
	})
}

// editAuths changes every object called auths. A reader adds them up when there
// are several, and does not mind the case of their name.
func editAuths(data []byte, change func(object) ([]byte, error)) ([]byte, error) {
	top, err := readObject(data)
	if err != nil {
		return nil, err
	}
	for i := len(top.members) - 1; i >= 0; i-- {
		m := top.members[i]
		raw := top.text[m.value:m.end]
		if !strings.EqualFold(m.name, "auths") {
			continue
		}
		if string(raw) == "null" {
			raw = []byte("{}")
		}
		auths, err := readObject(raw)
		if err != nil {
			return nil, err
		}
		auths.outer = indentAt(data, m.start)
		changed, err := change(auths)
		if err != nil {
			return nil, err
		}
		data = splice(data, m.value, m.end, changed)
	}
	return data, nil
}

// object is the text of a JSON object and where its members are in it.
type object struct {
	text    []byte
	outer   string // the indent of the line it begins in, where that is not all of its text
	members []member
}

type member struct {
	name       string
	start      int // of the name's quote
	value, end int // of the value
}

var errNoObject = fmt.Errorf("%w: not a JSON object", content.ErrInvalid)

// readObject finds the members of text, which is an object and nothing else. Its
// errors do not quote it.
func readObject(text []byte) (object, error) {
	o := object{text: text}
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') || !json.Valid(text) {
		return o, errNoObject
	}
	for dec.More() {
		m := member{start: skip(text, int(dec.InputOffset()), " \t\r\n,")}
		name, err := dec.Token()
		if err != nil {
			return o, errNoObject
		}
		m.name, _ = name.(string)
		m.value = skip(text, int(dec.InputOffset()), " \t\r\n:")
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return o, errNoObject
		}
		m.end = int(dec.InputOffset())
		o.members = append(o.members, m)
	}
	return o, nil
}

func skip(text []byte, i int, cutset string) int {
	for i < len(text) && strings.IndexByte(cutset, text[i]) >= 0 {
		i++
	}
	return i
}

// find returns the last member of that name, which is the one that counts.
func (o object) find(name string) *member {
	for i := len(o.members) - 1; i >= 0; i-- {
		if o.members[i].name == name {
			return &o.members[i]
		}
	}
	return nil
}

// add returns the text with one more member, set out as the one before it, or as
// the lines around it.
func (o object) add(name string, value []byte) []byte {
	quoted, _ := json.Marshal(name) // a string always marshals
	if n := len(o.members); n > 0 {
		last := o.members[n-1]
		from := bytes.LastIndexAny(o.text[:last.start], ",{") + 1
		pair := joined(",", string(o.text[from:last.start]), string(quoted), ": ", string(value))
		return splice(o.text, last.end, last.end, pair)
	}
	open, end := bytes.IndexByte(o.text, '{'), bytes.LastIndexByte(o.text, '}')
	before, after := "", ""
	if o.outer != "" || bytes.ContainsRune(o.text, '\n') {
		before, after = "\n"+o.outer+"\t", "\n"+o.outer
	}
	return splice(o.text, open+1, end, joined(before, string(quoted), ": ", string(value), after))
}

func joined(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

// remove returns the text without m, and without the comma that it needed.
func (o object) remove(m *member) []byte {
	for i := range o.members {
		if &o.members[i] != m {
			continue
		}
		switch {
		case i > 0:
			return splice(o.text, o.members[i-1].end, m.end, nil)
		case len(o.members) > 1:
			return splice(o.text, m.start, o.members[1].start, nil)
		}
	}
	return splice(o.text, bytes.IndexByte(o.text, '{')+1, bytes.LastIndexByte(o.text, '}'), nil)
}

// splice returns text with what lies from begin to end replaced.
func splice(text []byte, begin, end int, with []byte) []byte {
	out := make([]byte, 0, len(text)+len(with))
	return append(append(append(out, text[:begin]...), with...), text[end:]...)
}

// indentAt is the white space that the line of text[at] begins with, "" for the
// first line.
func indentAt(text []byte, at int) string {
	line := bytes.LastIndexByte(text[:at], '\n')
	if line < 0 {
		return ""
	}
	return string(text[line+1 : skip(text, line+1, " \t")])
}
