package cmd

import "strings"

// unquote reads a word as it is typed in a shell, quotes and backslashes included, and
// says which quote it ends within, 0 for none. What it does not know, such as variables,
// stays as it is: nothing is ever evaluated.
func unquote(raw string) (word string, open rune) {
	if !strings.ContainsAny(raw, `'"\`) {
		return raw, 0
	}
	var b strings.Builder
	escaped := false
	for _, r := range raw {
		switch {
		case escaped:
			if open == '"' && !strings.ContainsRune("$`\"\\\n", r) {
				b.WriteRune('\\')
			}
			b.WriteRune(r)
			escaped = false
		case r == '\\' && open != '\'':
			escaped = true
		case open != 0 && r == open:
			open = 0
		case open == 0 && (r == '\'' || r == '"'):
			open = r
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), open
}

// quoting is how candidates are written for a shell.
type quoting struct {
	shell  string
	open   bool   // the word that is typed has quotes
	before string // what of it stays; only what follows is written
}

// harmless are the characters, besides letters and digits, that no shell reads in a word.
const harmless = "-_./:@=,+%"

// quote is a candidate for the shell; ok is false where it cannot be told safely. zsh and
// fish quote what they insert. bash inserts it as it is, so that it is quoted here; within
// quotes that somebody has begun there is no way that always holds, and what needs it is
// left out.
func (q quoting) quote(value string) (quoted string, ok bool) {
	if q.shell != "bash" {
		return value, true
	}
	value, ok = strings.CutPrefix(value, q.before)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for _, r := range value {
		safe := r >= 0x80 || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' || strings.ContainsRune(harmless, r)
		if !safe && q.open {
			return "", false
		}
		if !safe {
			b.WriteRune('\\')
		}
		b.WriteRune(r)
	}
	return b.String(), true
}
