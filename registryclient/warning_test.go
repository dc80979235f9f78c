package registryclient

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"dist.example/oci"
)

func TestWarnings(t *testing.T) {
	long := strings.Repeat("x", maxWarnings)
	for name, c := range map[string]struct{ headers, want []string }{
		"one":                     {[]string{`299 - "old image"`}, []string{"old image"}},
		"several":                 {[]string{`299 - "a"`, `299 - "b"`}, []string{"a", "b"}},
		"quoted":                  {[]string{`299 - "say \"a\\b\""`}, []string{`say "a\b"`}},
		"for a terminal":          {[]string{"299 - \"red \x1b[31m\""}, []string{"red [31m"}},
		"another code":            {[]string{`110 - "stale"`, `199 - "misc"`, `2990 - "x"`}, nil},
		"another agent":           {[]string{`299 example.org "x"`}, nil},
		"a date behind it":        {[]string{`299 - "x" "Sat, 25 Aug 2012 23:34:45 GMT"`}, nil},
		"no end":                  {[]string{`299 - "x`, `299 - "x\"`, `299 - `, ``}, nil},
		"empty":                   {[]string{`299 - ""`}, nil},
		"too long":                {[]string{`299 - "` + long + `"`, `299 - "short"`}, []string{"short"}},
		"too long taken together": {[]string{`299 - "` + long[:4000] + `"`, `299 - "` + long[:200] + `"`}, []string{long[:4000]}},
	} {
		if got := warnings(c.headers); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzWarnings(f *testing.F) {
	f.Add(`299 - "old image"`)
	f.Add(`299 - "say \"a\\b\""`)
	f.Add("299 - \"\x00\xff\\")
	f.Fuzz(func(t *testing.T, header string) {
		for _, w := range warnings([]string{header}) {
			if len(w) > maxWarnings || !utf8.ValidString(w) && utf8.ValidString(header) ||
				strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
				t.Errorf("%q", w)
			}
		}
	})
}

func TestARegistrysWarningIsPassedOnOnce(t *testing.T) {
	f := newFake(t)
	f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	elsewhere := newFake(t)
	elsewhere.manifests = f.manifests
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		w.Header().Add("Warning", `299 - "this repository moves"`)
		w.Header().Add("Warning", `110 - "stale"`)
		if r.Method == http.MethodGet {
			http.Redirect(w, r, elsewhere.url.String()+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}
		return false
	}
	elsewhere.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Warning", `299 - "I am not your registry"`)
		return false
	}
	var (
		mu   sync.Mutex
		said []string
	)
	r := f.repository(t, func(o *Options) {
		o.Warn = func(m string) { mu.Lock(); defer mu.Unlock(); said = append(said, m) }
	})
	for range 2 {
		if _, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.FetchManifest(context.Background(), oci.Reference{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
	}
	if want := fmt.Sprintf("%s says: this repository moves", f.url.Host); !slices.Equal(said, []string{want}) {
		t.Errorf("%q, want %q once", said, want)
	}
}
