package blobstore

import (
	"cmp"
	"slices"
)

// stretches are parts of a file, from and to each.
type stretches [][2]int64

// add adds a part. What goes on where the last one ends becomes one with it.
func (s *stretches) add(from, to int64) {
	if n := len(*s); n > 0 && (*s)[n-1][1] == from {
		(*s)[n-1][1] = to
		return
	}
	*s = append(*s, [2]int64{from, to})
}

// ordered puts them in order, and joins those that touch.
func (s stretches) ordered() (out stretches) {
	slices.SortFunc(s, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	for _, p := range s {
		if n := len(out); n > 0 && p[0] <= out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], p[1])
			continue
		}
		out = append(out, p)
	}
	return out
}

// behind are those that end behind an offset, of some that are in order.
func (s stretches) behind(off int64) stretches {
	at, _ := slices.BinarySearchFunc(s, off, func(p [2]int64, off int64) int {
		if p[1] <= off {
			return -1
		}
		return 1
	})
	return s[at:]
}

// meets says whether they, which are in order, have something of a part.
func (s stretches) meets(from, to int64) bool {
	rest := s.behind(from)
	return len(rest) > 0 && rest[0][0] < to
}
