package sign

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// MaxPolicy is the size of the largest policy that is read, in bytes.
const MaxPolicy = 1 << 20

// The transports whose scopes count. Scopes of others in a policy are checked and not
// used.
const (
	// TransportDocker has names of images, or beginnings of names, for scopes.
	TransportDocker = "docker"
	// TransportBundle has names of bundles, or beginnings of them that end at a slash, and
	// "" for all bundles, signed with a name or not.
	TransportBundle = "dist-bundle"
)

// RequirementType is what a requirement wants.
type RequirementType string

// The types that are understood. Any other makes the whole policy an error.
const (
	AcceptAnything RequirementType = "insecureAcceptAnything"
	RejectAll      RequirementType = "reject"
	SignedBy       RequirementType = "sigstoreSigned"
)

// Requirement is one demand of a policy. Of a list all have to be met.
type Requirement struct {
	Type RequirementType
	// Keys, one of which has to vouch, of SignedBy.
	Keys     []*PublicKey
	Identity IdentityRule

	keyPath  string // as the policy has them
	keyPaths []string
	keyData  []string
	plural   bool // keyDatas, even if it is one
}

// Policy says whose signature which name needs: the grammar of
// containers-policy.json(5), as far as types and fields are understood, and read
// strictly. It is immutable and safe for concurrent use.
type Policy struct {
	Path       string // of its file, "" for none
	fallback   []Requirement
	transports map[string]map[string][]Requirement
	digest     oci.Digest
}

// ReadPolicy reads the policy in a file, and the keys that it names. Errors:
// ErrNotFound, ErrDenied; ErrInvalid for a policy that is malformed, and for a key
// that is missing or malformed: what cannot be understood whole is no policy.
func ReadPolicy(path string) (*Policy, error) {
	data, err := readFile(path, MaxPolicy)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	p, err := ParsePolicy(data)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	p.Path = path
	return p, nil
}

// ParsePolicy reads a policy. Keys in files are read from there.
func ParsePolicy(data []byte) (*Policy, error) {
	p := &Policy{transports: map[string]map[string][]Requirement{}}
	r := oci.NewStrictJSON(data)
	err := r.Object(func(key string) (err error) {
		switch key {
		case "default":
			p.fallback, err = readRequirements(r)
		case "transports":
			err = r.Object(func(transport string) error { return p.readTransport(r, transport) })
		default:
			err = r.Fail("no such key of a policy: %.40q", key)
		}
		return err
	})
	if err == nil {
		err = r.End()
	}
	if err == nil && p.fallback == nil {
		err = r.Fail("the policy has no default")
	}
	if err != nil {
		return nil, err
	}
	p.digest = p.digestOf(data)
	return p, nil
}

// digestOf names the policy with all keys: a file with a key may change while the
// policy does not.
func (p *Policy) digestOf(data []byte) oci.Digest {
	all := slices.Clone(data)
	for _, s := range p.Scopes() {
		for _, r := range s.Requirements {
			for _, k := range r.Keys {
				all = append(all, k.ID()...)
			}
		}
	}
	return oci.DigestBytes(all)
}

// Digest names the policy with the keys that it uses.
func (p *Policy) Digest() oci.Digest {
	if p.digest != "" {
		return p.digest
	}
	data, _ := p.Encode() // never written yet; of texts alone, which have no errors
	return p.digestOf(data)
}

func (p *Policy) readTransport(r *oci.StrictJSON, transport string) error {
	if transport == "" {
		return r.Fail("a transport has no name")
	}
	scopes := map[string][]Requirement{}
	p.transports[transport] = scopes
	return r.Object(func(scope string) (err error) {
		if err := checkScopeOf(transport, scope); err != nil {
			return r.Fail("%v", err)
		}
		if scopes[scope], err = readRequirements(r); err != nil || transport != TransportBundle {
			return err
		}
		if slices.ContainsFunc(scopes[scope], func(q Requirement) bool { return q.Identity.Type != "" }) {
			return r.Fail("bundles have no signedIdentity: the scope is their name")
		}
		return nil
	})
}

