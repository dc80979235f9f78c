package cmd

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"dist.example/client"
)

// completeWord is the verb by which shells ask what may follow; people do not see it:
//
//	dist __complete SHELL PIECE -- WORD…
//
// The last word is the one that is being typed, up to the cursor. PIECE is the end of it
// that the shell will replace, for bash, which cuts words; the others replace all of it.
// The first line of the answer says what the shell adds of its own (none, files or dirs),
// and after a space what stands before the name of the file. Each line below is what may
// be typed, and after a tab what it is. Nothing goes to stderr, and the exit code is 0:
// who types has not asked for errors.
const completeWord = "__complete"

const (
	// completeTime bounds a look into the store: who waits longer goes on typing.
	completeTime = time.Second
	// maxCandidates is how many are told at most. Of more none are: the shell would take
	// what some have in common for what all have.
	maxCandidates = 500
)

// candidate is what may be typed, and what it is.
type candidate struct{ value, about string }

// typing is the word that is being typed, and what is known of it by those before.
type typing struct {
	app   *kong.Node
	node  *kong.Node // the verb, or app
	flag  *kong.Flag // whose value it is; nil for none
	args  []string   // arguments before it
	given []*kong.Flag
	plain bool   // after --, where nothing is a flag
	odd   *odd   // the first word before it that cannot be
	store string // of --store
	head  string // of the word, before the value: --flag=
	word  string // the value
}

// complete answers a shell, in its time.
func (p Program) complete(ctx context.Context, args []string, stdout io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	return answerShell(ctx, args, stdout)
}

// answerShell is complete until ctx ends.
func answerShell(ctx context.Context, args []string, stdout io.Writer) int {
	if len(args) < 4 || args[2] != "--" {
		return exitOK
	}
	shell, piece, words := args[0], args[1], args[3:]
	raw := words[len(words)-1]
	last, open := unquote(raw)
	if shell == "bash" { // the others have done so
		for i := range words {
			words[i], _ = unquote(words[i])
		}
	}
	words[len(words)-1] = last
	done := make(chan answer, 1)
	go func() {
		t, err := newTyping(words)
		if err != nil {
			done <- answer{}
			return
		}
		done <- t.answer(ctx)
	}()
	// What cannot be interrupted, such as a disk that does not answer, is left behind.
	select {
	case a := <-done:
		q := quoting{shell: shell, open: open != 0 || raw != last}
		if piece != raw {
			q.before, _ = unquote(strings.TrimSuffix(raw, piece))
		}
		a.write(stdout, q)
	case <-ctx.Done():
	}
	return exitOK
}

