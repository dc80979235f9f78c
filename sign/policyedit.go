package sign

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// NewPolicy is the policy of who has none: everything is accepted.
func NewPolicy() *Policy {
	return &Policy{
		fallback:   []Requirement{{Type: AcceptAnything}},
		transports: map[string]map[string][]Requirement{},
	}
}

// Scope is one entry of a policy.
type Scope struct {
	Transport    string // "" of the default
	Scope        string // ScopeDefault of the default
	Requirements []Requirement
}

// Scopes lists the entries: the default, then those of each transport by name.
func (p *Policy) Scopes() []Scope {
	all := []Scope{{"", ScopeDefault, p.fallback}}
	for _, transport := range sortedKeys(p.transports) {
		for _, scope := range sortedKeys(p.transports[transport]) {
			all = append(all, Scope{transport, scope, p.transports[transport][scope]})
		}
	}
	return all
}

// With is p with a key for a scope of a transport, images or bundles: as one more of the
// keys of the rule for the same identity, or in a rule of its own, which has to be met
// beside the others. What accepted or rejected everything there goes. Errors: ErrInvalid
// for a scope that could never match; ErrUnsupported where the rule for that identity
// names its keys by their files.
func (p *Policy) With(transport, scope string, key *PublicKey, identity IdentityRule) (*Policy, error) {
	if err := checkScopeOf(transport, scope); err != nil {
		return nil, err
	}
	n := p.clone()
	scopes := n.transports[transport]
	if scopes == nil {
		scopes = map[string][]Requirement{}
		n.transports[transport] = scopes
	}
	reqs := slices.DeleteFunc(scopes[scope], func(r Requirement) bool { return r.Type != SignedBy })
	i := slices.IndexFunc(reqs, func(r Requirement) bool { return r.Identity.String() == identity.String() })
	switch {
	case i < 0:
		reqs = append(reqs, Requirement{Type: SignedBy, Identity: identity}.withKey(key))
	case reqs[i].has(key):
	case reqs[i].inFiles():
		return nil, fmt.Errorf("scope %q: %w: its rule names the keys by their files: name this one so, too", scope, content.ErrUnsupported)
	default:
		reqs[i] = reqs[i].withKey(key)
	}
	scopes[scope] = reqs
	return n, nil
}

// Without is p without a key, in one scope of a transport or, for nil, wherever it stands.
// A rule that loses its last key rejects everything from then on: nothing becomes
// acceptable by that. Without a key the scope itself goes. Errors: ErrNotFound when
// nothing of it is there; ErrInvalid for neither a key nor a scope; ErrUnsupported for
// a key that the policy names by its file.
func (p *Policy) Without(transport string, scope *string, key *PublicKey) (*Policy, error) {
	n := p.clone()
	if key == nil && scope == nil {
		return nil, fmt.Errorf("%w: neither a key nor a scope is given", content.ErrInvalid)
	}
	if key == nil {
		if _, ok := n.transports[transport][*scope]; !ok {
			return nil, fmt.Errorf("scope %q: %w in the policy", *scope, content.ErrNotFound)
		}
		delete(n.transports[transport], *scope)
		if len(n.transports[transport]) == 0 { // as if it had never been spoken of
			delete(n.transports, transport)
		}
		return n, nil
	}
	found := false
	for _, s := range n.Scopes() {
		if scope != nil && (s.Transport != transport || s.Scope != *scope) {
			continue
		}
		left, had, err := withoutKey(s.Requirements, key)
		if err != nil {
			return nil, fmt.Errorf("scope %q: %w", s.Scope, err)
		}
		found = found || had
		if s.Transport == "" {
			n.fallback = left
		} else {
			n.transports[s.Transport][s.Scope] = left
		}
	}
	if !found {
		return nil, fmt.Errorf("key %s: %w in the policy", key.ID(), content.ErrNotFound)
	}
	return n, nil
}

func withoutKey(reqs []Requirement, key *PublicKey) (left []Requirement, had bool, err error) {
	for _, r := range reqs {
		if r.Type != SignedBy || !r.has(key) {
			left = append(left, r)
			continue
		}
		if r.inFiles() {
			return nil, false, fmt.Errorf("%w: it names the key by its file", content.ErrUnsupported)
		}
		had = true
		keys := slices.DeleteFunc(slices.Clone(r.Keys), func(k *PublicKey) bool { return k.ID() == key.ID() })
		r.Keys, r.keyData = nil, nil
		for _, k := range keys {
			r = r.withKey(k)
		}
		if len(keys) == 0 {
			// Other rules beside it would ask for less than before.
			r = Requirement{Type: RejectAll}
		}
		left = append(left, r)
	}
	return left, had, nil
}

// WithDefault is p with another default: AcceptAnything or RejectAll. Errors:
// ErrInvalid for any other.
func (p *Policy) WithDefault(t RequirementType) (*Policy, error) {
	if t != AcceptAnything && t != RejectAll {
		return nil, fmt.Errorf("default %q: %w: want %s or %s", t, content.ErrInvalid, AcceptAnything, RejectAll)
	}
	n := p.clone()
	n.fallback = []Requirement{{Type: t}}
	return n, nil
}

func (p *Policy) clone() *Policy {
	n := &Policy{Path: p.Path, fallback: slices.Clone(p.fallback), transports: map[string]map[string][]Requirement{}}
	for transport, scopes := range p.transports {
		n.transports[transport] = maps.Clone(scopes)
		for s, reqs := range scopes {
			n.transports[transport][s] = slices.Clone(reqs)
		}
	}
	return n
}

func (r Requirement) has(key *PublicKey) bool {
	return slices.ContainsFunc(r.Keys, func(k *PublicKey) bool { return k.ID() == key.ID() })
}

