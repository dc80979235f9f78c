package sign_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

func TestAPolicyIsMadeAndChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "policy.json")
	if _, err := sign.ReadPolicy(path); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a policy that is not there: %v", err)
	}
	one := key(t, sign.ECDSA)
	p, err := sign.EditPolicy(t.Context(), path, func(p *sign.Policy) (*sign.Policy, error) {
		return p.With(sign.TransportDocker, scope, one.Public(), sign.IdentityRule{})
	})
	must(t, err)
	back, err := sign.ReadPolicy(path)
	must(t, err)
	if p.Path != path || back.Path != path || p.Digest() != back.Digest() || p.Digest() == "" {
		t.Errorf("%s %s, read back as %s %s", p.Path, p.Digest(), back.Path, back.Digest())
	}
	expectRules(t, back, "docker", scope, "matchRepoDigestOrExact "+short(one))
	info, err := os.Stat(path)
	must(t, err)
	if filepath.Separator == '/' && info.Mode().Perm() != 0o644 {
		t.Errorf("it has mode %v", info.Mode())
	}
}

func TestAChangeThatFailsLeavesThePolicyAsItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.json")
	refusal := errors.New("refused")
	for _, was := range []string{`{"default":` + reject + `}`, `{"default":[]}`, "", "null"} {
		writeFile(t, path, []byte(was))
		p, err := sign.EditPolicy(t.Context(), path, func(*sign.Policy) (*sign.Policy, error) { return nil, refusal })
		malformed := !strings.Contains(was, "reject")
		if p != nil || errors.Is(err, refusal) == malformed || errors.Is(err, content.ErrInvalid) != malformed {
			t.Errorf("%q: %v", was, err)
		}
		now, err := os.ReadFile(path)
		must(t, err)
		if string(now) != was {
			t.Errorf("%q has become %q", was, now)
		}
	}
}

func TestChangesAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.json")
	const n = 24
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, err := sign.EditPolicy(t.Context(), path, func(p *sign.Policy) (*sign.Policy, error) {
				return p.With(sign.TransportDocker, fmt.Sprintf("%s/app%d", scope, i), key(t, sign.ECDSA).Public(), sign.IdentityRule{})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	p, err := sign.ReadPolicy(path)
	must(t, err)
	if len(p.Scopes()) != n+1 {
		t.Errorf("%d scopes, want the default and %d", len(p.Scopes()), n)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("%v lie in the folder", left)
	}
}

func TestTheDigestOfAPolicyNamesItsKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "team.pub")
	text := `{"default":[{"type":"sigstoreSigned","keyPath":"` + filepath.ToSlash(file) + `"}]}`
	seen := map[string]string{}
	add := func(what string, p *sign.Policy) {
		t.Helper()
		if twin, ok := seen[p.Digest().String()]; ok || p.Digest() == "" {
			t.Errorf("%s has the digest %q, as %s", what, p.Digest(), twin)
		}
		seen[p.Digest().String()] = what
	}
	for _, kind := range []string{sign.ECDSA, sign.Ed25519} {
		writeFile(t, file, key(t, kind).Public().PEM())
		add("the file with "+kind, parsePolicy(t, text))
		add("the policy with "+kind, with(t, sign.NewPolicy(), scope, key(t, kind), sign.IdentityRule{}))
	}
	add("no policy", sign.NewPolicy())
	changed, err := sign.NewPolicy().WithDefault(sign.RejectAll)
	must(t, err)
	add("another default", changed)
}

func TestWhatAnAuthorOfAPolicyShouldKnow(t *testing.T) {
	t.Parallel()
	file := filepath.ToSlash(filepath.Join(t.TempDir(), "team.key"))
	writeFile(t, file, key(t, sign.ECDSA).Public().PEM())
	one := `"keyData":"` + encoded(key(t, sign.ECDSA)) + `"`
	for _, row := range []struct{ text, want string }{
		{`{"default":` + reject + `}`, ""},
		{`{"default":` + reject + `,"transports":{"docker":{"a.example":[{"type":"sigstoreSigned",` + one + `}],"b.example":` + accept + `}}}`, ""},
		{`{"default":` + reject + `,"transports":{"other-thing":{"":` + reject + `}}}`, `other-thing "": dist has no such transport, and does not use this`},
		{`{"default":` + accept + `}`, "default: every name without a scope of its own is accepted, signed or not"},
		{`{"default":` + reject + `,"transports":{"docker":{"":` + accept + `}}}`, `docker "": every image without a narrower scope is accepted, signed or not`},
		{`{"default":` + reject + `,"transports":{"dist-bundle":{"":` + accept + `}}}`, `dist-bundle "": every bundle without a narrower scope is accepted, signed or not`},
		{`{"default":` + reject + `,"transports":{"dist-bundle":{"site":` + accept + `}}}`, ""},
		{
			`{"default":` + accept + `,"transports":{"dist-bundle":{"site":[{"type":"sigstoreSigned",` + one + `}]}}}`,
			"default: every name without a scope of its own is accepted, signed or not\ndist-bundle: bundles of other names, and those that have none, are accepted, signed or not",
		},
		{`{"default":[{"type":"insecureAcceptAnything"},{"type":"reject"}]}`, "default: insecureAcceptAnything beside other requirements changes nothing"},
		{`{"default":` + reject + `,"transports":{"oci":{"/x":` + reject + `}}}`, `oci "/x": dist has no such transport, and does not use this`},
		{`{"default":[{"type":"sigstoreSigned",` + one + `,"signedIdentity":{"type":"unbound"}}]}`, "default: signedIdentity unbound is known to dist alone: other readers refuse the whole file"},
		{`{"default":[{"type":"sigstoreSigned","keyDatas":["` + encoded(key(t, sign.ECDSA)) + `"]}]}`, "default: keyPaths and keyDatas need readers of containers/image v5.33 or later"},
		{`{"default":[{"type":"sigstoreSigned","keyPath":"` + file + `"}]}`, "default: " + file + " is named like a private key"},
		{
			`{"default":` + reject + `,"transports":{"docker":{"a.example":[{"type":"sigstoreSigned","keyPaths":["` + file + `"]}]}}}`,
			`docker "a.example": keyPaths and keyDatas need readers of containers/image v5.33 or later` + "\n" + `docker "a.example": ` + file + " is named like a private key",
		},
	} {
		if got := strings.Join(parsePolicy(t, row.text).Lint(), "\n"); got != row.want {
			t.Errorf("%s\ngets %s\nwant %s", row.text, got, row.want)
		}
	}
}
