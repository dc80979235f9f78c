package sign_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

const scope = "registry.example/team"

// rules are what a policy demands of a scope, in short.
func rules(p *sign.Policy, transport, scope string) string {
	for _, s := range p.Scopes() {
		if s.Transport != transport || s.Scope != scope {
			continue
		}
		var all []string
		for _, r := range s.Requirements {
			one := string(r.Type)
			if r.Type == sign.SignedBy {
				one = r.Identity.String()
			}
			for _, id := range r.KeyIDs() {
				one += " " + id.Encoded()[:8]
			}
			all = append(all, one)
		}
		return strings.Join(all, " and ")
	}
	return "nothing"
}

func short(s *sign.Signer) string { return s.Public().ID().Encoded()[:8] }

func with(t testing.TB, p *sign.Policy, scope string, s *sign.Signer, rule sign.IdentityRule) *sign.Policy {
	t.Helper()
	p, err := p.With(sign.TransportDocker, scope, s.Public(), rule)
	must(t, err)
	return p
}

func without(t testing.TB, p *sign.Policy, scope string, s *sign.Signer) *sign.Policy {
	t.Helper()
	p, err := p.Without(sign.TransportDocker, in(scope), s.Public())
	must(t, err)
	return p
}

func expectRules(t testing.TB, p *sign.Policy, transport, scope, want string) {
	t.Helper()
	if got := rules(p, transport, scope); got != want {
		t.Errorf("%s %q demands %s, want %s", transport, scope, got, want)
	}
	if data, err := p.Encode(); err != nil || rules(parsePolicy(t, string(data)), transport, scope) != want {
		t.Errorf("%s %q as a file: %v: %s", transport, scope, err, data)
	}
}

func TestAKeyIsAddedToTheRuleOfItsIdentity(t *testing.T) {
	t.Parallel()
	one, two, three := key(t, sign.ECDSA), key(t, sign.Ed25519), key(t, sign.RSA)
	before := sign.NewPolicy()
	p := with(t, before, scope, one, sign.IdentityRule{})
	expectRules(t, p, "docker", scope, "matchRepoDigestOrExact "+short(one))
	expectRules(t, before, "docker", scope, "nothing")
	p = with(t, p, scope, two, sign.IdentityRule{Type: sign.MatchRepoDigestOrExact})
	p = with(t, p, scope, two, sign.IdentityRule{})
	expectRules(t, p, "docker", scope, "matchRepoDigestOrExact "+short(one)+" "+short(two))
	p = with(t, p, scope, three, sign.IdentityRule{Type: sign.MatchRepository})
	expectRules(t, p, "docker", scope, "matchRepoDigestOrExact "+short(one)+" "+short(two)+" and matchRepository "+short(three))
	expectRules(t, p, "", sign.ScopeDefault, "insecureAcceptAnything")
	expectRules(t, with(t, p, "", one, sign.IdentityRule{}), "docker", "", "matchRepoDigestOrExact "+short(one))
}

// A rejection beside the rule would make the key count for nothing, and whatever is
// accepted beside it is none the less demanded.
func TestAKeyReplacesWhatAcceptsOrRejects(t *testing.T) {
	t.Parallel()
	one, two := key(t, sign.ECDSA), key(t, sign.Ed25519)
	rule := `{"type":"sigstoreSigned","keyData":"` + encoded(one) + `"}`
	for _, beside := range []string{`{"type":"reject"}`, `{"type":"insecureAcceptAnything"}`} {
		for _, list := range []string{beside + "," + rule, rule + "," + beside} {
			p := parsePolicy(t, `{"default":`+accept+`,"transports":{"docker":{"`+scope+`":[`+list+`]}}}`)
			expectRules(t, with(t, p, scope, one, sign.IdentityRule{}), "docker", scope, "matchRepoDigestOrExact "+short(one))
			expectRules(t, with(t, p, scope, two, sign.IdentityRule{}), "docker", scope, "matchRepoDigestOrExact "+short(one)+" "+short(two))
		}
		p := parsePolicy(t, `{"default":`+accept+`,"transports":{"docker":{"`+scope+`":[`+beside+`]}}}`)
		expectRules(t, with(t, p, scope, one, sign.IdentityRule{}), "docker", scope, "matchRepoDigestOrExact "+short(one))
	}
}

func TestNothingBecomesAcceptableByRemovingAKey(t *testing.T) {
	t.Parallel()
	one, two, three := key(t, sign.ECDSA), key(t, sign.Ed25519), key(t, sign.RSA)
	p := with(t, with(t, sign.NewPolicy(), scope, one, sign.IdentityRule{}), scope, two, sign.IdentityRule{})
	p = with(t, p, scope, three, sign.IdentityRule{Type: sign.MatchRepository})
	p = without(t, p, scope, one)
	expectRules(t, p, "docker", scope, "matchRepoDigestOrExact "+short(two)+" and matchRepository "+short(three))
	expectRules(t, without(t, p, scope, two), "docker", scope, "reject and matchRepository "+short(three))
	p = without(t, p, scope, three)
	expectRules(t, p, "docker", scope, "matchRepoDigestOrExact "+short(two)+" and reject")

	subject := manifest("{}")
	v := p.Judge(reference(t, name), subject, both(t, two, statement(subject, name)), sign.Facts{})
	if v.Accepted || !errors.Is(v.Err(), content.ErrUntrusted) {
		t.Errorf("the key that was one of two makes %+v", v)
	}
	expectRules(t, without(t, p, scope, two), "docker", scope, "reject and reject")
	expectRules(t, with(t, p, scope, one, sign.IdentityRule{}), "docker", scope, "matchRepoDigestOrExact "+short(two)+" "+short(one))
}

