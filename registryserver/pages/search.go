package pages

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"dist.example/oci"
)

const (
	maxQuery = 200 // bytes of a search
	maxWords = 8
	// searchReads bounds the manifests that are looked into for platforms and types:
	// the newest.
	searchReads = 1000
	// maxPlaces bounds the repositories that are asked for a digest.
	maxPlaces = 1000
)

// query is what somebody looks for: every one of its words has to be found in a tag
// or what belongs to it.
type query struct {
	text   string
	words  []string // in lower case
	digest oci.Digest
}

func parseQuery(s string) query {
	s = strings.ToValidUTF8(s[:min(len(s), maxQuery)], "")
	q := query{text: strings.TrimSpace(s), words: strings.Fields(strings.ToLower(s))}
	q.words = q.words[:min(len(q.words), maxWords)]
	if d, err := oci.ParseDigest(strings.ToLower(q.text)); err == nil {
		q.digest = d
	}
	return q
}

// missing are the words that repo's name does not have.
func (q query) missing(repo *repository) []string {
	name := repo.name()
	var left []string
	for _, w := range q.words {
		if !strings.Contains(name, w) && !strings.Contains(repo.ref.Registry, w) {
			left = append(left, w)
		}
	}
	return left
}

// without takes out of words those that e itself has: in its tag or media type, or
// at the beginning of its digest.
func without(words []string, e *entry) []string {
	var left []string
	tag := strings.ToLower(e.tag)
	for _, w := range words {
		if !strings.Contains(tag, w) && !strings.Contains(e.mediaType, w) && !hasDigest(e.digest, w) {
			left = append(left, w)
		}
	}
	return left
}

// hasDigest says whether word is the beginning of d, with or without its algorithm.
// Less than four digits say nothing.
func hasDigest(d oci.Digest, word string) bool {
	_, hex, named := strings.Cut(word, ":")
	if !named {
		hex = word
	}
	return len(hex) >= 4 && strings.HasPrefix(d.Encoded(), hex) && (!named || strings.HasPrefix(d.String(), word))
}

// in says whether the manifest has all of words in its kind, types and platforms,
// or in the digests of its parts.
func (d *document) in(words []string) bool {
	for _, w := range words {
		if !d.has(w) {
			return false
		}
	}
	return true
}

func (d *document) has(w string) bool {
	if strings.Contains(strings.ToLower(string(d.kind)), w) || strings.Contains(d.platform, w) ||
		strings.Contains(strings.ToLower(d.artifactType), w) {
		return true
	}
	return slices.ContainsFunc(d.children, func(c child) bool {
		return strings.Contains(c.platform, w) || hasDigest(c.Digest, w)
	}) || slices.ContainsFunc(d.blobs, func(b part) bool { return hasDigest(b.digest, w) })
}

// finding is what was found.
type finding struct {
	repos  []*repository // in order
	hits   map[*repository][]link
	partly bool // some manifests were not looked into
}

// candidate is a name that has some of the words.
type candidate struct {
	repo  *repository
	entry *entry
	left  []string // words that are still to be found
}

// candidates are the names of r, and which of words each does not have.
func (r *repository) candidates(words []string) []candidate {
	all := make([]candidate, len(r.entries))
	for i := range r.entries {
		all[i] = candidate{r, &r.entries[i], without(words, &r.entries[i])}
	}
	return all
}

// search finds repositories by their names, and tags by all that is said of them.
func (s *site) search(r *http.Request, q query, repos []*repository) (finding, error) {
	f := finding{hits: map[*repository][]link{}}
	found := map[*repository]bool{}
	var all []candidate
	for _, repo := range repos {
		left := q.missing(repo)
		if len(left) == 0 {
			found[repo] = true
			continue
		}
		all = append(all, repo.candidates(left)...)
	}
	hits, partly, err := s.lookInto(r.Context(), all)
	if err != nil {
		return f, err
	}
	f.partly = partly
	for _, c := range hits {
		found[c.repo] = true
		f.hits[c.repo] = append(f.hits[c.repo], link{cmp.Or(c.entry.tag, oci.ShortDigest(c.entry.digest)), c.entry.suffix()})
	}
	if q.digest != "" {
		if err := s.places(r.Context(), q.digest, repos, found, f.hits); err != nil {
			return f, err
		}
	}
	for _, repo := range repos {
		if found[repo] {
			f.repos = append(f.repos, repo)
		}
	}
	return f, nil
}

// lookInto returns the candidates that have all words, newest first. Where something
// is still to be found it reads their manifests, as far as the bound goes.
func (s *site) lookInto(ctx context.Context, all []candidate) (found []candidate, partly bool, err error) {
	slices.SortFunc(all, func(a, b candidate) int { return newerFirst(a.entry, b.entry) })
	looked, reads := map[oci.Digest]*document{}, 0
	for _, c := range all {
		if len(c.left) == 0 {
			found = append(found, c)
			continue
		}
		d, ok := looked[c.entry.digest]
		if !ok && reads >= searchReads {
			partly = true
			continue
		}
		if !ok {
			d, err = s.documents.get(ctx, c.entry.descriptor())
			if err != nil && !unreadable(err) {
				return nil, false, err
			}
			looked[c.entry.digest] = d
			if reads++; d != nil {
				reads += d.reads - 1
			}
		}
		if d != nil && d.in(c.left) {
			found = append(found, c)
		}
	}
	return found, partly, nil
}

// places finds the repositories that have the manifest d without a name.
func (s *site) places(ctx context.Context, d oci.Digest, repos []*repository, found map[*repository]bool, hits map[*repository][]link) error {
	info, err := s.lib.Info(ctx, d)
	if unreadable(err) || (err == nil && !oci.HasSuccessors(info.MediaType)) {
		return nil
	}
	if err != nil {
		return err
	}
	byName := map[string]*repository{}
	for _, repo := range repos {
		byName[repo.ref.Name()] = repo
	}
	asked := 0
	for name, err := range s.lib.RepositoriesOf(ctx, d) {
		if err != nil {
			return err
		}
		if asked++; asked > maxPlaces {
			return nil
		}
		repo := byName[name]
		if repo == nil || len(hits[repo]) > 0 {
			continue
		}
		here, err := s.here(ctx, name, []oci.Descriptor{{Digest: d}})
		if err != nil {
			return err
		}
		if here[d] {
			found[repo] = true
			hits[repo] = append(hits[repo], link{oci.ShortDigest(d), "@" + d.String()})
		}
	}
	return nil
}
