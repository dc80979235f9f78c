package client

import (
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
