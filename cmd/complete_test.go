package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"dist.example/content"
	"dist.example/fsys"
)

// TestEveryWordIsDeclared asks every argument, and every flag that takes text, to say what
// may be typed for it, in words that there are.
func TestEveryWordIsDeclared(t *testing.T) {
	check := func(where string, v *kong.Value) {
		spec := completes(v)
		text := v.Target.Type()
		for text.Kind() == reflect.Pointer || text.Kind() == reflect.Slice {
			text = text.Elem()
		}
		if spec == "" && (v.Flag == nil || text == reflect.TypeFor[string]()) && text != reflect.TypeFor[int]() {
			t.Errorf("%s: it does not say what may be typed (tag complete)", where)
		}
		for kind := range strings.SplitSeq(spec, "|") {
			if _, listed := wordsOf(kind); !listed && spec != "" && finders[kind] == nil {
				t.Errorf("%s: nothing finds %q", where, kind)
			}
		}
	}
	app := model(t)
	for _, f := range app.Flags {
		check("--"+f.Name, f.Value)
	}
	for _, n := range app.Leaves(true) {
		for _, f := range n.Flags {
			check(n.Path()+" --"+f.Name, f.Value)
		}
		for _, p := range n.Positional {
			check(n.Path()+" <"+p.Name+">", p)
		}
	}
}

func ask(t *testing.T, words ...string) []string {
	t.Helper()
	var out bytes.Buffer
	if code := answerShell(t.Context(), slices.Concat([]string{"zsh", "", "--"}, words), &out); code != exitOK {
		t.Errorf("%q: exit %d", words, code)
	}
	var values []string
	for _, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		value, _, _ := strings.Cut(line, "\t")
		values = append(values, value)
	}
	return values
}

func TestWordsBeforeSayWhatMayFollow(t *testing.T) {
	t.Setenv("DIST_STORE", filepath.Join(t.TempDir(), "none"))
	for _, tc := range []struct {
		words []string
		want  []string
	}{
		{[]string{"comp"}, []string{"none", "completion"}},
		{[]string{"--store", "pull", "comp"}, []string{"none", "completion"}}, // pull is a folder
		{[]string{"--color=never", "comp"}, []string{"none", "completion"}},
		{[]string{"store", "comp"}, []string{"none", "compact"}},
		{[]string{"store", "--format", "json", "comp"}, []string{"none", "compact"}},
		{[]string{"squash", "--compress", "g"}, []string{"none", "gzip"}},
		{[]string{"squash", "--compress", "gzip", "--compr"}, []string{"none"}}, // once is enough
		{[]string{"squash", "--compress=g"}, []string{"none --compress=", "--compress=gzip"}},
		{[]string{"put", "-t", "doc"}, []string{"none", "docker-config", "docker-layer", "docker-list", "docker-manifest"}},
		{[]string{"put", "-xt", "te"}, []string{"files"}}, // put has no -x, and what follows is a file
		{[]string{"put", "-ttext", "te"}, []string{"files"}},
		{[]string{"put", "--", "--ty"}, []string{"files"}},
		{[]string{"serve", "--log", "x"}, []string{"files"}}, // --log needs no value
		{[]string{"serve", "--log=j"}, []string{"none --log=", "--log=json"}},
		{[]string{"unpack", "x", "y"}, []string{"dirs"}},
		{[]string{"unpack", "x", "y", "z"}, []string{"none"}}, // there is no third
		{[]string{"inspect", "bundle:x"}, []string{"files bundle:"}},
		{[]string{"frobnicate", "x"}, []string{"none"}},
	} {
		if got := ask(t, tc.words...); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.words, got, tc.want)
		}
	}
}

