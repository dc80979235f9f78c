package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// StrictJSON reads JSON of a known form, value by value, and says in which line it
// is not that. It is for documents that somebody relies on, such as rules and
// policies: a key that stands twice is refused, and so should callers refuse one
// that they do not know (Fail), since whoever wrote it takes it for one that counts.
// All its errors are ErrInvalid. It is not safe for concurrent use.
type StrictJSON struct {
	data []byte
	dec  *json.Decoder
}

// NewStrictJSON reads data, which holds one value.
func NewStrictJSON(data []byte) *StrictJSON {
	return &StrictJSON{data, json.NewDecoder(bytes.NewReader(data))}
}

// Fail is an error about what was read last.
func (r *StrictJSON) Fail(format string, args ...any) error {
	line := 1 + bytes.Count(r.data[:r.dec.InputOffset()], []byte("\n"))
	return fmt.Errorf("%w: line %d: %s", ErrInvalid, line, fmt.Sprintf(format, args...))
}

func (r *StrictJSON) token() (json.Token, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, r.Fail("not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return tok, nil
}

func (r *StrictJSON) open(d json.Delim, what string) error {
	tok, err := r.token()
	if err == nil && tok != d {
		err = r.Fail("want %s", what)
	}
	return err
}

// Object reads an object; field reads the value of each key.
func (r *StrictJSON) Object(field func(key string) error) error {
	if err := r.open('{', "an object"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for r.dec.More() {
		tok, err := r.token()
		if err != nil {
			return err
		}
		key, _ := tok.(string) // the decoder takes nothing else for a key
		if seen[key] {
			return r.Fail("key %.40q stands twice", key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// List reads a list; item reads each element.
func (r *StrictJSON) List(item func() error) error {
	if err := r.open('[', "a list"); err != nil {
		return err
	}
	for r.dec.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// Text reads a text that is not empty.
func (r *StrictJSON) Text() (string, error) {
	tok, err := r.token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok || s == "" {
		return "", r.Fail("want a text")
	}
	return s, nil
}

// Texts reads a list of such texts.
func (r *StrictJSON) Texts() (all []string, err error) {
	err = r.List(func() error {
		s, err := r.Text()
		all = append(all, s)
		return err
	})
	return all, err
}

// Value reads a value of any form as it stands: an object in which no key stands
// twice, a list, a text, a number, true, false or null.
func (r *StrictJSON) Value() (json.RawMessage, error) {
	var raw json.RawMessage
	if err := r.dec.Decode(&raw); err != nil {
		return nil, r.Fail("not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if err := checkValue(json.NewDecoder(bytes.NewReader(raw)), once); err != nil {
		return nil, r.Fail("%s", strings.TrimPrefix(err.Error(), ErrInvalid.Error()+": "))
	}
	return raw, nil
}

// Bool reads true or false.
func (r *StrictJSON) Bool() (bool, error) {
	tok, err := r.token()
	if err != nil {
		return false, err
	}
	b, ok := tok.(bool)
	if !ok {
		return false, r.Fail("want true or false")
	}
	return b, nil
}

// End refuses anything after the value.
func (r *StrictJSON) End() error {
	if _, err := r.dec.Token(); err != io.EOF {
		return r.Fail("something follows the object")
	}
	return nil
}

const (
	// minPart is how many bytes a key or an element takes at least, on average, of JSON
	// with more than freeParts of them. Lists of digests have more.
	minPart   = 24
	freeParts = 4096
)

// CheckSparse refuses JSON that is little more than brackets and commas: once read, it
// would take a hundred times its length. It is for documents of which digests are the
// greater part, before anybody has vouched for them. Errors: ErrInvalid.
func CheckSparse(data []byte) error {
	parts := 0
	for _, mark := range []string{",", "{", "["} {
		parts += bytes.Count(data, []byte(mark))
	}
	if parts > freeParts+len(data)/minPart {
		return fmt.Errorf("%w: %d parts in %d bytes are more than anybody writes", ErrInvalid, parts, len(data))
	}
	return nil
}
