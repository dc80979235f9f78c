package client

import (
	"errors"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func TestParseWord(t *testing.T) {
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for word, want := range map[string]packWord{
		"x":                            {Value: "x"},
		"./x":                          {Value: "./x"},
		"sha256:" + hex:                {Value: "sha256:" + hex},
		"demo:v1":                      {Value: "demo:v1"},
		"localhost:5000/demo":          {Value: "localhost:5000/demo", Path: "localhost", Type: "5000/demo"},
		"x.json:json":                  {Value: "x.json:json", Path: "x.json", Type: "json"},
		"./a:b:text/plain":             {Value: "./a:b:text/plain", Path: "./a:b", Type: "text/plain"},
		"x:poem":                       {Value: "x:poem"},
		"x:":                           {Value: "x:"},
		":json":                        {Value: ":json"},
		"x:a/b/c":                      {Value: "x:a/b/c"},
		`C:\x`:                         {Value: `C:\x`},
		"config=x":                     {Key: "config", Value: "x"},
		"config=./x.json:config":       {Key: "config", Value: "./x.json:config", Path: "./x.json", Type: "config"},
		"linux/arm64=sha256:" + hex:    {Key: "linux/arm64", Value: "sha256:" + hex},
		"linux/arm/v7=demo@sha256:abc": {Key: "linux/arm/v7", Value: "demo@sha256:abc"},
		"Read-me_1.txt=a=b":            {Key: "Read-me_1.txt", Value: "a=b"},
		"./a=b":                        {Value: "./a=b"},
		"-a=b":                         {Value: "-a=b"},
		"=b":                           {Value: "=b"},
		"a b=c":                        {Value: "a b=c"},
		"a:b=c":                        {Value: "a:b=c"},
		"ä=c":                          {Value: "ä=c"},
	} {
		if got, err := parseWord(word); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", word, got, err, want)
		}
	}
	for _, word := range []string{"", "config="} {
		if _, err := parseWord(word); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func FuzzParseWord(f *testing.F) {
	for _, word := range []string{"", "x", "config=x", "./a=b", "x:json", "k=./p:text/plain", "linux/arm64=sha256:00", "a=b=c:d/e", "\xff=\x00:json"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		w, err := parseWord(word)
		if err != nil {
			if word != "" && !strings.HasSuffix(word, "=") {
				t.Fatalf("%q: %v", word, err)
			}
			return
		}
		if w.String() != word || w.Value == "" {
			t.Fatalf("%q became %+v", word, w)
		}
		if (w.Path == "") != (w.Type == "") || w.Path != "" && w.Path+":"+w.Type != w.Value {
			t.Fatalf("%q: %+v is no PATH:TYPE", word, w)
		}
		if _, err := oci.ParseMediaType(w.Type); w.Type != "" && err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		if w.Key != "" && !isKey(w.Key) {
			t.Fatalf("%q: %q is no key", word, w.Key)
		}
		// A path that says where it is has no key, whatever is in it.
		if dotted, err := parseWord("./" + word); err != nil || dotted.Key != "" {
			t.Fatalf("./%q: %+v, %v", word, dotted, err)
		}
	})
}