func TestWordsAreReadAsShellsDo(t *testing.T) {
	for raw, want := range map[string]struct {
		word string
		open rune
	}{
		"plain": {"plain", 0}, `a\ b`: {"a b", 0}, `'a b'`: {"a b", 0}, `"a b`: {"a b", '"'}, `'a\`: {`a\`, '\''},
		`"a\"b\c"`: {`a"b\c`, 0}, `a'b"c'd`: {`ab"cd`, 0}, "$HOME": {"$HOME", 0}, `\`: {"", 0},
	} {
		if word, open := unquote(raw); word != want.word || open != want.open {
			t.Errorf("%s: %q, %q", raw, word, open)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a b$(c)", "a")
	f.Add(`'"\`, "")
	f.Fuzz(func(t *testing.T, value, before string) {
		quoted, ok := quoting{shell: "bash", before: before}.quote(value)
		if !ok {
			return
		}
		if word, open := unquote(quoted); utf8.ValidString(value) && before+word != value || open != 0 {
			t.Errorf("%q behind %q is %q, which reads %q", value, before, quoted, word)
		}
		for i, r := range quoted {
			if strings.ContainsRune(" $`;&|<>()'\"*?[]{}!#~^\t", r) && (i == 0 || quoted[i-1] != '\\') {
				t.Errorf("%q is %q, which is not quoted", value, quoted)
			}
		}
	})
}

func TestNothingThatCouldDoHarmIsOffered(t *testing.T) {
	a := answer{list: []candidate{
		{"fine", "two\nlines\x1b[31m\tand more"},
		{"a\nb", ""},
		{"a\x1b[31m", ""},
		{"a\tb", ""},
		{"a\u202eb", ""},
		{"a\xffb", ""},
		{"a\u0085", ""},
		{"", ""},
		{"fine", "twice"},
	}}
	a.keep("")
	var out bytes.Buffer
	a.write(&out, quoting{shell: "zsh"})
	if got := out.String(); got != "none\nfine\ttwo?lines?[31m?and more\n" {
		t.Errorf("%q", got)
	}
}

// Of too many names, those are offered that go on to the next step; a list of some would
// have shells take what these have in common for what all have.
func TestTooManyNamesAreOfferedByTheirBeginnings(t *testing.T) {
	g := gathering{word: "team/", steps: map[string]bool{}}
	for i := range maxCandidates + 1 {
		g.take(fmt.Sprintf("team/app%d:v%d", i%3, i), "")
	}
	want := []candidate{{value: "team/app0:"}, {value: "team/app1:"}, {value: "team/app2:"}}
	if got := g.list(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for g.take("x", "") {
	}
	if got := g.list(); got != nil {
		t.Errorf("without an end: %v", got)
	}
	a := answer{}
	for i := range maxCandidates + 1 {
		a.list = append(a.list, candidate{value: fmt.Sprint(i)})
	}
	if a.keep(""); len(a.list) != 0 {
		t.Errorf("%d are told", len(a.list))
	}
}

// A store that others have for maintenance is not waited for.
func TestCompletionWaitsForNobody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	t.Setenv("DIST_STORE", dir)
	for _, args := range [][]string{{"init"}, {"put", os.Args[0]}} {
		if code := (Program{}).run(t.Context(), args, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}); code != exitOK {
			t.Fatalf("%q: exit %d", args, code)
		}
	}
	if got := ask(t, "delete", ""); len(got) != 2 {
		t.Errorf("%q", got)
	}
	lockAlone(t, filepath.Join(dir, "lock"))
	if got := ask(t, "delete", ""); len(got) != 1 {
		t.Errorf("locked: %q", got)
	}
	tt := typing{}
	dist, err := tt.client()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dist.Open(t.Context()); classify(err).err != content.ErrConflict {
		t.Errorf("%v, want that it is busy", err)
	}
}

// lockAlone locks a file as who has a store alone does.
func lockAlone(t *testing.T, name string) {
	f, err := fsys.OS().OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if ok, err := f.TryLock(true); !ok || err != nil {
		t.Fatal(ok, err)
	}
}
