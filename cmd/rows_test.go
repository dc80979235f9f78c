package cmd

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"iter"
	"math"
	"reflect"
	"strings"
	"testing"
)

func rowsOf(rows ...[]any) iter.Seq2[[]any, error] { return each(rows) }

func TestRowsAsCSVAreReadBack(t *testing.T) {
	rows := [][]any{{"a,b", `q"q`, "two\nlines", " blank"}, {"", int64(-1), 2.0, []byte{0, 255}}, {nil, "é", math.Inf(-1), "plain"}}
	var out bytes.Buffer
	if err := printCSV(&out, []string{"a", "b,c", "d", "e"}, rowsOf(rows...)); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(&out).ReadAll()
	want := [][]string{{"a", "b,c", "d", "e"}, {"a,b", `q"q`, "two\nlines", " blank"}, {"", "-1", "2.0", "00ff"}, {"", "é", "-Inf", "plain"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRowsAsJSONHaveEachKeyOnce(t *testing.T) {
	for _, names := range [][]string{{"a", "a", "a"}, {"version", "version"}, {"a", "a_2", "a"}, {"a", "a", "a_2"}, {"", ""}} {
		seen := map[string]bool{"version": true}
		for _, key := range rowKeys(names) {
			if seen[key] {
				t.Errorf("%q: %q comes twice", names, key)
			}
			seen[key] = true
		}
	}
}

func TestRowsAsJSONAreValid(t *testing.T) {
	row := []any{nil, int64(math.MinInt64), 1e300, math.Inf(1), "\u009b31m\x1b\xff", []byte{1}}
	p, err := marshal(answerJSON{rowKeys([]string{"n", "i", "r", "f", "\u0085s", "b"}), row})
	if err != nil || !json.Valid(p) {
		t.Fatalf("%s, %v", p, err)
	}
	if strings.ContainsFunc(string(p), func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }) {
		t.Errorf("control characters in %q", p)
	}
}
