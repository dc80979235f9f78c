package db

import (
	"fmt"
	"strings"
	"unicode"

	"dist.example/content"
)

// maxSearchWords bounds the words of one search.
const maxSearchWords = 64

// Term is one thing that a search asks for: words that follow one another, the last
// of them perhaps only a beginning.
type Term struct {
	Words  []string // folded, one at least
	Prefix bool
}

// ParseTerms reads what is searched for: words between blanks, of which all have to
// be there, * at the end of one for a beginning, and "…" for words that follow one
// another. What is between letters and digits only parts words, so that docker.io is
// two of them that follow one another. No text is malformed; content.ErrInvalid is
// for one without a word, or with more than 64.
func ParseTerms(text string) (terms []Term, err error) {
	n := 0
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var part string
		if quoted, ok := strings.CutPrefix(text, `"`); ok {
			part, text, _ = strings.Cut(quoted, `"`)
			if strings.HasPrefix(text, "*") {
				part += "*"
			}
		} else {
			end := strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
			if end < 0 {
				end = len(text)
			}
			part, text = text[:end], text[end:]
		}
		words := Words(part)
		if n += len(words); n > maxSearchWords {
			return nil, fmt.Errorf("search: %w: more than %d words", content.ErrInvalid, maxSearchWords)
		}
		if len(words) > 0 {
			terms = append(terms, Term{words, strings.HasSuffix(part, "*")})
		}
	}
	if len(terms) == 0 {
		return nil, fmt.Errorf("search: %w: no word, that is no letter or digit, to look for", content.ErrInvalid)
	}
	return terms, nil
}

// Words are the words of a text: letters and digits that follow one another, folded.
func Words(text string) []string {
	words := strings.FieldsFunc(text, notOfWord)
	for i, w := range words {
		words[i] = strings.Map(unicode.ToLower, w)
	}
	return words
}

func notOfWord(r rune) bool {
	return r == unicode.ReplacementChar || !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
}

// In says whether the term is in a text of these words.
func (t Term) In(words []string) bool {
	for i := 0; i+len(t.Words) <= len(words); i++ {
		if t.at(words[i:]) {
			return true
		}
	}
	return false
}

// at says whether words begin with the term.
func (t Term) at(words []string) bool {
	last := len(t.Words) - 1
	for i, w := range t.Words[:last] {
		if words[i] != w {
			return false
		}
	}
	return words[last] == t.Words[last] || t.Prefix && strings.HasPrefix(words[last], t.Words[last])
}

// match is the term as FTS5 takes it. Words have no character that means anything
// there.
func (t Term) match() string {
	m := `"` + strings.Join(t.Words, " ") + `"`
	if t.Prefix {
		m += " *"
	}
	return m
}
