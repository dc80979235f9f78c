package cmd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// What may have been meant is told in one way, whatever was wrong: as the hint.

// didYouMean adds to err what was meant perhaps; nothing where nothing is near.
func didYouMean(err error, words []string) error {
	if len(words) == 0 {
		return err
	}
	for i, w := range words {
		words[i] = printable(w)
	}
	return content.WithHint(err, "did you mean %s?", orWords(words))
}

// orWords is "a", "a or b", "a, b or c".
func orWords(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func verbNames() (names []string) {
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return names
}

func childNames(n *kong.Node) (names []string) {
	for _, c := range n.Children {
		names = append(names, c.Name)
	}
	return names
}

// odd is a word that cannot be where it is, and what could be.
type odd struct {
	word  string
	could []string
}

func (t *typing) oddWord(word string, could []string) {
	if t.odd == nil {
		t.odd = &odd{word, could}
	}
}

// takeArgument notes an argument. One where verbs are to be is odd, and so is one that is
// none of those that its enumeration has.
func (t *typing) takeArgument(w string) {
	switch {
	case len(t.args) > 0 && t.node == t.app:
	case t.node == t.app:
		t.oddWord(w, verbNames())
	case len(t.node.Children) > 0:
		t.oddWord(w, childNames(t.node))
	case len(t.node.Positional) > 0:
		if v := t.positional(); v != nil {
			t.oddValue(v, w)
		}
	}
	t.args = append(t.args, w)
}

// oddValue notes a value that is none of those that there are.
func (t *typing) oddValue(v *kong.Value, value string) {
	words, listed := wordsOf(completes(v))
	if value == "" || !listed || slices.Contains(words, value) || slices.ContainsFunc(words, func(w string) bool {
		return strings.HasSuffix(w, "=") && strings.HasPrefix(value, w) || strings.Contains(w, "|")
	}) {
		return
	}
	t.oddWord(value, words)
}

func (t *typing) flagNames() (names []string) {
	for _, f := range t.flags() {
		names = append(names, "--"+f.Name)
	}
	return names
}

// withMeant adds to err what the first odd word among args may have been meant for, or what
// does here what it does elsewhere.
func withMeant(err error, args []string) error {
	parser, _, perr := newParser(new(globalFlags), spoken(args), io.Discard, io.Discard)
	if perr != nil {
		return err
	}
	t := &typing{app: parser.Model.Node, node: parser.Model.Node}
	for _, w := range args {
		t.take(w)
	}
	if t.odd == nil {
		return err
	}
	if hint := t.brought(); hint != "" {
		return content.WithHint(err, "%s", hint)
	}
	return didYouMean(err, client.Nearest(t.odd.word, t.odd.could))
}

// nearTime bounds the look for names that are near to one that is not there.
const nearTime = 300 * time.Millisecond

// nearName adds to an error about a name that the store lacks those that it may have been
// meant for, or how verb gets it. The store is looked at at a glance.
func (s *session) nearName(verb string, err error) error {
	var absent *client.AbsentName
	if !errors.As(err, &absent) || content.Hint(err) != absent.List || s.ctx.Err() != nil {
		return err
	}
	var near []string
	s.glance(func(ctx context.Context, dist *client.Client) {
		near, _ = dist.Near(ctx, absent.Name) // what cannot be found is no second error
	})
	if ref, perr := oci.ParseReference(absent.Name); perr == nil && len(near) == 0 && ref.Registry != oci.DockerHub && slices.Contains(reading, verb) {
		return content.WithHint(err, "`dist pull %s` brings it here", absent.Name)
	}
	return didYouMean(err, near)
}

// reading are verbs that read an image which is here, and that a pull would bring.
var reading = []string{"get", "path", "inspect", "ls", "cat", "cp", "unpack", "diff", "squash", "export", "tag"}

// glance lets do look at the store, for a moment and without opening it in earnest.
func (s *session) glance(do func(context.Context, *client.Client)) {
	dir, err := storeFolder(s.globals.Store, s.getenv)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, nearTime)
	defer cancel()
	dist := client.New(client.Options{Store: dir, Glance: true})
	defer dist.Close()
	do(ctx, dist)
}