// newTyping reads the words, the last of which is the one that is being typed, by the
// verbs and flags that there are.
func newTyping(words []string) (*typing, error) {
	before, last := words[:len(words)-1], words[len(words)-1]
	var some []verb
	for _, v := range verbs() {
		if slices.Contains(before, v.name) {
			some = append(some, v)
		}
	}
	parser, _, err := newParser(new(globalFlags), some, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	t := &typing{app: parser.Model.Node, node: parser.Model.Node, word: last}
	for _, w := range before {
		t.take(w)
	}
	if name, _, ok := strings.Cut(last, "="); ok && t.flag == nil && !t.plain && strings.HasPrefix(name, "--") {
		if f := t.find(name[2:]); f != nil {
			t.flag, t.head, t.word = f, name+"=", last[len(name)+1:]
		}
	}
	return t, nil
}

// take goes on behind one word.
func (t *typing) take(w string) {
	switch {
	case t.flag != nil:
		t.set(t.flag, w)
		t.flag = nil
	case t.plain:
		t.takeArgument(w)
	case w == "--":
		t.plain = true
	case strings.HasPrefix(w, "--"):
		name, value, joined := strings.Cut(w[2:], "=")
		f := t.find(name)
		switch {
		case f == nil:
			t.oddWord("--"+name, t.flagNames())
		case joined:
			t.set(f, value)
		case f.IsBool() || f.IsCounter():
			t.set(f, "")
		default:
			t.flag = f
		}
	case len(w) > 1 && w[0] == '-':
		t.takeShort(w[1:])
	default:
		if i := slices.IndexFunc(t.node.Children, func(n *kong.Node) bool { return n.Name == w }); i >= 0 && len(t.args) == 0 {
			t.node = t.node.Children[i]
			return
		}
		t.takeArgument(w)
	}
}

// takeShort reads flags of one letter, the last of which may have its value behind it.
func (t *typing) takeShort(letters string) {
	for i, r := range letters {
		f := t.findShort(r)
		if f == nil {
			t.oddWord("-"+string(r), nil)
			return
		}
		if !f.IsBool() && !f.IsCounter() {
			if rest := letters[i+utf8.RuneLen(r):]; rest != "" {
				t.set(f, rest)
			} else {
				t.flag = f
			}
			return
		}
		t.set(f, "")
	}
}

func (t *typing) set(f *kong.Flag, value string) {
	t.given = append(t.given, f)
	t.oddValue(f.Value, value)
	if f.Name == "store" {
		t.store = value
	}
}

// flags are those that may be typed here.
func (t *typing) flags() (all []*kong.Flag) {
	for _, group := range t.node.AllFlags(true) {
		all = append(all, group...)
	}
	return all
}

func (t *typing) find(name string) *kong.Flag {
	return t.which(func(f *kong.Flag) bool { return f.Name == name })
}

func (t *typing) findShort(r rune) *kong.Flag {
	return t.which(func(f *kong.Flag) bool { return f.Short == r })
}

func (t *typing) which(is func(*kong.Flag) bool) *kong.Flag {
	if all := t.flags(); slices.ContainsFunc(all, is) {
		return all[slices.IndexFunc(all, is)]
	}
	return nil
}

// answer finds what may be typed.
func (t *typing) answer(ctx context.Context) answer {
	a := answer{head: t.head, shell: shellNone}
	switch {
	case t.flag != nil:
		a.take(t.values(ctx, t.flag.Value))
	case !t.plain && strings.HasPrefix(t.word, "-"):
		a.list = t.flagCandidates()
	case len(t.args) > 0 && t.node == t.app:
		// A word that is no verb: nothing is known behind it.
	case t.node == t.app:
		for _, v := range verbs() {
			a.list = append(a.list, candidate{v.name, v.help})
		}
	case len(t.node.Children) > 0:
		a.list = children(t.node)
	case len(t.node.Positional) > 0:
		if v := t.positional(); v != nil {
			a.take(t.values(ctx, v))
		}
	}
	a.keep(t.word)
	return a
}

func children(n *kong.Node) (list []candidate) {
	for _, c := range n.Children {
		list = append(list, candidate{c.Name, c.Help})
	}
	return list
}

// positional is the argument that the word is; nil where there are enough.
func (t *typing) positional() *kong.Positional {
	all := t.node.Positional
	if i := len(t.args); i < len(all) {
		return all[i]
	}
	if last := all[len(all)-1]; last.IsCumulative() {
		return last
	}
	return nil
}

// flagCandidates are the flags that are not there yet, or may be there again.
func (t *typing) flagCandidates() (list []candidate) {
	for _, f := range t.flags() {
		if slices.Contains(t.given, f) && !f.IsCumulative() {
			continue
		}
		list = append(list, candidate{"--" + f.Name, f.Help})
		if f.Short != 0 && t.word == "-" {
			list = append(list, candidate{"-" + string(f.Short), f.Help})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.value, b.value) })
	return list
}

// client looks into the store that the words and the environment say, at a glance.
func (t *typing) client() (*client.Client, error) {
	given := os.ExpandEnv(t.store) // as the shell will
	if rest, ok := strings.CutPrefix(given, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			given = home + "/" + rest
		}
	}
	s := &session{getenv: os.Getenv}
	dir, err := storeFolder(cmp.Or(given, os.Getenv("DIST_STORE")), s.getenv)
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{Store: dir, Glance: true, Trust: s.trust()}), nil
}

// What a shell adds of its own.
const (
	shellNone  = "none"
	shellFiles = "files"
	shellDirs  = "dirs"
)

// answer is what a shell is told.
type answer struct {
	shell string
	head  string // what stands before each value, and before files
	path  string // what stands before files within the value: bundle:
	list  []candidate
}

// take adds what another answer has.
func (a *answer) take(b answer) {
	a.list = append(a.list, b.list...)
	if b.shell != "" {
		a.shell, a.path = b.shell, b.path
	}
}

// keep drops what does not begin with the word, what comes twice, and what could do harm
// in a terminal: a name of a store may be anybody's.
func (a *answer) keep(word string) {
	seen := map[string]bool{}
	a.list = slices.DeleteFunc(a.list, func(c candidate) bool {
		drop := !strings.HasPrefix(c.value, word) || c.value == "" || seen[c.value] || !utf8.ValidString(c.value) ||
			strings.ContainsFunc(c.value, func(r rune) bool { return !unicode.IsPrint(r) })
		seen[c.value] = true
		return drop
	})
	if len(a.list) > maxCandidates {
		a.list = nil
	}
}

func (a answer) write(w io.Writer, q quoting) {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, strings.TrimSuffix(cmp.Or(a.shell, shellNone)+" "+a.head+a.path, " "))
	for _, c := range a.list {
		value, ok := q.quote(a.head + c.value)
		if !ok {
			continue
		}
		if about := brief(c.about); about != "" && q.shell != "bash" {
			value += "\t" + about
		}
		fmt.Fprintln(b, value)
	}
	_ = b.Flush() // a shell that has gone asks no more
}

// brief is the first sentence of a text, or what of it fits beside a word.
func brief(text string) string {
	text, _, _ = strings.Cut(printable(text), ". ")
	text = strings.TrimSuffix(text, ".")
	if r := []rune(text); len(r) > 70 {
		return strings.TrimSpace(string(r[:69])) + "…"
	}
	return text
}
