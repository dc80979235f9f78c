package registryclient

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What is no tag is not passed on: a terminal would obey it.
func TestTagsThatAreNone(t *testing.T) {
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		_ = json.NewEncoder(w).Encode(map[string]any{"tags": []string{"v1", "\x1b[31mred", "a\nb", "", strings.Repeat("x", 129), "../v", "V2_.-"}})
		return true
	}
	var warned, got []string
	r := f.repository(t, func(o *Options) { o.Warn = func(m string) { warned = append(warned, m) } })
	for range 2 {
		got = nil
		for tag, err := range r.Tags(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, tag)
		}
	}
	if !slices.Equal(got, []string{"v1", "V2_.-"}) || len(warned) != 1 || strings.ContainsAny(warned[0], "\x1b\n") {
		t.Errorf("tags %q, warned %q", got, warned)
	}
}
