package client

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"dist.example/content"
)

func TestParseChart(t *testing.T) {
	const least = "name: n\nversion: 1.0.0\n"
	for yaml, want := range map[string]chartMeta{
		least: {Name: "n", Version: "1.0.0"},
		"---\n# c\napiVersion: v2\r\nname:\tn\nversion:   '1''0'  # c\nappVersion: \"1\\u0031\"\t#c\ntype: library\n": {
			Name: "n", Version: "1'0", APIVersion: "v2", AppVersion: "11", Type: "library",
		},
		least + "description: a#b c # d\n":                           {Name: "n", Version: "1.0.0", Description: "a#b c"},
		least + "description: http://x.example/a:b\n":                {Name: "n", Version: "1.0.0", Description: "http://x.example/a:b"},
		least + "description: |\n  two\n  lines\ntype: a\n":          {Name: "n", Version: "1.0.0", Type: "a"},
		least + "description: two\n  lines\n":                        {Name: "n", Version: "1.0.0"},
		least + "description: &anchor x\ntype: !!str x\n":            {Name: "n", Version: "1.0.0"},
		least + "description: \"open\n  end\"\n":                     {Name: "n", Version: "1.0.0"},
		least + "description: 'x' y\n":                               {Name: "n", Version: "1.0.0"},
		least + "description: null\nappVersion: ~\ntype:\n":          {Name: "n", Version: "1.0.0"},
		least + "dependencies:\n- name: x\n  version: 2\nfoo:bar\n":  {Name: "n", Version: "1.0.0"},
		"description: x\n  \n# c\n\n" + least + "...\nname: other\n": {Name: "n", Version: "1.0.0", Description: "x"},
		"\ufeff" + least + "---\nname: other\n":                      {Name: "n", Version: "1.0.0"},
	} {
		got, err := parseChart([]byte(yaml))
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", yaml, got, err)
		}
	}
	for yaml, class := range map[string]error{
		"":                                   content.ErrInvalid,
		"name: n\n":                          content.ErrInvalid,
		"name: n\nversion:\n":                content.ErrInvalid,
		least + "name: m\n":                  content.ErrInvalid,
		least + "name: \xff\n":               content.ErrInvalid,
		"name: n\nversion: >\n 1\n":          content.ErrUnsupported,
		"name: n\nversion: 1\n 2\n":          content.ErrUnsupported,
		"name: {a: b}\nversion: 1\n":         content.ErrUnsupported,
		"name: a: b\nversion: 1\n":           content.ErrUnsupported,
		"name: *a\nversion: 1\n":             content.ErrUnsupported,
		"name: \"a\\x41\"\nversion: 1\n":     content.ErrUnsupported,
		"name: 'a\nversion: 1\n":             content.ErrUnsupported,
		"name:n\nversion: 1\nversion: 1\n":   content.ErrInvalid,
		"name: [\nversion: 1\n":              content.ErrUnsupported,
		"  name: indented\nversion: 1\nx: 1": content.ErrInvalid,
	} {
		if m, err := parseChart([]byte(yaml)); !errors.Is(err, class) {
			t.Errorf("%q: %+v, %v, want %v", yaml, m, err, class)
		}
	}
}

func FuzzParseChart(f *testing.F) {
	for _, seed := range []string{"name: n\nversion: 1\n", "name: 'a''b'\nversion: \"1\"\ntype: |\n x", "---\nname: n # c\nversion: 1\n...\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseChart(data)
		if err != nil {
			return
		}
		if m.Name == "" || m.Version == "" {
			t.Fatalf("%q: %+v", data, m)
		}
		out, err := json.Marshal(m)
		if err != nil || !utf8.Valid(out) || strings.ContainsRune(m.Name, '\n') && !strings.Contains(string(data), `\n`) {
			t.Fatalf("%q: %s, %v", data, out, err)
		}
	})
}
