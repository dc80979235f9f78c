package oci

import (
	"fmt"
	"strings"
)

// maxBundleName bounds the name of a bundle.
const maxBundleName = 128

// CheckBundleName refuses what cannot be the name of a bundle (docs/FORMATS.md): words
// with slashes between them, 128 characters at most, each word of letters, digits, dots,
// hyphens and underscores, with a letter or a digit in front. Errors: ErrInvalid.
func CheckBundleName(name string) error {
	if name == "all" { // as a scope, it is that of every bundle
		return fmt.Errorf("bundle name %q: %w: it stands for all bundles", name, ErrInvalid)
	}
	if len(name) <= maxBundleName && areBundleWords(strings.Split(name, "/")) {
		return nil
	}
	return fmt.Errorf("bundle name %.140q: %w: want words of letters, digits, dots, hyphens and underscores, with slashes between them, %d characters at most",
		name, ErrInvalid, maxBundleName)
}

func areBundleWords(words []string) bool {
	for _, w := range words {
		for i, c := range []byte(w) {
			letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
			if !letter && (i == 0 || strings.IndexByte("._-", c) < 0) {
				return false
			}
		}
		if w == "" {
			return false
		}
	}
	return true
}