// checkScopeOf is checkScope, and its like for bundles.
func checkScopeOf(transport, scope string) error {
	switch {
	case transport == TransportDocker:
		return checkScope(scope)
	case transport == TransportBundle && scope != "":
		return oci.CheckBundleName(scope)
	}
	return nil
}

// checkScope refuses what could never match, such as a name that is not written in
// full: whoever wrote it takes it for protected.
func checkScope(scope string) error {
	if scope == "" {
		return nil
	}
	below := scope
	if domain, ok := strings.CutPrefix(scope, "*."); ok {
		if strings.ContainsAny(domain, "/@:") {
			return fmt.Errorf("scope %q: %w: *.DOMAIN stands alone, and holds for all ports", scope, content.ErrInvalid)
		}
		below = "x." + domain
	}
	if host, _, _ := strings.Cut(below, "/"); host != strings.ToLower(host) {
		return fmt.Errorf("scope %q: %w: write the host in lower case, it holds for all ways to write it", scope, content.ErrInvalid)
	}
	if r, err := oci.ParseScope(below); err == nil && r.Name() == below {
		return nil
	}
	ref, err := ParseIdentity(below)
	if err != nil || ref.String() != below || ref.Local() != ref {
		return fmt.Errorf("scope %q: %w: want a name in full, HOST/REPOSITORY, HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST, or its beginning", scope, content.ErrInvalid)
	}
	return nil
}

func readRequirements(r *oci.StrictJSON) ([]Requirement, error) {
	reqs := []Requirement{}
	err := r.List(func() error {
		req, err := readRequirement(r)
		reqs = append(reqs, req)
		return err
	})
	if err == nil && len(reqs) == 0 {
		err = r.Fail("a list of requirements is empty: want %s or %s at least", AcceptAnything, RejectAll)
	}
	return reqs, err
}

func readRequirement(r *oci.StrictJSON) (req Requirement, err error) {
	var fields []string
	err = r.Object(func(key string) (err error) {
		fields = append(fields, key)
		switch key {
		case "type":
			var word string
			word, err = r.Text()
			req.Type = RequirementType(word)
			if err == nil && !slices.Contains([]RequirementType{AcceptAnything, RejectAll, SignedBy}, req.Type) {
				err = r.Fail("requirement %.40q is not supported: want %s, %s or %s", word, SignedBy, RejectAll, AcceptAnything)
			}
		case "keyPath":
			req.keyPath, err = r.Text()
		case "keyPaths":
			req.keyPaths, err = r.Texts()
		case "keyData":
			var one string
			one, err = r.Text()
			req.keyData = []string{one}
		case "keyDatas":
			req.plural = true
			req.keyData, err = r.Texts()
		case "signedIdentity":
			req.Identity, err = readIdentityRule(r)
		default:
			err = r.Fail("field %.40q of a requirement is not supported", key)
		}
		return err
	})
	if err != nil {
		return req, err
	}
	if req.Type != SignedBy {
		if len(fields) != 1 || req.Type == "" {
			return req, r.Fail("a requirement of type %q has the fields %s", req.Type, strings.Join(fields, ", "))
		}
		return req, nil
	}
	if err := req.load(fields); err != nil {
		return req, r.Fail("%s", trimClass(err))
	}
	return req, nil
}

// load reads the keys, of which there is one source.
func (r *Requirement) load(fields []string) error {
	sources := 0
	for _, f := range fields {
		if strings.HasPrefix(f, "key") {
			sources++
		}
	}
	if sources != 1 {
		return fmt.Errorf("%w: %s wants one of keyPath, keyPaths, keyData and keyDatas", content.ErrInvalid, SignedBy)
	}
	paths := r.keyPaths
	if r.keyPath != "" {
		paths = []string{r.keyPath}
	}
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%w: keyPath %q: want an absolute path", content.ErrInvalid, path)
		}
		k, err := ReadPublicKey(path)
		if err != nil {
			return fmt.Errorf("%w: %v", content.ErrInvalid, err)
		}
		r.Keys = append(r.Keys, k)
	}
	for _, text := range r.keyData {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("%w: keyData is not in base64", content.ErrInvalid)
		}
		k, err := ParsePublicKey(data)
		if err != nil {
			return err
		}
		r.Keys = append(r.Keys, k)
	}
	if len(r.Keys) == 0 {
		return fmt.Errorf("%w: %s names no key", content.ErrInvalid, SignedBy)
	}
	return nil
}

