package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Document is a JSON object that is changed in places and else stays what it was:
// its fields keep their order, and those that nobody here knows keep their values
// to the byte, but for blanks between them. It is not safe for concurrent use.
type Document struct {
	fields []field
}

type field struct {
	key   string
	value json.RawMessage
}

// ParseDocument reads an object. It refuses (ErrInvalid) what is none, a key that
// stands twice at any depth, and, at the top, one of keys in another case: of two
// readers one would see that field and one would not.
func ParseDocument(data []byte, keys ...string) (*Document, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, fmt.Errorf("document: %w: not JSON", ErrInvalid)
	}
	if err := checkValue(json.NewDecoder(bytes.NewReader(data)), once); err != nil {
		return nil, fmt.Errorf("document: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("document: %w: not a JSON object", ErrInvalid)
	}
	d := &Document{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("document: %w: %v", ErrInvalid, err)
		}
		f := field{}
		f.key, _ = tok.(string) // valid JSON has no other keys
		if err := dec.Decode(&f.value); err != nil {
			return nil, fmt.Errorf("document: %w: %v", ErrInvalid, err)
		}
		for _, k := range keys {
			if f.key != k && strings.EqualFold(f.key, k) {
				return nil, fmt.Errorf("document: %w: key %q is not %q", ErrInvalid, f.key, k)
			}
		}
		d.fields = append(d.fields, f)
	}
	return d, nil
}

// Get decodes the field into v and says whether there is one; null counts as
// none. Errors: ErrInvalid for a field of another type than v's.
func (d *Document) Get(key string, v any) (bool, error) {
	f := d.find(key)
	if f == nil || string(f.value) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(f.value, v); err != nil {
		return false, fmt.Errorf("document: %w: field %q: %v", ErrInvalid, key, err)
	}
	return true, nil
}

// Set gives the field the value v, which marshals; a new field goes to the end.
func (d *Document) Set(key string, v any) error {
	value, err := marshal(v)
	if err != nil {
		return fmt.Errorf("document: field %q: %w", key, err)
	}
	if f := d.find(key); f != nil {
		f.value = value
		return nil
	}
	d.fields = append(d.fields, field{key, value})
	return nil
}

// AppendTo adds items to the end of the list in d's field key, and makes it where
// there is none. What is in the list stays as it is. Errors: ErrInvalid for a field
// that is no list.
func AppendTo[T any](d *Document, key string, items []T) error {
	var list []json.RawMessage
	if _, err := d.Get(key, &list); err != nil {
		return err
	}
	for _, v := range items {
		item, err := marshal(v)
		if err != nil {
			return fmt.Errorf("document: field %q: %w", key, err)
		}
		list = append(list, item)
	}
	return d.Set(key, list)
}

// SetIn sets fields of the object in d's field key, in the order of their names, and
// makes it where there is none. What else is in it stays as it is. Nothing to set
// changes nothing. Errors: ErrInvalid for a field that is no object.
func SetIn[T any](d *Document, key string, fields map[string]T) error {
	if len(fields) == 0 {
		return nil
	}
	raw := json.RawMessage("{}")
	if _, err := d.Get(key, &raw); err != nil {
		return err
	}
	in, err := ParseDocument(raw)
	if err != nil {
		return fmt.Errorf("document: field %q: %w", key, err)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if err := in.Set(name, fields[name]); err != nil {
			return err
		}
	}
	return d.Set(key, in)
}

// Delete takes the field out, if it is there.
func (d *Document) Delete(key string) {
	for i := range d.fields {
		if d.fields[i].key == key {
			d.fields = append(d.fields[:i], d.fields[i+1:]...)
			return
		}
	}
}

func (d *Document) find(key string) *field {
	for i := range d.fields {
		if d.fields[i].key == key {
			return &d.fields[i]
		}
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (d *Document) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range d.fields {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := marshal(f.key)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(f.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// marshal is json.Marshal without the escapes that are for HTML.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Encode writes a manifest, an index, a configuration or a Document as the bytes
// that are stored, and describes them: JSON indented by two blanks with a line feed
// at the end, meant to be read; & and < are not escaped. A manifest or index is held
// to what every reader asks of it (see Successors): ErrInvalid.
func Encode(mediaType string, v any) ([]byte, Descriptor, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	if _, err := Successors(mediaType, b.Bytes()); err != nil {
		return nil, Descriptor{}, err
	}
	return b.Bytes(), Describe(mediaType, b.Bytes()), nil
}

// Describe is the descriptor of data.
func Describe(mediaType string, data []byte) Descriptor {
	return Descriptor{MediaType: mediaType, Digest: DigestBytes(data), Size: int64(len(data))}
}
