package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"dist.example/content"
)

// chartMeta is what a chart says of itself, in the order in which Helm writes it.
type chartMeta struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	APIVersion  string `json:"apiVersion,omitempty"`
	AppVersion  string `json:"appVersion,omitempty"`
	Type        string `json:"type,omitempty"`
}

// parseChart reads the fields of chartMeta from a Chart.yaml. It knows of YAML what
// those fields are written in: a key at the beginning of a line and, on the same
// line, a plain or quoted scalar. All else in the document is passed over. A field
// in another form is left out, but for name and version: ErrUnsupported. Errors
// besides: ErrInvalid for a field that stands twice, for a document without name or
// version, and for what is not UTF-8.
func parseChart(data []byte) (chartMeta, error) {
	var m chartMeta
	if !utf8.Valid(data) {
		return m, fmt.Errorf("%w: not UTF-8", content.ErrInvalid)
	}
	fields := map[string]*string{
		"name": &m.Name, "version": &m.Version, "description": &m.Description,
		"apiVersion": &m.APIVersion, "appVersion": &m.AppVersion, "type": &m.Type,
	}
	odd, seen := map[string]bool{}, map[string]bool{}
	last := "" // the field that lines which are indented belong to
	for i, line := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		line = strings.TrimRight(line, " \t\r")
		switch {
		case line == "" || strings.HasPrefix(strings.TrimLeft(line, " \t"), "#"):
			continue
		case line == "---" && len(seen) == 0:
			continue
		case line == "---" || line == "...":
			return m.checked(odd)
		case strings.ContainsAny(line[:1], " \t-"):
			odd[last] = true
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		last = key
		field, known := fields[key]
		if seen[key] && known {
			return m, fmt.Errorf("line %d: %w: %s stands there twice", i+1, content.ErrInvalid, key)
		}
		seen[key] = true
		if known {
			text, ok := scalar(value)
			*field, odd[key] = text, !ok
		}
	}
	return m.checked(odd)
}

// checked leaves out the fields that could not be read, and asks for those that have
// to be there.
func (m chartMeta) checked(odd map[string]bool) (chartMeta, error) {
	for _, f := range []struct {
		key   string
		value *string
	}{{"name", &m.Name}, {"version", &m.Version}} {
		switch {
		case odd[f.key]:
			return m, fmt.Errorf("%w: its %s is not on one line, plain or quoted", content.ErrUnsupported, f.key)
		case *f.value == "":
			return m, fmt.Errorf("%w: it has no %s", content.ErrInvalid, f.key)
		}
	}
	for key, field := range map[string]*string{
		"description": &m.Description, "apiVersion": &m.APIVersion, "appVersion": &m.AppVersion, "type": &m.Type,
	} {
		if odd[key] {
			*field = ""
		}
	}
	return m, nil
}

// scalar reads what stands behind the colon of a key: a plain scalar, or one in
// single or double quotes, perhaps with a comment behind it. false is for any other
// form.
func scalar(s string) (string, bool) {
	if s != "" && s[0] != ' ' && s[0] != '\t' {
		return "", false // the colon is part of the key
	}
	s = strings.TrimLeft(s, " \t")
	switch {
	case s == "" || s[0] == '#':
		return "", true
	case s[0] == '"':
		return doubleQuoted(s)
	case s[0] == '\'':
		return singleQuoted(s[1:])
	case strings.ContainsAny(s[:1], "|>&*!%@`{}[],?-:"):
		return "", false
	}
	for _, comment := range []string{" #", "\t#"} {
		s, _, _ = strings.Cut(s, comment)
	}
	s = strings.TrimRight(s, " \t")
	if s == "~" || s == "null" {
		return "", true
	}
	return s, !strings.Contains(s, ": ") && !strings.HasSuffix(s, ":")
}

// doubleQuoted reads what is both YAML's and JSON's.
func doubleQuoted(s string) (string, bool) {
	dec := json.NewDecoder(strings.NewReader(s))
	var text string
	if err := dec.Decode(&text); err != nil {
		return "", false
	}
	return text, isComment(s[dec.InputOffset():])
}

func singleQuoted(s string) (string, bool) {
	var text strings.Builder
	for {
		part, rest, ok := strings.Cut(s, "'")
		if !ok {
			return "", false
		}
		text.WriteString(part)
		if !strings.HasPrefix(rest, "'") {
			return text.String(), isComment(rest)
		}
		text.WriteByte('\'')
		s = rest[1:]
	}
}

// isComment says whether nothing but a comment is left of a line.
func isComment(s string) bool {
	rest := strings.TrimLeft(s, " \t")
	return rest == "" || rest[0] == '#' && rest != s
}
