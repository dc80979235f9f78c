package bundle

import (
	"fmt"
	"runtime"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// place is where an image is, and which one of those there.
type place struct {
	path   string
	name   string     // a tag or a reference, "" for none
	digest oci.Digest // "" for none; decides before name
}

// parsePlace reads PATH[:NAME][@DIGEST].
func parsePlace(s string) (place, error) {
	var p place
	rest := s
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		if d, err := oci.ParseDigest(s[at+1:]); err == nil {
			p.digest, rest = d, s[:at]
		}
	}
	from := 0
	if runtime.GOOS == "windows" && len(rest) > 2 && rest[1] == ':' && (rest[2] == '\\' || rest[2] == '/') {
		from = 2
	}
	path, name, named := strings.Cut(rest[from:], ":")
	p.path, p.name = rest[:from]+path, name
	switch {
	case p.path == "":
		return p, fmt.Errorf("place %q: %w: no path", s, content.ErrInvalid)
	case strings.ContainsRune(p.path, 0):
		return p, fmt.Errorf("place %q: %w: a path without NUL is wanted", s, content.ErrInvalid)
	case named && p.name == "":
		return p, fmt.Errorf("place %q: %w: nothing stands behind the colon", s, content.ErrInvalid)
	}
	if _, _, err := p.names(oci.Reference{}); err != nil {
		return p, fmt.Errorf("place %q: %w", s, err)
	}
	return p, nil
}

// writable refuses what makes no sense in a place that is written to.
func (p place) writable() error {
	if p.digest != "" {
		return fmt.Errorf("write to %s@%s: %w: what is written has the digest that it has", p.path, p.digest, content.ErrInvalid)
	}
	return nil
}

// names are the full reference and the tag under which an image goes into p, where
// given is the name that it comes with. Both may be missing.
func (p place) names(given oci.Reference) (full oci.Reference, tag string, err error) {
	switch {
	case p.name == "":
		return given.Local(), given.Local().Tag, nil
	case isReference(p.name):
		full, err = oci.ParseReference(p.name)
		return full.Local(), full.Local().Tag, err
	}
	if given == (oci.Reference{}) {
		// The repository serves the check of the tag alone.
		_, err = oci.Reference{Registry: oci.DockerHub, Repository: "library/x"}.WithTag(p.name)
		return oci.Reference{}, p.name, err
	}
	full, err = given.WithTag(p.name)
	return full, p.name, err
}

// isReference tells a reference from a tag.
func isReference(name string) bool { return strings.ContainsAny(name, "/:") }
