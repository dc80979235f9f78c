package oci

import (
	"bytes"
	"fmt"
	"iter"
	"sort"
)

// DigestSet is a set of digests that takes 33 bytes for each of sha256. The zero value
// is empty. Reading it is safe for concurrent use.
type DigestSet struct {
	raws [3][]byte // by the algorithm's byte: raw forms in order
}

// rawWidth is the length of the raw form by the algorithm's byte.
func rawWidth(alg byte) int { return [...]int{0, 33, 65}[alg] }

// AppendRaw adds digests in their raw form (RawDigest), all of one algorithm, each
// greater than those of it that are in the set. Errors: ErrInvalid.
func (s *DigestSet) AppendRaw(block []byte) error {
	if len(block) == 0 {
		return nil
	}
	alg := block[0]
	if alg != 1 && alg != 2 || len(block)%rawWidth(alg) != 0 {
		return fmt.Errorf("raw digests of %d bytes: %w", len(block), ErrInvalid)
	}
	width, last := rawWidth(alg), []byte(nil)
	if had := s.raws[alg]; len(had) > 0 {
		last = had[len(had)-width:]
	}
	for at := 0; at < len(block); at += width {
		next := block[at : at+width]
		if next[0] != alg || bytes.Compare(last, next) >= 0 {
			return fmt.Errorf("raw digests: %w: they are not in order, each once", ErrInvalid)
		}
		last = next
	}
	s.raws[alg] = append(s.raws[alg], block...)
	return nil
}

// Has says whether d is in the set.
func (s *DigestSet) Has(d Digest) bool {
	raw, err := RawDigest(d)
	return err == nil && s.HasRaw(raw)
}

// HasRaw is Has for a digest in its raw form; false for what is none.
func (s *DigestSet) HasRaw(raw []byte) bool {
	if len(raw) == 0 || int(raw[0]) >= len(s.raws) || len(raw) != rawWidth(raw[0]) {
		return false
	}
	all, width := s.raws[raw[0]], len(raw)
	n := len(all) / width
	i := sort.Search(n, func(i int) bool { return bytes.Compare(all[i*width:(i+1)*width], raw) >= 0 })
	return i < n && bytes.Equal(all[i*width:(i+1)*width], raw)
}

// Raws yields the raw forms in order. They are the set's own, and not to be changed.
func (s *DigestSet) Raws() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for alg, all := range s.raws {
			width := rawWidth(byte(alg))
			for ; len(all) > 0; all = all[width:] {
				if !yield(all[:width:width]) {
					return
				}
			}
		}
	}
}

// Count is how many digests of an algorithm are in the set.
func (s *DigestSet) Count(a Algorithm) int {
	if a == SHA512 {
		return len(s.raws[2]) / rawWidth(2)
	}
	return len(s.raws[1]) / rawWidth(1)
}

// Len is how many digests are in the set.
func (s *DigestSet) Len() int { return s.Count(SHA256) + s.Count(SHA512) }
