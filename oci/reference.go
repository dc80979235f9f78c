package oci

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// DockerHub is the registry that names without a host belong to.
const DockerHub = "docker.io"

// Reference is a normalised name of content in a registry. Registry and
// Repository are always set; Tag, Digest, both or (for a bare repository)
// neither are. Two References are equal exactly when their Strings are.
type Reference struct {
	Registry   string // host or host:port, as written: docker.io, localhost:5000
	Repository string // path below the host: library/redis
	Tag        string
	Digest     Digest
}

// ParseReference reads a reference by Docker's rules: no host means docker.io,
// one path component there means library/, neither tag nor digest means the tag
// latest. A first component is a host only if it has a dot, a colon or an upper
// case letter, or is localhost. A word of 64 hex digits is refused, since
// nobody can tell it from an id, and so is a digest, which would read as an image
// sha256 with a long tag.
func ParseReference(s string) (Reference, error) {
	r, err := parse(s)
	if err != nil {
		return Reference{}, err
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = "latest"
	}
	return r, nil
}

// ParseRepository reads a locator: a repository without tag or digest.
func ParseRepository(s string) (Reference, error) {
	r, err := parse(s)
	if err != nil {
		return Reference{}, err
	}
	if r.Tag != "" || r.Digest != "" {
		return Reference{}, fmt.Errorf("repository %q: %w: give it without tag or digest: %s", s, ErrInvalid, r.Name())
	}
	return r, nil
}

func parse(s string) (Reference, error) {
	if _, err := ParseDigest(s); err == nil {
		return Reference{}, fmt.Errorf("reference %q: %w: it is a digest: put a repository and @ before it", s, ErrInvalid)
	}
	if strings.Contains(s, "@{") {
		return Reference{}, fmt.Errorf("reference %q: %w: what a name was, with @{…}, can be read from the store, and nothing else", s, ErrInvalid)
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w: %s", s, ErrInvalid, strings.TrimPrefix(err.Error(), "invalid reference format: "))
	}
	r := Reference{Registry: reference.Domain(named), Repository: reference.Path(named)}
	if r.Registry == "" {
		// A host with an underscore passes the library as a name without a host.
		return Reference{}, fmt.Errorf("reference %q: %w: the host has letters, digits, '.' and '-' only", s, ErrInvalid)
	}
	if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		if r.Digest, err = ParseDigest(d.Digest().String()); err != nil {
			return Reference{}, fmt.Errorf("reference %q: %w", s, err)
		}
	}
	return r, nil
}

// Name is host and repository: docker.io/library/redis. That of a whole registry
// (ParseScope) is its host.
func (r Reference) Name() string {
	if r.Repository == "" {
		return r.Registry
	}
	return r.Registry + "/" + r.Repository
}

// String is the full reference: name, then :tag and @digest where they are set.
func (r Reference) String() string {
	s := r.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// Identifier is what a registry is asked for: the digest if there is one, else
// the tag.
func (r Reference) Identifier() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// Local is the name under which a store keeps what r names: name:tag, and
// name@digest for a reference with a digest, whose tag is dropped since the
// digest decides (as Docker does).
func (r Reference) Local() Reference {
	if r.Digest != "" {
		r.Tag = ""
	}
	return r
}

// maxTag is the length of the longest tag that distribution-spec allows.
const maxTag = 128

// IsTag says whether s has the form of a tag.
func IsTag(s string) bool {
	if s == "" || len(s) > maxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// WithTag is r's repository at another tag, without digest.
func (r Reference) WithTag(tag string) (Reference, error) {
	if !IsTag(tag) {
		return Reference{}, fmt.Errorf("tag %q: %w: want 1 to 128 of letters, digits, '_', '.', '-', not beginning with '.' or '-'", tag, ErrInvalid)
	}
	r.Tag, r.Digest = tag, ""
	return r, nil
}

// WithDigest is r's repository at d, without tag.
func (r Reference) WithDigest(d Digest) Reference {
	r.Tag, r.Digest = "", d
	return r
}

// WithRegistry is r on another host (host or host:port), its path kept; a path
// of one component becomes library/… on Docker Hub, which has no other.
func (r Reference) WithRegistry(host string) (Reference, error) {
	got, err := parse(host + "/" + r.Repository)
	hub := host == DockerHub || host == "index."+DockerHub
	if err != nil || !hub && (got.Registry != host || got.Repository != r.Repository) {
		return Reference{}, fmt.Errorf("registry %q: %w: want HOST or HOST:PORT, the host with a dot or localhost", host, ErrInvalid)
	}
	r.Registry, r.Repository = got.Registry, got.Repository
	return r, nil
}