func TestAKeyIsRemovedWhereverItStands(t *testing.T) {
	t.Parallel()
	one, two := key(t, sign.ECDSA), key(t, sign.Ed25519)
	signed := `[{"type":"sigstoreSigned","keyData":"` + encoded(one) + `"}]`
	p := parsePolicy(t, `{"default":`+signed+`,"transports":{"docker":{"":`+signed+`,"registry.example":`+accept+`},"dist-bundle":{"app":`+signed+`},"oci":{"/x":`+signed+`}}}`)
	p = with(t, p, scope, one, sign.IdentityRule{})
	p = with(t, p, scope, two, sign.IdentityRule{})
	gone := without(t, p, "", one)
	expectRules(t, gone, "", sign.ScopeDefault, "reject")
	expectRules(t, gone, "docker", "", "reject")
	expectRules(t, gone, "dist-bundle", "app", "reject")
	expectRules(t, gone, "oci", "/x", "reject")
	expectRules(t, gone, "docker", "registry.example", "insecureAcceptAnything")
	expectRules(t, gone, "docker", scope, "matchRepoDigestOrExact "+short(two))

	gone = without(t, p, scope, one)
	expectRules(t, gone, "docker", scope, "matchRepoDigestOrExact "+short(two))
	expectRules(t, gone, "", sign.ScopeDefault, "matchRepoDigestOrExact "+short(one))

	for _, s := range []string{scope, "registry.example"} {
		if _, err := gone.Without(sign.TransportDocker, &s, one.Public()); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("removing what is not in %s: %v", s, err)
		}
	}
	if _, err := p.Without(sign.TransportDocker, nil, key(t, sign.RSA).Public()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("removing a key that is nowhere: %v", err)
	}
}

// in is a scope to look into, nil for all.
func in(scope string) *string {
	if scope == "" {
		return nil
	}
	return &scope
}

func TestAScopeIsRemoved(t *testing.T) {
	t.Parallel()
	p := with(t, sign.NewPolicy(), scope, key(t, sign.ECDSA), sign.IdentityRule{})
	q, err := p.Without(sign.TransportDocker, in(scope), nil)
	must(t, err)
	expectRules(t, q, "docker", scope, "nothing")
	for _, s := range []string{"registry.example", ""} {
		if _, err := p.Without(sign.TransportDocker, &s, nil); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("removing scope %q, which is not there: %v", s, err)
		}
	}
	if _, err := sign.NewPolicy().Without(sign.TransportDocker, in(scope), nil); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("removing a scope of none: %v", err)
	}
}

func TestKeysInFilesAreNotEdited(t *testing.T) {
	t.Parallel()
	one, two := key(t, sign.ECDSA), key(t, sign.Ed25519)
	file := filepath.Join(t.TempDir(), "one.pub")
	writeFile(t, file, one.Public().PEM())
	p := parsePolicy(t, `{"default":`+accept+`,"transports":{"docker":{"`+scope+`":[{"type":"sigstoreSigned","keyPath":"`+filepath.ToSlash(file)+`"}]}}}`)
	for _, s := range []string{scope, ""} {
		if _, err := p.Without(sign.TransportDocker, in(s), one.Public()); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("removing a key in a file from %q: %v", s, err)
		}
	}
	if _, err := p.With(sign.TransportDocker, scope, two.Public(), sign.IdentityRule{}); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("adding a key to one in a file: %v", err)
	}
	expectRules(t, with(t, p, scope, one, sign.IdentityRule{}), "docker", scope, "matchRepoDigestOrExact "+short(one))
	expectRules(t, with(t, p, scope, two, sign.IdentityRule{Type: sign.MatchRepository}), "docker", scope,
		"matchRepoDigestOrExact "+short(one)+" and matchRepository "+short(two))
}

func TestTheDefaultIsAcceptedOrRejected(t *testing.T) {
	t.Parallel()
	for _, kind := range []sign.RequirementType{sign.AcceptAnything, sign.RejectAll} {
		p, err := sign.NewPolicy().WithDefault(kind)
		must(t, err)
		expectRules(t, p, "", sign.ScopeDefault, string(kind))
	}
	for _, kind := range []sign.RequirementType{sign.SignedBy, "", "accept"} {
		if _, err := sign.NewPolicy().WithDefault(kind); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("default %q: %v", kind, err)
		}
	}
}
