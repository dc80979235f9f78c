package sign_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

const (
	accept = `[{"type":"insecureAcceptAnything"}]`
	reject = `[{"type":"reject"}]`
)

func parsePolicy(t testing.TB, text string) *sign.Policy {
	t.Helper()
	p, err := sign.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// scoped is a policy that has a rule for each of the scopes.
func scoped(t testing.TB, scopes ...string) *sign.Policy {
	t.Helper()
	docker := map[string]json.RawMessage{}
	for _, s := range scopes {
		docker[s] = json.RawMessage(reject)
	}
	data, err := json.Marshal(map[string]any{"default": json.RawMessage(accept), "transports": map[string]any{"docker": docker}})
	must(t, err)
	return parsePolicy(t, string(data))
}

func TestTheNearestScopeCounts(t *testing.T) {
	t.Parallel()
	digest := oci.DigestBytes(nil).String()
	repo := "reg.sub.example:5000/team/sub/app"
	// Each name finds its scopes in this order, one after the other is taken away.
	for name, order := range map[string][]string{
		repo + ":v1":             {repo + ":v1", repo, "reg.sub.example:5000/team/sub", "reg.sub.example:5000/team", "reg.sub.example:5000", "*.sub.example", "*.example", "", "default"},
		repo + "@" + digest:      {repo + "@" + digest, repo, "reg.sub.example:5000/team/sub", "reg.sub.example:5000/team", "reg.sub.example:5000", "*.sub.example", "*.example", "", "default"},
		repo + ":v1@" + digest:   {repo + "@" + digest, repo, "default"},
		"redis:7":                {"docker.io/library/redis:7", "docker.io/library/redis", "docker.io/library", "docker.io", "*.io", "", "default"},
		"localhost:5000/app":     {"localhost:5000/app:latest", "localhost:5000/app", "localhost:5000", "", "default"},
		"REG.Sub.Example/Team/x": nil, // no such name
		"REG.Sub.Example/team/x": {"reg.sub.example/team/x:latest", "reg.sub.example/team/x", "reg.sub.example", "*.example", "default"},
	} {
		ref, err := oci.ParseReference(name)
		if (err == nil) != (order != nil) {
			t.Errorf("%s: %v", name, err)
		}
		for i := range order {
			scope, reqs := scoped(t, order[i:len(order)-1]...).For(ref)
			want := sign.RejectAll
			if i == len(order)-1 {
				want = sign.AcceptAnything
			}
			if scope != order[i] || len(reqs) != 1 || reqs[0].Type != want {
				t.Errorf("%s: scope %q, and %q is the nearest: %v", name, scope, order[i], reqs)
			}
		}
	}
}

func TestAScopeOfAnotherNameDoesNotCount(t *testing.T) {
	t.Parallel()
	for name, scopes := range map[string][]string{
		"reg.example/team/app:v1": {
			"reg.example/team/app:v2", "reg.example/team/ap", "reg.example/team/app/x", "reg.example/tea", "reg.example:5000",
			"eg.example", "*.reg.example", "*.xample", "reg.example/team/app@" + oci.DigestBytes(nil).String(),
		},
		"example/app": {"*.example", "example.org"}, // on Docker Hub
	} {
		if scope, _ := scoped(t, scopes...).For(reference(t, name)); scope != sign.ScopeDefault {
			t.Errorf("%s finds scope %q", name, scope)
		}
	}
}

func TestAScopeThatCouldNeverMatchIsRefused(t *testing.T) {
	t.Parallel()
	digest := oci.DigestBytes(nil).String()
	for _, scope := range []string{
		"redis", "team/app", "docker.io/redis:7", "index.docker.io", "index.docker.io/library/redis", "Reg.example", "*.Example",
		"*", "*.", "*.*.example", "*example", "*.example/team", "*.example:5000", "reg.*", "reg.example/", "reg.example/Team", "reg.example//app",
		"reg.example/app:", "reg.example/app:v1@" + digest, "reg.example/app@sha256:12", "reg.example/app@" + digest + ":v1", "https://reg.example", " reg.example",
		"reg.example/team/*", "reg.example./app", digest,
	} {
		text := `{"default":` + accept + `,"transports":{"docker":{"` + scope + `":` + reject + `}}}`
		if _, err := sign.ParsePolicy([]byte(text)); !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "scope") {
			t.Errorf("scope %q in a policy: %v", scope, err)
		}
		if _, err := sign.NewPolicy().With(sign.TransportDocker, scope, key(t, sign.ECDSA).Public(), sign.IdentityRule{}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("scope %q is added: %v", scope, err)
		}
	}
}
