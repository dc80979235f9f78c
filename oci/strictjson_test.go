package oci_test

import (
	"errors"
	"strings"
	"testing"

	"dist.example/oci"
)

func TestStrictJSONSaysWhereSomethingIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`:               "",
		`{"a":{"b":[1,null]}}`:  "",
		"{\n\"a\":1,\n\"a\":2}": `line 3: key "a" stands twice`,
		`{"a":{"b":1,"b":2}}`:   `key "b" stands twice`,
		`{"a":[{"b":1,"b":2}]}`: `key "b" stands twice`,
		`{"a":1} x`:             "something follows",
		`{"a":1}{}`:             "something follows",
		`[1]`:                   "want an object",
		`{"a":`:                 "not JSON",
		"{\"a\":1,\n}":          "line 2: not JSON",
	} {
		r := oci.NewStrictJSON([]byte(text))
		err := r.Object(func(string) error {
			_, err := r.Value()
			return err
		})
		if err == nil {
			err = r.End()
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (!errors.Is(err, oci.ErrInvalid) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestCheckSparseTellsWhatIsMadeToFillTheMemory(t *testing.T) {
	entry := `{"digest":"` + oci.DigestBytes(nil).String() + `","size":1},`
	for what, row := range map[string]struct {
		text string
		good bool
	}{
		"nothing":                  {"", true},
		"a short list":             {"[" + strings.Repeat("1,", 4000) + "1]", true},
		"many short elements":      {"[" + strings.Repeat("1,", 9000) + "1]", false},
		"many empty objects":       {"[" + strings.Repeat("{},", 9000) + "{}]", false},
		"many empty lists":         {"[" + strings.Repeat("[],", 9000) + "[]]", false},
		"many keys":                {"{" + strings.Repeat(`"k":1,`, 9000) + "}", false},
		"blobs":                    {"[" + strings.Repeat(entry, 9000) + "null]", true},
		"a long text without them": {`"` + strings.Repeat("x", 1<<20) + `"`, true},
	} {
		if err := oci.CheckSparse([]byte(row.text)); (err == nil) != row.good || err != nil && !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestKeysThatDifferInCaseAloneAreRefused(t *testing.T) {
	for text, good := range map[string]bool{
		`{"version":1,"blobs":[{"size":1}],"Size":2}`: true,
		`{"version":1,"Version":7}`:                   false,
		`{"a":[{"size":1,"\u017fize":2}]}`:            false,
		`{"a":1,"a":2}`:                               false,
	} {
		if err := oci.CheckFoldedKeys([]byte(text)); (err == nil) != good || err != nil && !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
