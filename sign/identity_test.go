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

// digest is that of what identities are tried on.
var digest = oci.DigestBytes([]byte("{}"))

func rule(t testing.TB, text string) sign.IdentityRule {
	t.Helper()
	r, err := sign.ParseIdentityRule(text)
	must(t, err)
	if r.String() != text {
		t.Errorf("%q is written as %q", text, r)
	}
	return r
}

// takes says whether a signature for identity counts for the name want under a rule.
func takes(t testing.TB, r sign.IdentityRule, want, identity string) bool {
	t.Helper()
	name, err := sign.ParseIdentity(want)
	must(t, err)
	reqs := trusted(key(t, sign.ECDSA))
	reqs[0].Identity = r
	v := sign.Judge(name, manifest("{}"), []*sign.Candidate{bundled(t, key(t, sign.ECDSA), says{name: identity})}, reqs, sign.Facts{})
	if o := v.Met[0].Outcomes[0]; !v.Accepted && o.Reason != sign.ReasonOtherName && o.Reason != sign.ReasonUnbound {
		t.Errorf("%s: %s for %s: %s: %s", r, identity, want, o.Reason, o.Detail)
	}
	return v.Accepted
}

func TestWhichSignedNamesAreGood(t *testing.T) {
	t.Parallel()
	const app, mirrored, other = "reg.example/team/app", "mirror.example/cache/team/app", "reg.example/team/app2"
	at := "@" + digest.String()
	for _, row := range []struct {
		rule, want string
		good, bad  []string
	}{
		{"matchRepoDigestOrExact", app + ":v1", []string{app + ":v1"}, []string{app, app + ":v2", app + ":V1", app + at, other + ":v1", "app:v1", "reg.example:443/team/app:v1", "REG.example/team/app:v1", ""}},
		{"matchRepoDigestOrExact", app + at, []string{app + ":v1", app + ":v2", app, app + at}, []string{other + at, other + ":v1", "app" + at, ""}},
		{"matchRepoDigestOrExact", app + ":v1" + at, []string{app + ":v1", app + ":v1" + at, app + at, app}, []string{other + ":v1" + at, ""}},
		{"matchRepoDigestOrExact", app, nil, []string{app, app + ":latest", ""}},
		{"matchRepoDigestOrExact", "redis:7", []string{"redis:7", "docker.io/library/redis:7", "index.docker.io/library/redis:7"}, []string{"redis", "docker.io/redis/redis:7"}},
		{"matchExact", app + ":v1", []string{app + ":v1"}, []string{app, app + ":v2", app + at, app + ":v1" + at, ""}},
		{"matchExact", app + at, []string{app + at}, []string{app, app + ":v1", app + ":v1" + at, app + "@sha256:" + strings.Repeat("0", 64), ""}},
		{"matchExact", app, nil, []string{app, app + ":latest", ""}},
		{"matchRepository", app + ":v1", []string{app + ":v1", app + ":v2", app, app + at}, []string{other + ":v1", "reg.example/team:v1", "reg.example/team/app/x:v1", "app:v1", ""}},
		{"matchRepository", app + at, []string{app + ":v1", app, app + at}, []string{other + at, ""}},
		{"matchRepository", app, []string{app, app + ":v1"}, []string{other, ""}},
		{"exactReference=" + app + ":v1", other + ":v2", []string{app + ":v1"}, []string{other + ":v2", app + ":v2", app, ""}},
		{"exactReference=" + app + at, other + ":v2", []string{app + at}, []string{app + ":v1", app, ""}},
		{"exactRepository=" + app, other + ":v2", []string{app + ":v1", app + ":v2", app, app + at}, []string{other + ":v2", ""}},
		{"remapIdentity=mirror.example/cache=reg.example", mirrored + ":v1", []string{app + ":v1"}, []string{mirrored + ":v1", app + ":v2", app, "reg.example/cache/team/app:v1", ""}},
		{"remapIdentity=mirror.example/cache=reg.example", mirrored + at, []string{app + ":v1", app + at, app}, []string{mirrored + at, other + ":v1"}},
		{"remapIdentity=mirror.example/cache=reg.example", app + ":v1", []string{app + ":v1"}, []string{mirrored + ":v1"}},
		{"remapIdentity=mirror.example/cache=reg.example", "mirror.example/cached/app:v1", []string{"mirror.example/cached/app:v1"}, []string{"reg.exampled/app:v1", "reg.example/d/app:v1"}},
		{"remapIdentity=mirror.example/cache/app=reg.example/team/app", "mirror.example/cache/app:v1", []string{app + ":v1"}, []string{"mirror.example/cache/app:v1"}},
		{"remapIdentity=mirror.example=docker.io", "mirror.example/library/redis:7", []string{"redis:7"}, []string{"mirror.example/library/redis:7"}},
		// What a name is mapped to has to be a name in full.
		{"remapIdentity=mirror.example=docker.io", "mirror.example/redis:7", nil, []string{"redis:7", "docker.io/redis/redis:7", "mirror.example/redis:7"}},
		{"remapIdentity=mirror.example/redis=docker.io", "mirror.example/redis:7", nil, []string{"redis:7", "docker.io:7", "mirror.example/redis:7"}},
		{"unbound", app + ":v1", []string{"", app + ":v1"}, []string{app, app + ":v2", other + ":v1"}},
		{"unbound", app + at, []string{"", app + ":v1"}, []string{other + ":v1"}},
	} {
		for _, identity := range row.good {
			if !takes(t, rule(t, row.rule), row.want, identity) {
				t.Errorf("%s: %q is not good for %s", row.rule, identity, row.want)
			}
		}
		for _, identity := range append(row.bad, "reg.example/team/app:", "reg.example/Team/app:v1", " "+app+":v1", app+":v1\n", "https://"+app+":v1", "\x00") {
			if takes(t, rule(t, row.rule), row.want, identity) {
				t.Errorf("%s: %q is good for %s", row.rule, identity, row.want)
			}
		}
	}
}

func TestARuleForNamesIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "match", "matchexact", "matchExact=", "matchExact=reg.example/app:v1", "matchRepository=reg.example/app", "unbound=x", "unbound ",
		"exactReference", "exactReference=", "exactReference=reg.example/app", "exactReference=reg.example/App:v1", "exactReference=reg.example/app:v1=x",
		"exactRepository", "exactRepository=", "exactRepository=reg.example/app:v1",
		"remapIdentity", "remapIdentity=", "remapIdentity=a.example", "remapIdentity=a.example=", "remapIdentity==b.example", "remapIdentity=a.example=b.example=c.example",
		"remapIdentity=a.example/=b.example", "remapIdentity=app=b.example", "remapIdentity=a.example:v1:v2=b.example", "remapIdentity=index.docker.io=b.example", "remapIdentity=a.example=index.docker.io",
	} {
		if r, err := sign.ParseIdentityRule(text); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q is taken for %+v: %v", text, r, err)
		}
	}
}

func TestARuleForNamesInAPolicy(t *testing.T) {
	t.Parallel()
	read := func(signedIdentity string) (*sign.Policy, error) {
		return sign.ParsePolicy([]byte(`{"default":[{"type":"sigstoreSigned","keyData":"` + encoded(key(t, sign.ECDSA)) + `","signedIdentity":` + signedIdentity + `}]}`))
	}
	for fields, want := range map[string]string{
		`{"type":"matchExact"}`:                                                        "matchExact",
		`{"type":"matchRepoDigestOrExact"}`:                                            "matchRepoDigestOrExact",
		`{"type":"matchRepository"}`:                                                   "matchRepository",
		`{"type":"unbound"}`:                                                           "unbound",
		`{"dockerReference":"a.example/x:v1","type":"exactReference"}`:                 "exactReference=a.example/x:v1",
		`{"type":"exactRepository","dockerRepository":"a.example/x"}`:                  "exactRepository=a.example/x",
		`{"type":"remapIdentity","prefix":"a.example","signedPrefix":"b.example/x/y"}`: "remapIdentity=a.example=b.example/x/y",
	} {
		p, err := read(fields)
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		data, err := p.Encode()
		must(t, err)
		for _, p := range []*sign.Policy{p, parsePolicy(t, string(data))} {
			if got := p.Scopes()[0].Requirements[0].Identity.String(); got != want {
				t.Errorf("%s is %s, want %s", fields, got, want)
			}
		}
	}
	for _, fields := range []string{
		`null`, `{}`, `[]`, `"matchExact"`, `{"type":""}`, `{"type":null}`, `{"type":"exact"}`, `{"type":"exactReference=a.example/x:v1"}`, `{"type":"remapIdentity=a.example=b.example"}`,
		`{"type":"matchExact","type":"matchExact"}`, `{"type":"matchExact","x":"y"}`, `{"type":"matchExact","dockerReference":"a.example/x:v1"}`,
		`{"type":"exactReference"}`, `{"type":"exactReference","dockerReference":""}`, `{"type":"exactReference","dockerReference":"a.example/x"}`, `{"type":"exactReference","dockerRepository":"a.example/x:v1"}`,
		`{"type":"exactReference","dockerReference":"a.example/x:v1","dockerReference":"a.example/x:v1"}`,
		`{"type":"exactRepository","dockerRepository":"a.example/x:v1"}`, `{"type":"exactRepository","dockerReference":"a.example/x"}`,
		`{"type":"remapIdentity","prefix":"a.example"}`, `{"type":"remapIdentity","prefix":"a.example","signedPrefix":""}`, `{"type":"remapIdentity","prefix":"a.example=b.example","signedPrefix":"c.example"}`,
		`{"type":"remapIdentity","prefix":"a.example","dockerReference":"b.example/x:v1"}`, `{"dockerReference":"a.example/x:v1"}`,
	} {
		if p, err := read(fields); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s is taken: %v", fields, p.Scopes()[0].Requirements[0].Identity)
		}
	}
	if data, err := json.Marshal(sign.Requirement{Type: sign.RejectAll}); err != nil || string(data) != `{"type":"reject"}` {
		t.Errorf("%s: %v", data, err)
	}
}
