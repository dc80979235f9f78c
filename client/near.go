package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// AbsentName says that the store has no such name; see blobstore.AbsentName.
type AbsentName = blobstore.AbsentName

const (
	// maxNear is how many near words are told.
	maxNear = 3
	// maxCompared bounds the names that are compared with one.
	maxCompared = 100_000
	// maxKept is how many near names are kept before all but the nearest go.
	maxKept = 100
)

// Nearest are those of some words that word may have been meant for, the nearest first:
// at most three, and none that differs in more than a quarter of its letters, or one. A
// word that others begin with is near to them.
func Nearest(word string, among []string) []string {
	type near struct {
		word string
		far  int
	}
	var found []near
	for _, w := range among {
		if w == "" || w == word {
			continue
		}
		far := distance(word, w)
		if len(word) > 1 && strings.HasPrefix(w, word) {
			far = min(far, 1)
		}
		if far <= allowed(word) {
			found = append(found, near{w, far})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.word, b.word))
	})
	var words []string
	for _, n := range found[:min(len(found), maxNear)] {
		words = append(words, n.word)
	}
	return slices.Compact(words)
}

// allowed is how many letters of a word may be wrong.
func allowed(word string) int {
	if n := utf8.RuneCountInString(word); n > 2 {
		return min(max(1, n/4), 4)
	}
	return 0
}

// maxMeasured is the length of the longest words that are compared.
const maxMeasured = 300

// distance counts the letters that have to be put in, taken out, replaced, or exchanged
// with their neighbour to make b of a.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if len(s) > maxMeasured || len(t) > maxMeasured {
		return maxMeasured
	}
	before, last, now := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		now[0] = i
		for j := 1; j <= len(t); j++ {
			replace := last[j-1]
			if s[i-1] != t[j-1] {
				replace++
			}
			now[j] = min(last[j]+1, now[j-1]+1, replace)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(t)]
}

// Near lists the names of the store that word may have been meant for, as people write
// them, the nearest first, at most three: another tag of the same repository, a repository
// that is spelt nearly so, or one that ends so elsewhere; where there is one, no other kind.
// No name at all is near to nonsense. It compares 100,000 names and no more.
//
// Errors: ErrInvalid for what is no name; those of Open and of ctx.
func (c *Client) Near(ctx context.Context, word string) ([]string, error) {
	want, err := oci.ParseReference(word)
	if err != nil || want.Digest != "" {
		return nil, err
	}
	n := nearness{want: want, short: shortRepository(want)}
	left := maxCompared
	err = c.EachName(ctx, "", func(name content.Name) bool {
		n.take(name.Reference)
		left--
		return left > 0
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // what was found until then is something
	}
	return n.names(), err
}

// nearness gathers what is near to a name.
type nearness struct {
	want  oci.Reference
	short string // its repository as people write it
	found []nearName
	last  oci.Reference // the repository that was judged last, and how far it is
	far   int
}

type nearName struct {
	name           oci.Reference
	repository, by int // how far they are: the repository, and the tag
}

// shortRepository is a repository without what Docker's rules add.
func shortRepository(r oci.Reference) string {
	return strings.TrimPrefix(strings.TrimPrefix(r.Name(), oci.DockerHub+"/"), "library/")
}

// tooFar is a repository that has nothing to do with what was asked for.
const tooFar = 1 << 20

func (n *nearness) take(name oci.Reference) {
	if _, _, attachment := oci.ParseAttachmentTag(name.Tag); attachment || name.Digest != "" {
		return
	}
	if name.Registry != n.last.Registry || name.Repository != n.last.Repository {
		n.last, n.far = name, n.judge(name)
	}
	if n.far == tooFar {
		return
	}
	n.found = append(n.found, nearName{name, n.far, distance(n.want.Tag, name.Tag)})
	if len(n.found) >= maxKept {
		n.cut()
	}
}

// judge says how far a repository is.
func (n *nearness) judge(name oci.Reference) int {
	if name.Name() == n.want.Name() {
		return 0
	}
	if far := distance(n.short, shortRepository(name)); far <= allowed(n.short) {
		return far
	}
	path := strings.TrimPrefix(n.want.Repository, "library/")
	if strings.HasSuffix(name.Name(), "/"+path) {
		return 1
	}
	if !strings.Contains(path, "/") && distance(path, name.Name()[strings.LastIndex(name.Name(), "/")+1:]) <= allowed(path) {
		return 2
	}
	return tooFar
}

// cut keeps the nearest.
func (n *nearness) cut() {
	slices.SortStableFunc(n.found, func(a, b nearName) int {
		return cmp.Or(cmp.Compare(a.repository, b.repository), cmp.Compare(a.by, b.by), cmp.Compare(a.name.String(), b.name.String()))
	})
	n.found = n.found[:min(len(n.found), maxNear)]
	n.found = slices.DeleteFunc(n.found, func(f nearName) bool { return f.repository > n.found[0].repository })
}

func (n *nearness) names() (names []string) {
	n.cut()
	for _, f := range n.found {
		names = append(names, Familiar(f.name))
	}
	return names
}
