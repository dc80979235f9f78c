package db

import (
	"slices"
	"strings"
	"unicode"
)

// maxExpansion is how many copies of its parts SQLite may make of a query before it
// runs. A WITH is copied for each use, so that a short text of nested ones would
// take all memory while it is compiled, which nothing interrupts.
const maxExpansion = 10_000

// expansion is a bound of how many copies a query's text asks for: the product of the
// uses of each name that a WITH in it gives, maxExpansion+1 for more than that.
func expansion(text string) int {
	tokens := sqlTokens(text)
	uses, given := map[string]int{}, map[string]int{}
	closing := len(tokens) // index of the next ")" from the token on
	closed := make([]int, len(tokens))
	for i, t := range slices.Backward(tokens) {
		if t == ")" {
			closing = i
		}
		closed[i] = closing
	}
	for i, t := range tokens {
		if uses[t]++; gives(tokens, closed, i) {
			given[t]++
		}
	}
	bound := 1
	for name, n := range given {
		if bound *= copies(uses[name]-n, n); bound > maxExpansion {
			return maxExpansion + 1
		}
	}
	return bound
}

// copies is the most that so many uses of one name can make, which is given n times,
// within each other: which use is of which is not known.
func copies(uses, n int) int {
	most := 1
	for k := 1; k <= min(n, uses); k++ {
		product := 1
		for range k {
			if product *= (uses + k - 1) / k; product > maxExpansion {
				return maxExpansion + 1
			}
		}
		most = max(most, product)
	}
	return most
}

// gives says whether the token at i is the name in `name [(...)] AS [NOT] [MATERIALIZED] (`.
// closed is for each token where the next ")" is.
func gives(tokens []string, closed []int, i int) bool {
	name := tokens[i]
	if name == "(" || name == ")" || name == "," || name == "as" {
		return false
	}
	at := func(n int) string {
		if n < len(tokens) {
			return tokens[n]
		}
		return ""
	}
	n := i + 1
	if at(n) == "(" {
		n = closed[n] + 1
	}
	if at(n) != "as" {
		return false
	}
	if n++; at(n) == "not" {
		n++
	}
	if at(n) == "materialized" {
		n++
	}
	return at(n) == "("
}

// sqlTokens are words, quoted names and signs of a text, in lower case, as far as
// expansion has to tell them apart; comments and strings are left out, save that a
// string may be a name.
func sqlTokens(text string) (tokens []string) {
	for len(text) > 0 {
		switch c := text[0]; {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text[2:], "*/")
		case c == '\'' || c == '"' || c == '`' || c == '[':
			var name string
			name, text = quoted(text)
			if name = lowerASCII(name); slices.Contains([]string{"as", "not", "(", ")", ","}, name) {
				name += "\x00" // none of the language
			}
			tokens = append(tokens, name)
		case isWord(c):
			n := 1
			for n < len(text) && isWord(text[n]) {
				n++
			}
			tokens, text = append(tokens, lowerASCII(text[:n])), text[n:]
		case unicode.IsSpace(rune(c)):
			text = text[1:]
		default:
			tokens, text = append(tokens, text[:1]), text[1:]
		}
	}
	return tokens
}

// lowerASCII is how SQLite folds names.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 0x20
		}
	}
	return string(b)
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// quoted takes the quoted name or string apart that text begins with.
func quoted(text string) (name, rest string) {
	end := text[:1]
	if end == "[" {
		end = "]"
	}
	var b strings.Builder
	for rest = text[1:]; ; {
		part, after, found := strings.Cut(rest, end)
		b.WriteString(part)
		if !found || end == "]" || !strings.HasPrefix(after, end) {
			return b.String(), after
		}
		b.WriteString(end)
		rest = after[1:]
	}
}
