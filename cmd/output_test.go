package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"dist.example/oci"
)

type fruit struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

func fruits(err error, list ...fruit) iter.Seq2[fruit, error] {
	return func(yield func(fruit, error) bool) {
		for _, f := range list {
			if !yield(f, nil) {
				return
			}
		}
		if err != nil {
			yield(fruit{}, err)
		}
	}
}

var fruitListing = listing[fruit]{
	key: "fruits", columns: columns("NAME", "SIZE|"),
	row:    func(f fruit) []string { return []string{f.Name, oci.HumanSize(f.Size)} },
	id:     func(f fruit) string { return f.Name },
	object: func(f fruit) any { return f },
}

func TestListFormats(t *testing.T) {
	for _, tc := range []struct {
		format string
		quiet  bool
		want   string
	}{
		{"table", false, "NAME     SIZE\nfig       3 B\ncherry  1.0 KiB\n"},
		{"", true, "fig\ncherry\n"},
		{"json", false, "{\"version\":1,\"fruits\":[\n  {\"name\":\"fig\",\"size\":3},\n  {\"name\":\"cherry\",\"size\":1024}\n]}\n"},
		{"jsonl", false, "{\"version\":1,\"name\":\"fig\",\"size\":3}\n{\"version\":1,\"name\":\"cherry\",\"size\":1024}\n"},
		{"go-template={{.name}} is {{size .size}}", false, "fig is 3 B\ncherry is 1.0 KiB\n"},
	} {
		if tc.format == "table" {
			tc.want = "NAME       SIZE\nfig         3 B\ncherry  1.0 KiB\n"
		}
		got, err := printFruits(tc.format, tc.quiet, fruits(nil, fruit{"fig", 3}, fruit{"cherry", 1024}))
		if err != nil || got != tc.want {
			t.Errorf("%s:\n got %q, %v\nwant %q", tc.format, got, err, tc.want)
		}
	}
}

func printFruits(format string, quiet bool, items iter.Seq2[fruit, error]) (string, error) {
	var f outputFormat
	if err := f.UnmarshalText([]byte(format)); err != nil {
		return "", err
	}
	var b bytes.Buffer
	err := printList(&b, f, quiet, fruitListing, items)
	return b.String(), err
}

func TestAnEmptyListIsStillADocument(t *testing.T) {
	if got, err := printFruits("json", false, fruits(nil)); err != nil || got != "{\"version\":1,\"fruits\":[]}\n" {
		t.Errorf("json: %q, %v", got, err)
	}
	if got, err := printFruits("table", false, fruits(nil)); err != nil || got != "NAME  SIZE\n" {
		t.Errorf("table: %q, %v", got, err)
	}
}

func TestAListCutShortIsNoDocument(t *testing.T) {
	broken := errors.New("broken")
	got, err := printFruits("json", false, fruits(broken, fruit{"fig", 3}))
	if !errors.Is(err, broken) || strings.Contains(got, "]}") {
		t.Errorf("json: %q, %v, want an open document and the error", got, err)
	}
	if got, err := printFruits("table", false, fruits(broken, fruit{"fig", 3})); !errors.Is(err, broken) || !strings.Contains(got, "fig") {
		t.Errorf("table: %q, %v, want what came before the error", got, err)
	}
}

// What cannot be read is refused before anything is done. What does not fit shows when all
// has been done, and is no mistake of usage then.
func TestTemplatesThatDoNotFit(t *testing.T) {
	var f outputFormat
	err := f.UnmarshalText([]byte("go-template={{.name"))
	if want := "the template cannot be read: unclosed action"; classify(err).exit != exitUsage || err.Error() != want {
		t.Errorf("%v, want %q before anything is done", err, want)
	}
	_, err = printFruits("go-template={{.nmae}}", false, fruits(nil, fruit{"fig", 3}))
	if want := `the template does not fit: there is no field "nmae"`; classify(err).exit != exitUnclassified || err.Error() != want {
		t.Errorf("%v, want %q, of no class", err, want)
	}
}

func TestATemplateIsForOneResultToo(t *testing.T) {
	var b bytes.Buffer
	err := printObject(&b, outputFormat{"go-template", "{{.name}} of {{size .size}}"}, map[string]any{"name": "fig", "size": 3}, nil)
	if err != nil || b.String() != "fig of 3 B\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestObjectFormats(t *testing.T) {
	for format, want := range map[string]string{
		"table": "a fruit\n",
		"json":  "{\n  \"version\": 1,\n  \"name\": \"<fig>\",\n  \"size\": 3\n}\n",
		"jsonl": "{\"version\":1,\"name\":\"<fig>\",\"size\":3}\n",
	} {
		var b bytes.Buffer
		err := printObject(&b, outputFormat{kind: format}, fruit{"<fig>", 3}, line("a fruit"))
		if err != nil || b.String() != want {
			t.Errorf("%s: %q, %v, want %q", format, b.String(), err, want)
		}
	}
}

func TestTableCellsCannotSteerTheTerminal(t *testing.T) {
	got, err := printFruits("table", false, fruits(nil, fruit{"f\x1b[2Ji\ng", 3}))
	if err != nil || strings.ContainsRune(got, 0x1b) || strings.Count(got, "\n") != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLongTablesStream(t *testing.T) {
	var b bytes.Buffer
	tab := newTable(&b, columns("N"))
	for range tableLookahead + 5000 {
		if err := tab.add("0123456789"); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() == 0 || tab.held != nil {
		t.Error("a long table is held back whole")
	}
}

// told is a writer that tells of what it is given.
type told chan string

func (w told) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// A prompt list shows what has come while the next item is still to come, whatever the
// format.
func TestPromptListsShowWhatHasCome(t *testing.T) {
	for _, kind := range []string{"table", "json", "jsonl", "quiet"} {
		w := make(told, 10)
		l := listing[int]{
			key: "numbers", promptly: true, columns: columns("NUMBER"),
			row: func(n int) []string { return []string{fmt.Sprint(n)} }, id: func(n int) string { return fmt.Sprint(n) },
			object: func(n int) any { return struct{ N int }{n} },
		}
		items := func(yield func(int, error) bool) {
			if !yield(4711, nil) {
				return
			}
			if shown := <-w; !strings.Contains(shown, "4711") {
				t.Errorf("%s: shown first is %q", kind, shown)
			}
			yield(4712, nil)
		}
		if err := printList(w, outputFormat{kind: kind}, kind == "quiet", l, items); err != nil {
			t.Fatal(err)
		}
		close(w)
		rest := ""
		for p := range w {
			rest += p
		}
		if !strings.Contains(rest, "4712") || strings.Contains(rest, "4711") {
			t.Errorf("%s: shown after that is %q", kind, rest)
		}
	}
}
