package client

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// maxSnippet bounds the text of a Match, in characters.
const maxSnippet = 120

// Match is what of an object was searched for.
type Match struct {
	Field string // name, type, platform, annotation, label, file, or key
	Text  string // around the words: one line, without control characters
}

// Found is an object that has what was searched for.
type Found struct {
	content.Info
	Names   []oci.Reference // those that were searched for first, 100 at most
	Kind    oci.Kind        // "" for what is no manifest, and for one that is malformed
	Matches []Match         // one for each term at most, in their order
}

// SearchResult is the answer to Search.
type SearchResult struct {
	Found []Found // the best first
	More  bool    // there are more than were asked for
}

// Search finds manifests, indexes and what has a name by words of names, annotations,
// types, platforms, labels of images, names of files in artifacts, and ids and labels
// of the keys that were found to have signed them under a policy. An object has to have all words; see db.ParseTerms for
// beginnings and phrases. limit bounds what is found, 0 does not. The index that it
// keeps in the store is brought up to date first where that may be written; what is
// found is the same where not.
//
// Errors: ErrInvalid for words without a letter or digit, ErrNoStore.
func (c *Client) Search(ctx context.Context, words string, limit int) (SearchResult, error) {
	terms, err := db.ParseTerms(words)
	if err != nil {
		return SearchResult{}, err
	}
	s, err := c.Open(ctx)
	if err != nil {
		return SearchResult{}, err
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		c.opts.Warn(fmt.Sprintf("what keys are called is left out: %v", err))
	}
	labels := map[oci.Digest]string{}
	for _, k := range keys {
		labels[k.Public.ID()] = k.Label
	}
	hits, more, err := s.Find(ctx, blobstore.SearchOptions{Terms: terms, Limit: limit, Labels: labels})
	if err != nil {
		return SearchResult{}, err
	}
	result := SearchResult{More: more}
	for _, h := range hits {
		f, err := found(h, terms)
		if err != nil {
			return result, err
		}
		result.Found = append(result.Found, f)
	}
	return result, nil
}

// found is what is told of a hit.
func found(h blobstore.Hit, terms []db.Term) (f Found, err error) {
	f.Info = h.Info
	for _, name := range h.Names {
		ref, err := oci.ParseReference(name)
		if err != nil {
			return f, err
		}
		f.Names = append(f.Names, ref)
	}
	seen := map[Match]bool{}
	for _, t := range terms {
		if m, ok := matchOf(t, h.Facts); ok && !seen[m] {
			seen[m] = true
			f.Matches = append(f.Matches, m)
		}
	}
	for _, fact := range h.Facts {
		if fact.Field == db.FieldType && !strings.Contains(fact.Text, "/") {
			f.Kind = oci.Kind(fact.Text)
			break
		}
	}
	return f, nil
}

// matchOf is the first fact that has t.
func matchOf(t db.Term, facts []db.Fact) (m Match, ok bool) {
	for _, f := range facts {
		if t.In(db.Words(f.Text)) {
			return Match{f.Field.String(), snippet(f.Text, t.Words[0])}, true
		}
	}
	return m, false
}

// snippet is text, or a part of it around word, on one line.
func snippet(text, word string) string {
	before, _, _ := strings.Cut(strings.ToLower(text), word)
	line := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
	if len(line) <= maxSnippet {
		return string(line)
	}
	start := max(0, min(utf8.RuneCountInString(before)-maxSnippet/3, len(line)-maxSnippet))
	cut := string(line[start : start+maxSnippet])
	if start > 0 {
		cut = "…" + cut
	}
	if start+maxSnippet < len(line) {
		cut += "…"
	}
	return cut
}
