package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"dist.example/content"
)

// reader reads JSON of a known form, and says in which line it is not that. A key
// that nobody knows or that stands twice is refused, since the reader of a rule
// would take it for one that counts.
type reader struct {
	data []byte
	dec  *json.Decoder
}

func newReader(data []byte) *reader {
	return &reader{data, json.NewDecoder(bytes.NewReader(data))}
}

// fail is an error about what was read last.
func (r *reader) fail(format string, args ...any) error {
	line := 1 + bytes.Count(r.data[:r.dec.InputOffset()], []byte("\n"))
	return fmt.Errorf("%w: line %d: %s", content.ErrInvalid, line, fmt.Sprintf(format, args...))
}

func (r *reader) token() (json.Token, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, r.fail("not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return tok, nil
}

func (r *reader) open(d json.Delim, what string) error {
	tok, err := r.token()
	if err == nil && tok != d {
		err = r.fail("want %s", what)
	}
	return err
}

// object reads an object; field reads the value of each key.
func (r *reader) object(field func(key string) error) error {
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
			return r.fail("key %.40q stands twice", key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

// list reads a list; item reads each element.
func (r *reader) list(item func() error) error {
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

func (r *reader) text() (string, error) {
	tok, err := r.token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok || s == "" {
		return "", r.fail("want a text")
	}
	return s, nil
}

func (r *reader) texts() (all []string, err error) {
	err = r.list(func() error {
		s, err := r.text()
		all = append(all, s)
		return err
	})
	return all, err
}

func (r *reader) boolean() (bool, error) {
	tok, err := r.token()
	if err != nil {
		return false, err
	}
	b, ok := tok.(bool)
	if !ok {
		return false, r.fail("want true or false")
	}
	return b, nil
}

// end refuses anything after the value.
func (r *reader) end() error {
	if _, err := r.dec.Token(); err != io.EOF {
		return r.fail("something follows the object")
	}
	return nil
}
