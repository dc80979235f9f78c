package access

import (
	"errors"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		glob string
		yes  []string
		no   []string
	}{
		{"team/app", []string{"team/app"}, []string{"team/app/x", "team", "team/ap", "team/app2", "x/team/app", ""}},
		{"team/*", []string{"team/app", "team/a.b-c"}, []string{"team", "team/a/b", "teams/app"}},
		{"team/**", []string{"team", "team/app", "team/a/b/c"}, []string{"teams/app", "x/team/app", ""}},
		{"**", []string{"a", "a/b/c"}, []string{""}},
		{"**/app", []string{"app", "team/app", "a/b/app"}, []string{"apps", "app/x"}},
		{"a/**/z", []string{"a/z", "a/b/z", "a/b/c/z"}, []string{"a/b", "z", "a/zz"}},
		{"a*z/b", []string{"az/b", "abcz/b", "azz/b"}, []string{"ab/b", "a/z/b"}},
		{"*-prod", []string{"x-prod", "-prod"}, []string{"x-prod-2", "y/x-prod"}},
		{"docker.io/library/*", []string{"docker.io/library/redis"}, []string{"library/redis", "docker.io/library", "dockerxio/library/redis"}},
		{"localhost:5000/*", []string{"localhost:5000/app"}, []string{"localhost_5000/app"}},
	} {
		g, err := parseGlob(c.glob)
		if err != nil {
			t.Fatalf("%s: %v", c.glob, err)
		}
		for _, name := range c.yes {
			if !g.matches(name) {
				t.Errorf("%s does not match %q", c.glob, name)
			}
		}
		for _, name := range c.no {
			if g.matches(name) {
				t.Errorf("%s matches %q", c.glob, name)
			}
		}
	}
}

func TestBadGlobsAreRefused(t *testing.T) {
	for _, s := range []string{"", "/", "a//b", "/a", "a/", "a/**b", "***", "a?", "[ab]", "{a,b}", "a b", "a\x00", "ä", `a\*`, strings.Repeat("a", 513)} {
		if g, err := parseGlob(s); err == nil {
			t.Errorf("%q is taken for %q", s, g)
		}
	}
}

// What a pattern of many stars costs is bounded: the naive way takes for ever here.
func TestStarsDoNotExplode(t *testing.T) {
	name := strings.Repeat("a", 250)
	for _, s := range []string{strings.Repeat("*a", 200) + "b", strings.Repeat("**/a/", 100) + "b"} {
		g, err := parseGlob(s)
		if err != nil {
			t.Fatal(err)
		}
		if g.matches(name) || g.matches(strings.ReplaceAll(name, "aa", "a/")+"a") {
			t.Errorf("%s matches what has no b", s)
		}
	}
}

const someRules = `{
  "groups": {"ci": ["bot", "runner"], "nobody": []},
  "rules": [
    {"users": ["alice"], "groups": ["ci"], "repositories": ["team/**"], "actions": ["pull", "push"]},
    {"users": ["root"], "repositories": ["**"], "actions": ["pull", "push", "delete"]},
    {"everyone": true, "repositories": ["docker.io/library/*"], "actions": ["pull"]},
    {"anonymous": true, "repositories": ["public/**"], "actions": ["pull"]},
    {"groups": ["nobody"], "repositories": ["void"], "actions": ["pull"]}
  ]
}`

func repo(t testing.TB, name string) oci.Reference {
	t.Helper()
	r, err := oci.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pathOf is the server's, as far as these tests go.
func pathOf(r oci.Reference) string { return strings.TrimPrefix(r.Name(), "docker.io/") }

func TestRulesGrant(t *testing.T) {
	rs, err := parseRules([]byte(someRules))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, repo string
		want       string // of pull, push, delete
	}{
		{"alice", "team/app", "pull push"},
		{"alice", "docker.io/team/app", "pull push"},
		{"alice", "quay.io/team/app", ""},
		{"alice", "redis", "pull"},
		{"alice", "docker.io/redis", "pull"},
		{"alice", "public/x", "pull"},
		{"alice", "other/x", ""},
		{"bot", "team/app/deep", "pull push"},
		{"runner", "team/app", "pull push"},
		{"mallory", "team/app", ""},
		{"mallory", "redis", "pull"},
		{"ci", "team/app", ""}, // a group is no user
		{"root", "any/thing", "pull push delete"},
		{"", "public/x", "pull"},
		{"", "redis", ""},
		{"", "team/app", ""},
	} {
		for _, open := range []bool{true, false} {
			have := rights{rules: rs, anonymous: open, pathOf: pathOf}
			var got []string
			for _, a := range actions {
				if have.allow(c.user, a, repo(t, c.repo)) {
					got = append(got, string(a))
				}
			}
			want := c.want
			if c.user == "" && !open {
				want = ""
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%q at %s, visitors %v: %q, want %q", c.user, c.repo, open, s, want)
			}
		}
	}
}

