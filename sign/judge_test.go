package sign_test

import (
	"errors"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

var errNotThere = errors.New("not there")

func TestAllRequirementsHaveToBeMet(t *testing.T) {
	t.Parallel()
	one, two := key(t, sign.ECDSA), key(t, sign.Ed25519)
	anything, nothing := sign.Requirement{Type: sign.AcceptAnything}, sign.Requirement{Type: sign.RejectAll}
	byOne, byTwo := trusted(one)[0], trusted(two)[0]
	byEither := trusted(two, one)[0]
	candidates := []*sign.Candidate{bundled(t, one, says{name: name})}
	for _, row := range []struct {
		what               string
		reqs               []sign.Requirement
		accepted, verified bool
	}{
		{"nothing at all", nil, false, false},
		{"an empty list", []sign.Requirement{}, false, false},
		{"no type", []sign.Requirement{{}}, false, false},
		{"an unknown type", []sign.Requirement{{Type: "signedBy", Keys: byOne.Keys}}, false, false},
		{"no keys", []sign.Requirement{{Type: sign.SignedBy}}, false, false},
		{"anything", []sign.Requirement{anything}, true, false},
		{"nothing", []sign.Requirement{nothing}, false, false},
		{"one", []sign.Requirement{byOne}, true, true},
		{"two", []sign.Requirement{byTwo}, false, false},
		{"either", []sign.Requirement{byEither}, true, true},
		{"one and two", []sign.Requirement{byOne, byTwo}, false, false},
		{"two and one", []sign.Requirement{byTwo, byOne}, false, false},
		{"one, twice", []sign.Requirement{byOne, byOne}, true, true},
		{"one and either", []sign.Requirement{byOne, byEither}, true, true},
		{"one and anything", []sign.Requirement{byOne, anything}, true, true},
		{"two and anything", []sign.Requirement{byTwo, anything}, false, false},
		{"one and nothing", []sign.Requirement{byOne, nothing}, false, false},
		{"anything and nothing", []sign.Requirement{anything, nothing}, false, false},
	} {
		v := sign.Judge(reference(t, name), manifest("{}"), candidates, row.reqs, sign.Facts{})
		if v.Accepted != row.accepted || v.Verified != row.verified || (v.Err() == nil) != row.accepted || len(v.Met) != len(row.reqs) {
			t.Errorf("%s: accepted %v, verified %v: %v", row.what, v.Accepted, v.Verified, v.Err())
		}
		if v.Err() != nil && !errors.Is(v.Err(), content.ErrUntrusted) {
			t.Errorf("%s: %v", row.what, v.Err())
		}
	}
	unsigned := sign.Judge(reference(t, name), manifest("{}"), nil, trusted(one), sign.Facts{})
	if unsigned.Accepted || !strings.Contains(unsigned.Err().Error(), "not signed") {
		t.Errorf("no signature at all: %v", unsigned.Err())
	}
}

func TestAPolicyJudgesByTheScopeOfTheName(t *testing.T) {
	t.Parallel()
	one := key(t, sign.ECDSA)
	p := with(t, sign.NewPolicy(), scope, one, sign.IdentityRule{})
	for _, row := range []struct {
		name, scope        string
		accepted, verified bool
	}{
		{name, scope, true, true},
		{"registry.example/team/app:v2", scope, false, false},
		{"registry.example/other:v1", sign.ScopeDefault, true, false},
	} {
		v := p.Judge(reference(t, row.name), manifest("{}"), both(t, one, statement(manifest("{}"), name)), sign.Facts{})
		if v.Scope != row.scope || v.Accepted != row.accepted || v.Verified != row.verified {
			t.Errorf("%s: %+v", row.name, v)
		}
		if !row.accepted && !strings.Contains(v.Err().Error(), row.scope) {
			t.Errorf("the scope is not told: %v", v.Err())
		}
	}
	v := parsePolicy(t, `{"default":`+reject+`}`).Judge(reference(t, name), manifest("{}"), nil, sign.Facts{})
	if err := v.Err(); !errors.Is(err, content.ErrUntrusted) || !strings.Contains(err.Error(), "default") || content.Hint(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestWhichOutcomesAVerdictTells(t *testing.T) {
	t.Parallel()
	one, two := key(t, sign.ECDSA), key(t, sign.Ed25519)
	stranger := bundled(t, key(t, sign.RSA), says{name: name})
	other := bundled(t, one, says{name: "registry.example/team/app:v2"})
	first := bundled(t, one, says{name: name, predicate: map[string]any{"serial": 5}})
	second := bundled(t, two, says{name: name, predicate: map[string]any{"serial": 7}})
	all := []*sign.Candidate{stranger, other, first, second}
	v := sign.Judge(reference(t, name), manifest("{}"), all, []sign.Requirement{trusted(one)[0], trusted(two)[0]}, sign.Facts{})
	if !v.Verified || len(v.Counting()) != 2 || len(v.Others()) != 2 || v.Counting()[0].Candidate != first || v.Others()[0].Candidate != stranger {
		t.Errorf("counting %v, others %v", v.Counting(), v.Others())
	}
	// Of what does not count that which a trusted key made tells most.
	v = sign.Judge(reference(t, name), manifest("{}"), all[:2], trusted(one), sign.Facts{})
	if err := v.Err().Error(); !strings.Contains(err, string(sign.ReasonOtherName)) || !strings.Contains(err, "none of 2") {
		t.Errorf("%s", err)
	}
	v = sign.Judge(reference(t, name), manifest("{}"), all[:1], trusted(one), sign.Facts{})
	if err := v.Err().Error(); !strings.Contains(err, string(sign.ReasonStranger)) {
		t.Errorf("%s", err)
	}
}

func TestFactsMayComeFromElsewhere(t *testing.T) {
	t.Parallel()
	one := key(t, sign.ECDSA)
	good, malformed := bundled(t, one, says{name: name}), parse(bundleLayer, "{}")
	asked := 0
	yes := sign.Facts{Verifies: func(*sign.Candidate, *sign.PublicKey) bool { asked++; return true }}
	no := sign.Facts{Verifies: func(*sign.Candidate, *sign.PublicKey) bool { return false }}
	judge := func(c *sign.Candidate, f sign.Facts) sign.Verdict {
		return sign.Judge(reference(t, name), manifest("{}"), []*sign.Candidate{c}, trusted(one), f)
	}
	if judge(good, no).Accepted || !judge(good, yes).Accepted || asked != 1 {
		t.Errorf("a cache is not believed, or asked %d times", asked)
	}
	if judge(malformed, yes).Accepted || asked != 1 {
		t.Error("a cache is asked for what is malformed")
	}
	if sign.Verifies(malformed, one.Public()) || !sign.Verifies(good, one.Public()) || sign.Verifies(good, key(t, sign.Ed25519).Public()) {
		t.Error("a signature verifies with another key, or not with its own")
	}
}
