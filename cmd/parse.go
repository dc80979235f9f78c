package cmd

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"dist.example/content"
)

// parseError turns kong's complaint about args into one of ours, with the verb it is
// about, and what may have been meant.
func parseError(args []string, err error) (verb string, _ error) {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			verb = node.Path()
		}
	}
	what := reworded(err.Error())
	if verb == "" {
		what += "; \"dist --help\" lists the verbs"
	}
	err = &usageError{what}
	if verb == "undo" && strings.HasPrefix(what, "<changes>") {
		return verb, content.WithHint(err, "it counts changes of all names; `dist log NAME` lists those of one, and `dist tag NAME@{1} NAME` takes one back")
	}
	return verb, withMeant(err, args)
}

// rewordings say in our words what kong says in its own, which it has no types for.
var rewordings = []struct {
	kong *regexp.Regexp
	ours func(m []string) string
}{
	// It has words of its own for what may have been meant, by other rules.
	{regexp.MustCompile(`^(.*?), did you mean .*$`), func(m []string) string { return m[1] }},
	{regexp.MustCompile(`^(?:--[a-z-]+: )?(.*) \(from envar (\w+)=.*\)$`), func(m []string) string { return m[2] + ": " + m[1] }},
	{regexp.MustCompile(`^missing flags: (.*)$`), func(m []string) string {
		return strings.ReplaceAll(m[1], "=", " ") + " is needed"
	}},
	{regexp.MustCompile(`^(\S+) must be one of (.*) but got (".*")$`), func(m []string) string {
		return m[1] + ": " + m[3] + " is none of " + enumWords(m[2])
	}},
	{regexp.MustCompile(`^(--\S+): expected .* value but got "(.*)" \((.*?)\)(?:; perhaps try .*)?$`), func(m []string) string {
		if m[3] == "<EOL>" {
			return m[1] + " needs a value"
		}
		return m[1] + " needs a value, and " + m[2] + " reads as a flag"
	}},
	{regexp.MustCompile(`^\[?(\S+?)\]?: expected a valid \d+ bit u?int but got (".*")$`), func(m []string) string {
		return m[1] + ": " + m[2] + " is no whole number"
	}},
}

func reworded(what string) string {
	for _, r := range rewordings {
		if m := r.kong.FindStringSubmatch(what); m != nil {
			what = r.ours(m)
		}
	}
	return what
}

// enumWords writes a list of quoted words as a choice, without the empty one that stands
// for the default.
func enumWords(list string) string {
	var words []string
	for w := range strings.SplitSeq(list, ",") {
		if word, err := strconv.Unquote(w); err == nil && word != "" {
			words = append(words, word)
		}
	}
	return joinWords(words)
}
