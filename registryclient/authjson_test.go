package registryclient

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestOnlyTheEntryChanges(t *testing.T) {
	entry := `{"auth":"bmV3"}`
	for name, c := range map[string]struct{ in, want string }{
		"a new file":            {"", "{\n\t\"auths\": {\n\t\t\"r.test\": " + entry + "\n\t}\n}\n"},
		"an empty object":       {`{}`, `{"auths": {"r.test": ` + entry + `}}`},
		"auths that are null":   {`{"auths":null}`, `{"auths":{"r.test": ` + entry + `}}`},
		"a neighbour":           {"{\n  \"auths\": {\n    \"a\": { \"auth\" :\"x\"}\n  }\n}", "{\n  \"auths\": {\n    \"a\": { \"auth\" :\"x\"},\n    \"r.test\": " + entry + "\n  }\n}"},
		"an older entry":        {`{ "auths" : {"r.test":{"auth":"b2xk","email":"e"} ,"b":{}},"x":1e2}`, `{ "auths" : {"r.test":` + entry + ` ,"b":{}},"x":1e2}`},
		"what nobody here uses": {`{"HttpHeaders":{"a":"b"},"detachKeys":"ctrl-e","auths":{}}`, `{"HttpHeaders":{"a":"b"},"detachKeys":"ctrl-e","auths":{"r.test": ` + entry + `}}`},
		"braces in strings":     {`{"x":"}{,","auths":{"a}":{"auth":"{"}}}`, `{"x":"}{,","auths":{"a}":{"auth":"{"},"r.test": ` + entry + `}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := setAuths([]byte(c.in), []string{"r.test"}, []byte(entry))
			if err != nil || string(got) != c.want {
				t.Errorf("%q, %v\nwant %q", got, err, c.want)
			}
		})
	}
}

func TestOnlyTheEntryGoes(t *testing.T) {
	for in, want := range map[string]string{
		`{"auths":{"r.test":{"auth":"x"}},"y":[1, 2]}`:        `{"auths":{},"y":[1, 2]}`,
		`{"auths":{ "r.test":{}, "b": {} }}`:                  `{"auths":{ "b": {} }}`,
		`{"auths":{"a":{},"r.test":{"auth":"x"}, "b": {} }}`:  `{"auths":{"a":{}, "b": {} }}`,
		`{"auths":{"r.test":{},"r.test":{"auth":"x"}}}`:       `{"auths":{}}`,
		`{"Auths":{"r.test":{"auth":"x"}},"auths":{"b":{} }}`: `{"Auths":{},"auths":{"b":{} }}`,
		`{"auths":{"b":{}}}`:                                  `{"auths":{"b":{}}}`,
		`{"credsStore":"x"}`:                                  `{"credsStore":"x"}`,
	} {
		got, err := dropAuths([]byte(in), []string{"r.test"})
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestWhatIsNoObjectIsNotTouched(t *testing.T) {
	for _, in := range []string{`[]`, `{`, `{"auths":{}`, `{"auths":{}} x`, `{"auths":[]}`, `{"auths":{"hunter2"}}`} {
		got, err := setAuths([]byte(in), []string{"k"}, []byte(`{}`))
		if err == nil || got != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
}

// FuzzAuthFile reads, changes and changes back what may be an auth file.
func FuzzAuthFile(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"auths":{}}`, newAuthFile, `{"auths":{"quay.io/team":{"auth":"YTpi"}},"credHelpers":{"r.test":"x"},"credsStore":"y"}`,
		"{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"YTpi\",\n\t\t\t\"identitytoken\": \"t\"\n\t\t}\n\t}\n}",
		`{"auths":{"r.test:443":{"username":"<token>","password":"p"}}}`, `{"auths":{"a":{},"a":null}}`, `{"AUTHS":{"\u0061":{}}}`, `{"auths":null,"auths":{}}`, `[1]`, `{"auths":{"a":[]}}`, `null`,
	} {
		f.Add([]byte(s), "r.test/team")
	}
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		if key == "" || strings.ToValidUTF8(key, "") != key {
			return
		}
		before, err := parseAuthFile("f", data)
		if err != nil {
			return
		}
		set, err := setAuths(data, []string{key}, []byte(`{"auth":"YW5uOnB3"}`))
		if err != nil {
			t.Fatalf("%q can be read and not be written: %v", data, err)
		}
		after, err := parseAuthFile("f", set)
		if err != nil || after.Auths[key].Auth != "YW5uOnB3" {
			t.Fatalf("%q became %q, which is %+v, %v", data, set, after, err)
		}
		gone, err := dropAuths(set, []string{key})
		if err != nil {
			t.Fatal(err)
		}
		end, err := parseAuthFile("f", gone)
		delete(before.Auths, key)
		if len(before.Auths)+len(end.Auths) > 0 && !reflect.DeepEqual(before, end) || err != nil || !json.Valid(gone) {
			t.Fatalf("%q became %q: %+v is %+v, %v", data, gone, before, end, err)
		}
		for key, entry := range end.Auths {
			_, _ = entry.credential("f", key)
			_ = after.helpers(key, "https", true)
		}
	})
}
