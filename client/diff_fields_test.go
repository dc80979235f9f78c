package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func fieldsOf(t *testing.T, a, b string) string {
	t.Helper()
	x, err := decodeJSON([]byte(a))
	if err != nil {
		t.Fatal(err)
	}
	y, err := decodeJSON([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, c := range fieldChanges(x, y) {
		found = append(found, fmt.Sprintf("%s %s>%s", c.Path, c.Old, c.New))
	}
	return strings.Join(found, ", ")
}

func TestFieldChangesAreTheSmallest(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{`{"a":1,"b":[1,{"c":"x"}]}`, ` {"b":[1,{"c":"x"}], "a":1}`, ""},
		{`{"a":1}`, `{"a":1.0}`, "a 1>1.0"},
		{`{"a":12345678901234567890}`, `{"a":12345678901234567891}`, "a 12345678901234567890>12345678901234567891"},
		{`{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":2,"d":3}}}`, "a.b.c 1>2, a.b.d >3"},
		{`{"a":[1,2,3]}`, `{"a":[1,4]}`, "a[1] 2>4, a[2] 3>"},
		{`{"a":null}`, `{}`, "a null>"},
		{`{"a":{}}`, `{"a":[]}`, "a {}>[]"},
		{`{"x.y":"<1>"}`, `{"x.y":"&"}`, `["x.y"] "<1>">"&"`},
		{`{"a":{"1":1,"":2}}`, `{"a":{}}`, `a[""] 2>, a["1"] 1>`},
		{`1`, `"1"`, ` 1>"1"`},
	} {
		if got := fieldsOf(t, tc.a, tc.b); got != tc.want {
			t.Errorf("%s and %s: %q, want %q", tc.a, tc.b, got, tc.want)
		}
	}
}

// Documents differ if and only if there is a change, and the way back is the same.
func FuzzFieldChanges(f *testing.F) {
	f.Add(`{"a":[1,{"b":null}]}`, `{"a":[1,{"b":"x"}],"c":true}`)
	f.Add(`[]`, `{}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := decodeJSON([]byte(a))
		if err != nil {
			return
		}
		y, err := decodeJSON([]byte(b))
		if err != nil {
			return
		}
		there, back := fieldChanges(x, y), fieldChanges(y, x)
		if same := string(encodeJSON(x)) == string(encodeJSON(y)); same != (len(there) == 0) || len(there) != len(back) {
			t.Fatalf("%s and %s: %v, %v", a, b, there, back)
		}
		for i, c := range there {
			if c.Path != back[i].Path || string(c.Old) != string(back[i].New) {
				t.Fatalf("%+v is not the opposite of %+v", c, back[i])
			}
			for _, v := range []json.RawMessage{c.Old, c.New} {
				if v != nil && !json.Valid(v) {
					t.Fatalf("%q is no JSON", v)
				}
			}
		}
	})
}
