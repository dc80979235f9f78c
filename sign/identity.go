package sign

import (
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// ParseIdentity reads the name that something is signed for: host/repository, which
// may have a tag or a digest. Unlike a reference it gets no tag that it has not.
// Errors: ErrInvalid.
func ParseIdentity(s string) (oci.Reference, error) {
	if r, err := oci.ParseRepository(s); err == nil {
		return r, nil
	}
	return oci.ParseReference(s)
}

// IdentityType is how a rule compares the name in a signature with the name that is
// asked for (containers-policy.json(5), signedIdentity).
type IdentityType string

// The types. Unbound is of this program alone.
const (
	MatchExact             IdentityType = "matchExact"
	MatchRepoDigestOrExact IdentityType = "matchRepoDigestOrExact"
	MatchRepository        IdentityType = "matchRepository"
	ExactReference         IdentityType = "exactReference"
	ExactRepository        IdentityType = "exactRepository"
	RemapIdentity          IdentityType = "remapIdentity"
	Unbound                IdentityType = "unbound"

	// anyIdentity is for what has no name of an image.
	anyIdentity IdentityType = "any"
)

// IdentityRule says which names in a signature are good for a name that is asked
// for. The zero value is MatchRepoDigestOrExact: a tag needs a signature for that very
// tag, a digest one for its repository. Other readers of such rules do not take a
// signature for a bare repository there, and of a name with tag and digest want both
// signed: here the digest, which the signature has to be about, decides.
type IdentityRule struct {
	Type IdentityType
	// Reference or repository of ExactReference and ExactRepository.
	Exact oci.Reference
	// Prefix of the names that RemapIdentity maps, and what it is signed as.
	Prefix, SignedPrefix string
}

// ParseIdentityRule reads the rule of a flag: the word of a type that needs no more,
// exactReference=NAME, exactRepository=NAME, or remapIdentity=PREFIX=SIGNEDPREFIX.
// Errors: ErrInvalid.
func ParseIdentityRule(s string) (IdentityRule, error) {
	word, rest, given := strings.Cut(s, "=")
	r := IdentityRule{Type: IdentityType(word)}
	switch r.Type {
	case MatchExact, MatchRepoDigestOrExact, MatchRepository, Unbound:
		if given {
			return r, fmt.Errorf("identity %q: %w: %s stands alone", s, content.ErrInvalid, word)
		}
		return r, nil
	case ExactReference, ExactRepository:
		err := r.setExact(rest) // before r is read
		return r, err
	case RemapIdentity:
		var ok bool
		if r.Prefix, r.SignedPrefix, ok = strings.Cut(rest, "="); !ok {
			return r, fmt.Errorf("identity %q: %w: want remapIdentity=PREFIX=SIGNEDPREFIX", s, content.ErrInvalid)
		}
		return r, r.checkPrefixes()
	}
	return r, fmt.Errorf("identity %q: %w: want %s, %s, %s, %s, exactReference=NAME, exactRepository=NAME or remapIdentity=PREFIX=SIGNEDPREFIX",
		s, content.ErrInvalid, MatchRepoDigestOrExact, MatchExact, MatchRepository, Unbound)
}

func (r *IdentityRule) setExact(name string) (err error) {
	if r.Type == ExactRepository {
		r.Exact, err = oci.ParseRepository(name)
		return err
	}
	if r.Exact, err = ParseIdentity(name); err == nil && r.Exact.Tag == "" && r.Exact.Digest == "" {
		err = fmt.Errorf("reference %q: %w: want one with a tag or a digest", name, content.ErrInvalid)
	}
	return err
}

func (r *IdentityRule) checkPrefixes() error {
	for _, p := range []string{r.Prefix, r.SignedPrefix} {
		switch scope, err := oci.ParseScope(p); {
		case err != nil:
			return err
		case scope.Name() != p:
			return fmt.Errorf("prefix %q: %w: names begin with %s", p, content.ErrInvalid, scope.Name())
		}
	}
	return nil
}

// String is the rule as ParseIdentityRule takes it.
func (r IdentityRule) String() string {
	switch r.Type {
	case "":
		return string(MatchRepoDigestOrExact)
	case ExactReference, ExactRepository:
		return fmt.Sprintf("%s=%s", r.Type, r.Exact)
	case RemapIdentity:
		return fmt.Sprintf("%s=%s=%s", r.Type, r.Prefix, r.SignedPrefix)
	}
	return string(r.Type)
}

// takes says whether a signature for identity is good for the name want.
func (r IdentityRule) takes(want oci.Reference, identity string) bool {
	if r.Type == anyIdentity {
		return true
	}
	if identity == "" {
		return r.Type == Unbound
	}
	signed, err := ParseIdentity(identity)
	if err != nil {
		return false
	}
	switch r.Type {
	case MatchExact:
		return exactly(want, signed)
	case MatchRepository:
		return want.Name() == signed.Name()
	case ExactReference:
		return signed == r.Exact
	case ExactRepository:
		return signed.Name() == r.Exact.Name()
	case RemapIdentity:
		if want, err = r.remap(want); err != nil {
			return false
		}
	}
	// Of unbound, too: a signature that says who it is for is held to that.
	return exactlyOrRepository(want, signed)
}

func exactly(want, signed oci.Reference) bool {
	return want == signed && (want.Tag != "" || want.Digest != "")
}

func exactlyOrRepository(want, signed oci.Reference) bool {
	if want.Digest != "" {
		return want.Name() == signed.Name()
	}
	return exactly(want, signed)
}

// remap is want as it is called in signatures, in full.
func (r IdentityRule) remap(want oci.Reference) (oci.Reference, error) {
	rest, ok := strings.CutPrefix(want.Name(), r.Prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return want, nil
	}
	name := r.SignedPrefix + rest
	mapped, err := oci.ParseRepository(name)
	if err == nil && mapped.Name() != name {
		err = fmt.Errorf("repository %q: %w: its full name is %s", name, content.ErrInvalid, mapped.Name())
	}
	want.Registry, want.Repository = mapped.Registry, mapped.Repository
	return want, err
}
