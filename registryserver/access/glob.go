package access

import (
	"errors"
	"strings"
)

// glob is a pattern of repositories, by components.
type glob []string

const deep = "**" // any number of components

// maxGlob bounds a pattern; names have 255 bytes, and a host before them.
const maxGlob = 512

func parseGlob(s string) (glob, error) {
	if s == "" || len(s) > maxGlob {
		return nil, errors.New("a pattern has 1 to 512 bytes")
	}
	g := glob(strings.Split(s, "/"))
	for _, part := range g {
		switch {
		case part == "":
			return nil, errors.New("a component is empty")
		case part != deep && strings.Contains(part, deep):
			return nil, errors.New("** has to be a whole component")
		case strings.ContainsFunc(part, notInGlob):
			return nil, errors.New("a pattern has letters, digits, and . _ - : * / only")
		}
	}
	return g, nil
}

func notInGlob(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return !strings.ContainsRune("._-:*", r)
}

// matches says whether the whole of name fits.
func (g glob) matches(name string) bool {
	if name == "" {
		return false
	}
	return fits(g, strings.Split(name, "/"), func(p string) bool { return p == deep }, matchComponent)
}

func matchComponent(pattern, s string) bool {
	return fits([]byte(pattern), []byte(s), func(p byte) bool { return p == '*' }, func(p, c byte) bool { return p == c })
}

// fits matches s with a pattern, some elements of which are stars that stand for
// any number of elements. Only the last star is ever tried anew, so that the time
// is bounded by the product of the lengths.
func fits[T any](pattern, s []T, star func(T) bool, same func(p, c T) bool) bool {
	p, i := 0, 0
	last, from := -1, 0 // the last star, and where its part of s ends
	for i < len(s) {
		switch {
		case p < len(pattern) && star(pattern[p]):
			last, from = p, i
			p++
		case p < len(pattern) && same(pattern[p], s[i]):
			p++
			i++
		case last >= 0:
			from++
			p, i = last+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && star(pattern[p]) {
		p++
	}
	return p == len(pattern)
}