func TestWithoutRules(t *testing.T) {
	for _, open := range []bool{true, false} {
		have := rights{anonymous: open, pathOf: pathOf}
		for _, a := range actions {
			if !have.allow("ann", a, repo(t, "a/b")) {
				t.Errorf("ann may not %s", a)
			}
			if got, want := have.allow("", a, repo(t, "a/b")), open && a == Pull; got != want {
				t.Errorf("a visitor may %s: %v, want %v", a, got, want)
			}
		}
	}
}

func TestBadRulesAreRefusedWithTheirLine(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{``, "line 1"},
		{`[]`, "line 1: want an object"},
		{"{\n\"rule\": []}", `line 2: no such key: "rule"`},
		{`{"Rules": []}`, "no such key"},
		{"{\"rules\": [],\n\"rules\": []}", "line 2: key \"rules\" stands twice"},
		{"{\"rules\": [\n\n{\"users\": [\"a\"], \"repositories\": [\"b\"], \"actions\": [\"pull\"], \"users\": [\"c\"]}]}", "line 3: key \"users\" stands twice"},
		{`{"groups": {"a": [], "a": []}}`, "stands twice"},
		{`{"rules": [{"user": ["a"]}]}`, `no such key of a rule: "user"`},
		{`{"rules": [{"users": "a"}]}`, "want a list"},
		{`{"rules": [{"users": [1]}]}`, "want a text"},
		{`{"rules": [{"users": [""]}]}`, "want a text"},
		{`{"rules": [{"everyone": "yes"}]}`, "want true or false"},
		{`{"rules": [{"users": ["a"], "repositories": ["b"], "actions": ["admin"]}]}`, `no such action: "admin"`},
		{`{"rules": [{"users": ["a"], "repositories": ["b"], "actions": ["*"]}]}`, "no such action"},
		{"{\"rules\": [{\"users\": [\"a\"],\n\"repositories\": [\"b/**c\"], \"actions\": [\"pull\"]}]}", "line 2: repositories \"b/**c\""},
		{`{"rules": [{"repositories": ["b"], "actions": ["pull"]}]}`, "for nobody"},
		{`{"rules": [{"everyone": false, "repositories": ["b"], "actions": ["pull"]}]}`, "for nobody"},
		{`{"rules": [{"users": ["a"], "actions": ["pull"]}]}`, "no repositories"},
		{`{"rules": [{"users": ["a"], "repositories": ["b"]}]}`, "no actions"},
		{`{"rules": [{"anonymous": true, "repositories": ["b"], "actions": ["pull", "push"]}]}`, "pull alone"},
		{`{"rules": [{"groups": ["x"], "repositories": ["b"], "actions": ["pull"]}], "groups": {"y": []}}`, `rule 1 of the file is for the group "x"`},
		{`{"rules": []} {}`, "follows"},
		{`{"rules": []`, "not JSON"},
		{`{"rules": null}`, "want a list"},
	} {
		_, err := parseRules([]byte(c.doc))
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.doc, err, c.want)
		}
	}
}

// Groups may stand behind the rules that name them.
func TestGroupsMayComeLast(t *testing.T) {
	rs, err := parseRules([]byte(`{"rules": [{"groups": ["g"], "repositories": ["b/c"], "actions": ["pull"]}], "groups": {"g": ["ann"]}}`))
	if err != nil || !rs.allow("ann", Pull, "b/c", "docker.io/b/c") {
		t.Errorf("ann is refused: %v", err)
	}
}
