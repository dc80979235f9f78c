package client

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"

	"dist.example/content"
	"dist.example/oci"
)

// TagFilter picks tags. The zero value takes every tag.
type TagFilter struct {
	glob     string
	versions *semver.Constraints
}

// NewTagFilter makes the filter of the tags that fit a glob (* ? [a-z], the whole
// tag) and whose version is in a range (^7.2, ~1.4, ">=1.2,<2", "1.x"); an empty one
// asks for nothing. A tag is a version if it has one to three numbers, perhaps with
// a leading v: 7, v1.2.3. What follows a hyphen, as in 7.2-rc1 and in 7.2-alpine,
// makes it a prerelease, and those are in a range only when the range names one
// (>=7.2-0). Errors: ErrInvalid.
func NewTagFilter(glob, versions string) (TagFilter, error) {
	f := TagFilter{glob: glob}
	if _, err := path.Match(glob, ""); err != nil {
		return f, fmt.Errorf("glob %q: %w: %v", glob, content.ErrInvalid, err)
	}
	if versions == "" {
		return f, nil
	}
	c, err := semver.NewConstraint(versions)
	if err != nil {
		return f, content.WithHint(fmt.Errorf("range %q: %w: not a range of versions", versions, content.ErrInvalid),
			"ranges look like '^7.2', '~1.4' or '>=1.2,<2'")
	}
	f.versions = c
	return f, nil
}

// Match says whether tag is one of those.
func (f TagFilter) Match(tag string) bool {
	if f.glob != "" {
		if ok, err := path.Match(f.glob, tag); err != nil || !ok {
			return false
		}
	}
	if f.versions == nil {
		return true
	}
	v, err := semver.NewVersion(tag)
	return err == nil && f.versions.Check(v)
}

// selector is a repository and which of its tags are meant.
type selector struct {
	repo   oci.Reference
	filter TagFilter
}

// cutSelector takes a word apart at the colon before its tag when what stands there
// is a glob or a range of versions: no tag has the characters that those have.
func cutSelector(word string) (repo, pattern string, ok bool) {
	slash := strings.LastIndexByte(word, '/')
	colon := strings.IndexByte(word[slash+1:], ':')
	if colon < 0 || strings.ContainsRune(word, '@') {
		return word, "", false
	}
	colon += slash + 1
	pattern = word[colon+1:]
	return word[:colon], pattern, isGlob(pattern) || isRange(pattern)
}

func isGlob(s string) bool { return !isRange(s) && strings.ContainsAny(s, "*?[") }

func isRange(s string) bool {
	return s != "" && strings.ContainsRune("^~<>=!", rune(s[0]))
}

// parseSelector reads REPOSITORY:GLOB and REPOSITORY:RANGE; ok is false for every
// other word.
func parseSelector(word string) (s selector, ok bool, err error) {
	name, pattern, ok := cutSelector(word)
	if !ok {
		return s, false, nil
	}
	if s.repo, err = oci.ParseRepository(name); err != nil {
		return s, true, err
	}
	if isRange(pattern) {
		s.filter, err = NewTagFilter("", pattern)
	} else {
		s.filter, err = NewTagFilter(pattern, "")
	}
	return s, true, err
}

// tagLists are the tags of repositories, each of which is listed once.
type tagLists struct {
	c  *Client
	of map[oci.Reference][]string
}

func newTagLists(c *Client) *tagLists { return &tagLists{c, map[oci.Reference][]string{}} }

func (t *tagLists) list(ctx context.Context, repo oci.Reference) ([]string, error) {
	if tags, listed := t.of[repo]; listed {
		return tags, nil
	}
	remote, err := t.c.registry()
	if err != nil {
		return nil, err
	}
	var tags []string
	for tag, err := range remote.Repository(repo).Tags(ctx) {
		if err != nil {
			return nil, fmt.Errorf("tags of %s: %w", repo.Name(), err)
		}
		tags = append(tags, tag)
	}
	t.of[repo] = tags
	return tags, nil
}

// locatedEntry is an entry that names one image, and where that is.
type locatedEntry struct {
	ListEntry
	where Locator
}

// pick makes one entry of each tag that e selects. Errors: ErrNotFound when none
// fits.
func (t *tagLists) pick(ctx context.Context, e ListEntry, sel selector) ([]locatedEntry, error) {
	tags, err := t.list(ctx, sel.repo)
	if err != nil {
		return nil, err
	}
	var picked []locatedEntry
	for _, tag := range tags {
		if !sel.filter.Match(tag) {
			continue
		}
		ref, err := sel.repo.WithTag(tag)
		if err != nil {
			return nil, err
		}
		one := e
		one.Word = ref.String()
		picked = append(picked, locatedEntry{one, Locator{Transport: TransportRegistry, Place: one.Word, Reference: ref}})
	}
	if picked == nil {
		return nil, fmt.Errorf("%s: %w: none of the %d tags fits", e.Word, content.ErrNotFound, len(tags))
	}
	return picked, nil
}