func readIdentityRule(r *oci.StrictJSON) (rule IdentityRule, err error) {
	fields := map[string]string{}
	err = r.Object(func(key string) (err error) {
		switch key {
		case "type", "dockerReference", "dockerRepository", "prefix", "signedPrefix":
			fields[key], err = r.Text()
		default:
			err = r.Fail("no such key of a signedIdentity: %.40q", key)
		}
		return err
	})
	if err != nil {
		return rule, err
	}
	text, wants := fields["type"], map[IdentityType][]string{
		MatchExact: {}, MatchRepoDigestOrExact: {}, MatchRepository: {}, Unbound: {},
		ExactReference: {"dockerReference"}, ExactRepository: {"dockerRepository"}, RemapIdentity: {"prefix", "signedPrefix"},
	}
	want, known := wants[IdentityType(text)]
	if !known {
		return rule, r.Fail("signedIdentity %.40q is not supported", text)
	}
	if len(fields) != len(want)+1 {
		return rule, r.Fail("signedIdentity %s wants the fields %v beside its type", text, want)
	}
	for _, name := range want {
		text += "=" + fields[name]
	}
	if rule, err = ParseIdentityRule(text); err != nil {
		return rule, r.Fail("%s", trimClass(err))
	}
	return rule, nil
}

// For finds what a name needs: its scope, which is the longest that fits, and the
// requirements there. The scope is "" of a transport for all its names, and
// "default" where the transport says nothing. Of a name with a tag and a digest the
// digest counts. A host is the same in upper and lower case.
func (p *Policy) For(name oci.Reference) (scope string, reqs []Requirement) {
	scopes := p.transports[TransportDocker]
	for _, s := range scopesOf(name) {
		if reqs, ok := scopes[s]; ok {
			return s, reqs
		}
	}
	return ScopeDefault, p.fallback
}

// ForBundle finds what a bundle of that name needs, "" for one that has none: the
// longest scope that is the name or its beginning before a slash, then "" for all, then
// the policy's default. demanded is false where the policy does not speak of bundles at
// all: then nothing is asked of them, and of each image what the policy says for its
// name.
func (p *Policy) ForBundle(name string) (scope string, reqs []Requirement, demanded bool) {
	scopes, speaks := p.transports[TransportBundle]
	if !speaks {
		return "", nil, false
	}
	for s := name; s != ""; {
		if reqs, ok := scopes[s]; ok {
			return s, slices.Clone(reqs), true
		}
		s = s[:max(0, strings.LastIndexByte(s, '/'))]
	}
	if reqs, ok := scopes[""]; ok {
		return "", slices.Clone(reqs), true
	}
	return ScopeDefault, slices.Clone(p.fallback), true
}

// ScopeDefault stands for the policy's default.
const ScopeDefault = "default"

// scopesOf are the scopes that fit a name, the nearest first.
func scopesOf(name oci.Reference) []string {
	name.Registry = strings.ToLower(name.Registry)
	repo := name.Name()
	full := repo
	switch {
	case name.Digest != "":
		full = repo + "@" + name.Digest.String()
	case name.Tag != "":
		full = repo + ":" + name.Tag
	}
	all := []string{full}
	for s := repo; ; {
		all = append(all, s)
		i := strings.LastIndexByte(s, '/')
		if i < 0 {
			break
		}
		s = s[:i]
	}
	domain, _, _ := strings.Cut(name.Registry, ":") // a domain's names have any port
	for {
		i := strings.IndexByte(domain, '.')
		if i < 0 {
			break
		}
		domain = domain[i+1:]
		all = append(all, "*."+domain)
	}
	return append(all, "")
}

// ReadPublicKey reads a public key in PEM from a file.
func ReadPublicKey(path string) (*PublicKey, error) {
	data, err := readFile(path, MaxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("public key %s: %w", path, err)
	}
	k, err := ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}