// inFiles says whether the policy names the keys by their files.
func (r Requirement) inFiles() bool { return r.keyPath != "" || len(r.keyPaths) > 0 }

// withKey adds a key, which the policy then holds itself.
func (r Requirement) withKey(key *PublicKey) Requirement {
	r.Keys = append(slices.Clone(r.Keys), key)
	r.keyData = append(slices.Clone(r.keyData), base64.StdEncoding.EncodeToString(key.PEM()))
	r.plural = len(r.keyData) > 1
	return r
}

// MarshalJSON implements json.Marshaler, in the grammar of the policy's file.
func (r Requirement) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"type": r.Type}
	switch {
	case r.keyPath != "":
		fields["keyPath"] = r.keyPath
	case len(r.keyPaths) > 0:
		fields["keyPaths"] = r.keyPaths
	case r.plural:
		fields["keyDatas"] = r.keyData
	case len(r.keyData) == 1:
		fields["keyData"] = r.keyData[0]
	}
	if r.Identity.Type != "" {
		fields["signedIdentity"] = r.Identity.fields()
	}
	return json.Marshal(fields)
}

func (r IdentityRule) fields() map[string]string {
	f := map[string]string{"type": string(r.Type)}
	switch r.Type {
	case ExactReference:
		f["dockerReference"] = r.Exact.String()
	case ExactRepository:
		f["dockerRepository"] = r.Exact.Name()
	case RemapIdentity:
		f["prefix"], f["signedPrefix"] = r.Prefix, r.SignedPrefix
	}
	return f
}

// Encode is the policy as a file.
func (p *Policy) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	doc := struct {
		Default    []Requirement                       `json:"default"`
		Transports map[string]map[string][]Requirement `json:"transports,omitempty"`
	}{p.fallback, p.transports}
	err := enc.Encode(doc)
	return b.Bytes(), err
}

// policyMode is that of a new policy: who is trusted is no secret.
const policyMode fs.FileMode = 0o644

// EditPolicy changes the policy in a file, or makes one: change gets what is there,
// NewPolicy where there is no file. One process at a time does so. What is written has
// been read back. Errors: as ReadPolicy, what change returns, those of fsys.Rewrite.
func EditPolicy(ctx context.Context, path string, change func(*Policy) (*Policy, error)) (*Policy, error) {
	var now *Policy
	err := fsys.Rewrite(ctx, path, fsys.Rewriting{FS: fsys.OS(), Limit: MaxPolicy, Mode: policyMode, KeepMode: true}, func(old []byte) ([]byte, error) {
		p := NewPolicy()
		var err error
		if old != nil { // there is a file, and an empty one is as malformed here as to ReadPolicy
			if p, err = ParsePolicy(old); err != nil {
				return nil, err
			}
		}
		if p, err = change(p); err != nil {
			return nil, err
		}
		data, err := p.Encode()
		if err != nil {
			return nil, err
		}
		now, err = ParsePolicy(data)
		return data, err
	})
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", path, err)
	}
	now.Path = path
	return now, nil
}

// Lint says what in the policy other readers of such files would not accept, or
// would read otherwise, and what its author should know.
func (p *Policy) Lint() []string {
	var found []string
	for _, s := range p.Scopes() {
		say := func(format string, args ...any) {
			where := s.Scope
			if s.Transport != "" {
				where = fmt.Sprintf("%s %q", s.Transport, s.Scope)
			}
			found = append(found, where+": "+fmt.Sprintf(format, args...))
		}
		for _, r := range s.Requirements {
			r.lint(len(s.Requirements) == 1, say)
		}
		switch {
		case !acceptsAnything(s.Requirements):
		case s.Transport == "":
			say("every name without a scope of its own is accepted, signed or not")
		case s.Transport == TransportDocker && s.Scope == "":
			say("every image without a narrower scope is accepted, signed or not")
		case s.Transport == TransportBundle && s.Scope == "":
			say("every bundle without a narrower scope is accepted, signed or not")
		}
		if !slices.Contains([]string{"", TransportDocker, TransportBundle}, s.Transport) {
			say("dist has no such transport, and does not use this")
		}
	}
	if p.OpenBundles() {
		found = append(found, TransportBundle+": bundles of other names, and those that have none, are accepted, signed or not")
	}
	return found
}

// OpenBundles says that the policy speaks of some bundles, and takes all others, signed or
// not.
func (p *Policy) OpenBundles() bool {
	scopes, speaks := p.transports[TransportBundle]
	return speaks && scopes[""] == nil && acceptsAnything(p.fallback)
}

func acceptsAnything(reqs []Requirement) bool {
	return !slices.ContainsFunc(reqs, func(r Requirement) bool { return r.Type != AcceptAnything })
}

func (r Requirement) lint(alone bool, say func(format string, args ...any)) {
	if r.Type == AcceptAnything && !alone {
		say("%s beside other requirements changes nothing", AcceptAnything)
	}
	if r.Identity.Type == Unbound {
		say("signedIdentity %s is known to dist alone: other readers refuse the whole file", Unbound)
	}
	if len(r.keyPaths) > 0 || r.plural {
		say("keyPaths and keyDatas need readers of containers/image v5.33 or later")
	}
	for _, path := range append(slices.Clone(r.keyPaths), r.keyPath) {
		if strings.HasSuffix(path, privateSuffix) {
			say("%s is named like a private key", path)
		}
	}
}

// KeyIDs are the ids of the keys of a requirement.
func (r Requirement) KeyIDs() []oci.Digest {
	var ids []oci.Digest
	for _, k := range r.Keys {
		ids = append(ids, k.ID())
	}
	return ids
}
