package registryserver_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/access"
)

// rightsOf is what the users of a gated server may do, on each repository that the
// tests ask for. The password of all is sesame.
var rightsOf = map[string]map[string]string{
	"reader":  {"team/app": "pull", "public/app": "pull", "library/redis": "pull"},
	"writer":  {"team/app": "pull push", "team/new": "pull push", "public/app": "pull"},
	"blind":   {"team/app": "push", "public/app": "pull"},
	"janitor": {"team/app": "delete", "other/app": "delete", "public/app": "pull delete"},
	"admin":   {"team/app": "pull push delete", "team/new": "pull push delete", "other/app": "pull push delete", "library/redis": "pull push delete", "public/app": "pull push delete"},
	"nothing": {"public/app": "pull"},
	"":        {"public/app": "pull"},
}

const gateRules = `{
  "groups": {"readers": ["reader"], "all": ["admin"]},
  "rules": [
    {"groups": ["readers"], "repositories": ["team/app", "docker.io/library/redis"], "actions": ["pull"]},
    {"users": ["writer"], "repositories": ["team/*"], "actions": ["pull", "push"]},
    {"users": ["blind"], "repositories": ["team/app"], "actions": ["push"]},
    {"users": ["janitor"], "repositories": ["*/app"], "actions": ["delete"]},
    {"groups": ["all"], "repositories": ["**"], "actions": ["pull", "push", "delete"]},
    {"anonymous": true, "repositories": ["public/**"], "actions": ["pull"]}
  ]
}`

// sesame is the hash of the password of all users.
const sesame = "$2y$04$0nfipKyj4KjHm0nytlPNs.Bq2aKtSiW0a8NbuwHRYq7jXuigqGWGG"

// gated is a server with users, rules and a clock that can be moved.
type gated struct {
	*rig
	later atomic.Int64 // nanoseconds that the server's clock is ahead
	rules string
}

func newGated(t *testing.T, anonymous bool) *gated {
	dir := t.TempDir()
	g := &gated{rules: filepath.Join(dir, "rules")}
	var users strings.Builder
	for user := range rightsOf {
		if user != "" {
			fmt.Fprintf(&users, "%s:%s\n", user, sesame)
		}
	}
	for name, data := range map[string]string{filepath.Join(dir, "users"): users.String(), g.rules: gateRules} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gate, err := access.New(access.Options{
		Htpasswd: filepath.Join(dir, "users"), Rules: g.rules, Anonymous: anonymous,
		PathOf: func(repo oci.Reference) string { return registryserver.PathOf(repo, "") },
		Now:    func() time.Time { return time.Now().Add(time.Duration(g.later.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	g.rig = newRig(t, registryserver.Options{Writable: true, Gate: gate})
	return g
}

func password(user string) string {
	if user == "" {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":sesame"))
}

// as sends a request with an Authorization header, "" for none.
func (g *gated) as(authorization, method, path, body string, header ...string) answer {
	g.Helper()
	if authorization != "" {
		header = append(header, "Authorization", authorization)
	}
	return g.do(method, path, strings.NewReader(body), header...)
}

// token is a token for scopes, asked for by user.
func (g *gated) token(user string, scopes ...string) string {
	g.Helper()
	a := g.as(password(user), "GET", "/token?"+url.Values{"service": {"dist"}, "scope": scopes}.Encode(), "")
	var doc struct{ Token string }
	if a.status != 200 || json.Unmarshal(a.body, &doc) != nil || doc.Token == "" {
		g.Fatalf("token for %q: %d %s", user, a.status, a.body)
	}
	return "Bearer " + doc.Token
}

// seeded is what a repository holds for the tests.
type seeded struct{ blob, manifest oci.Digest }

func (g *gated) seed(repos ...string) map[string]seeded {
	g.Helper()
	all := map[string]seeded{}
	admin := password("admin")
	for _, repo := range repos {
		blob := "layer of " + repo
		d := oci.DigestBytes([]byte(blob))
		g.want(g.as(admin, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), blob), 201)
		m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: d, Size: int64(len(blob))}, Layers: []oci.Descriptor{}}
		m.SchemaVersion = 2
		data, err := json.Marshal(m)
		if err != nil {
			g.Fatal(err)
		}
		g.want(g.as(admin, "PUT", "/v2/"+repo+"/manifests/v1", string(data), "Content-Type", m.MediaType), 201)
		all[repo] = seeded{d, oci.DigestBytes(data)}
	}
	return all
}

// attempt is one way to touch a repository.
type attempt struct {
	method, path string // below /v2/REPOSITORY/
	body         string
	needs        string
}

// attempts are every method at every path of a repository. The session is one that
// nobody has opened.
func attempts(repo string, s seeded) []attempt {
	const absent = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	session := "blobs/uploads/00000000-0000-4000-8000-000000000000-" + oci.DigestBytes([]byte(repo)).Encoded()[:8]
	var all []attempt
	for _, path := range []string{
		"manifests/v1", "manifests/absent", "manifests/" + s.manifest.String(), "manifests/" + absent,
		"blobs/" + s.blob.String(), "blobs/" + absent, "tags/list", "tags/list?n=0", "referrers/" + s.manifest.String(), "referrers/" + absent,
	} {
		all = append(all, attempt{"GET", path, "", "pull"}, attempt{"HEAD", path, "", "pull"})
	}
	for _, path := range []string{"manifests/v1", "manifests/" + s.manifest.String(), "manifests/" + absent} {
		all = append(all, attempt{"PUT", path, "{}", "push"})
	}
	for _, path := range []string{"manifests/absent", "manifests/" + absent, "blobs/" + absent, "manifests/v1", "manifests/" + s.manifest.String(), "blobs/" + s.blob.String()} {
		all = append(all, attempt{"DELETE", path, "", "delete"})
	}
	for _, path := range []string{
		"blobs/uploads/", "blobs/uploads", "blobs/uploads/?digest=" + s.blob.String(), "blobs/uploads/?digest=" + absent,
		"blobs/uploads/?mount=" + s.blob.String(), "blobs/uploads/?from=public/app&mount=" + s.blob.String(), "blobs/uploads/?digest-algorithm=sha512",
	} {
		all = append(all, attempt{"POST", path, "other bytes", "push"})
	}
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		all = append(all, attempt{method, session + "?digest=" + absent, "", "push"})
	}
	return all
}

// refused says whether a tells that the visitor may not do it, and how.
func refused(a answer) bool { return a.status == 401 || a.status == 403 }

// Every method × path × user, with a password and with a token for everything: who
// has the right gets some answer of the registry, who has not always the same
// refusal, whatever is there.
func TestEveryRouteAsksForTheRight(t *testing.T) {
	repos := []string{"team/app", "team/new", "other/app", "library/redis", "public/app"}
	for user, has := range rightsOf {
		for _, repo := range repos {
			t.Run(user+"@"+repo, func(t *testing.T) {
				t.Parallel()
				g := newGated(t, true)
				held := g.seed("team/app", "other/app", "library/redis", "public/app")
				token := g.token(user, "repository:"+repo+":*")
				for _, try := range attempts(repo, cmpOr(held[repo], held["other/app"])) {
					may := slices.Contains(strings.Fields(has[repo]), try.needs)
					for _, by := range []string{password(user), token} {
						a := g.as(by, try.method, "/v2/"+repo+"/"+try.path, try.body)
						if a.status >= 500 || refused(a) == may {
							t.Errorf("%s %s: %d %s; may %s: %v", try.method, try.path, a.status, a.body, try.needs, may)
						}
						if want := refusalOf(user); !may && a.status != want {
							t.Errorf("%s %s: %d, want %d", try.method, try.path, a.status, want)
						}
					}
				}
			})
		}
	}
}

func cmpOr(a, b seeded) seeded {
	if a.blob == "" {
		return b
	}
	return a
}

// refusalOf is the status for a user without the right: who has not logged in could.
func refusalOf(user string) int {
	if user == "" {
		return 401
	}
	return 403
}

// The challenge says what would have been needed, and nothing of what is there.
func TestChallengesSayWhatIsNeeded(t *testing.T) {
	g := newGated(t, true)
	held := g.seed("team/app", "public/app")
	realm := `Bearer realm="` + g.url + `/token",service="dist"`
	for _, c := range []struct{ method, path, scope string }{
		{"GET", "/v2/", ""},
		{"GET", "/v2/_catalog", "registry:catalog:*"},
		{"GET", "/v2/team/app/manifests/v1", "repository:team/app:pull"},
		{"GET", "/v2/no/such/manifests/v1", "repository:no/such:pull"},
		{"GET", "/v2/redis/blobs/" + held["team/app"].blob.String(), "repository:redis:pull"},
		{"PUT", "/v2/public/app/manifests/v1", "repository:public/app:pull,push"},
		{"POST", "/v2/public/app/blobs/uploads/", "repository:public/app:pull,push"},
		{"POST", "/v2/public/app/blobs/uploads/?mount=" + held["team/app"].blob.String() + "&from=team/app", "repository:public/app:pull,push repository:team/app:pull"},
		{"POST", "/v2/public/app/blobs/uploads/?mount=" + held["team/app"].blob.String() + `&from=a"b`, "repository:public/app:pull,push"},
		{"DELETE", "/v2/public/app/manifests/v1", "repository:public/app:delete"},
	} {
		want := realm
		if c.scope != "" {
			want += `,scope="` + c.scope + `"`
		}
		a := g.as("", c.method, c.path, "")
		g.want(a, 401, "UNAUTHORIZED")
		g.wantHeader(a, "WWW-Authenticate", want)
		token := g.token("")
		if c.path == "/v2/" {
			g.want(g.as(token, c.method, c.path, ""), 200)
			continue
		}
		a = g.as(token, c.method, c.path, "")
		g.want(a, 401, "UNAUTHORIZED")
		g.wantHeader(a, "WWW-Authenticate", want+`,error="insufficient_scope"`)
		a = g.as("Bearer nonsense", c.method, c.path, "")
		g.want(a, 401, "UNAUTHORIZED")
		g.wantHeader(a, "WWW-Authenticate", want+`,error="invalid_token"`)
		for _, bad := range []string{"Basic nonsense", "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:wrong")), "Digest x"} {
			a = g.as(bad, c.method, c.path, "")
			g.want(a, 401, "UNAUTHORIZED")
			g.wantHeader(a, "WWW-Authenticate", want)
		}
	}
}

// What is public needs no credentials, but bad ones are never taken for none.
func TestStrangersPullWhatIsPublic(t *testing.T) {
	g := newGated(t, true)
	g.seed("public/app")
	g.want(g.as("", "GET", "/v2/public/app/manifests/v1", ""), 200)
	g.want(g.as("Bearer x", "GET", "/v2/public/app/manifests/v1", ""), 401)
	g.want(g.as("Basic eA==", "GET", "/v2/public/app/manifests/v1", ""), 401)
	g.want(g.as("", "GET", "/v2/", ""), 401)

	closed := newGated(t, false)
	closed.seed("public/app")
	closed.want(closed.as("", "GET", "/v2/public/app/manifests/v1", ""), 401)
	closed.want(closed.as("", "GET", "/token", ""), 401)
	closed.want(closed.as(password("nothing"), "GET", "/v2/public/app/manifests/v1", ""), 200)
	// Only a login helps who has the token of a stranger, and he is told so.
	a := g.as(g.token("", "repository:team/app:pull"), "GET", "/v2/team/app/manifests/v1", "")
	g.want(a, 401, "UNAUTHORIZED")
	if !strings.Contains(string(a.body), "log in first") {
		t.Errorf("a stranger is told %s", a.body)
	}
}

// One repository has several paths; the rights are those of the repository.
func TestNoWayAroundByAnotherPath(t *testing.T) {
	g := newGated(t, true)
	g.seed("library/redis", "other/app")
	for _, path := range []string{"redis", "library/redis", "docker.io/library/redis", "docker.io/redis"} {
		target := "/v2/" + path + "/manifests/v1"
		g.want(g.as(password("reader"), "GET", target, ""), 200)
		g.want(g.as(password("writer"), "GET", target, ""), 403, "DENIED")
		for _, scope := range []string{"redis", "library/redis", "docker.io/library/redis"} {
			g.want(g.as(g.token("reader", "repository:"+scope+":pull"), "GET", target, ""), 200)
			g.want(g.as(g.token("reader", "repository:"+scope+":pull,push"), "PUT", target, "{}"), 403, "DENIED")
			g.want(g.as(g.token("admin", "repository:"+scope+":pull"), "PUT", target, "{}"), 401, "UNAUTHORIZED")
		}
	}
	g.want(g.as(password("reader"), "GET", "/v2/docker.io/other/app/manifests/v1", ""), 403)
	g.want(g.as(password("reader"), "GET", "/v2/team/../other/app/manifests/v1", ""), 400)
	g.want(g.as(password("reader"), "GET", "/v2/team/app/..%2f..%2fother/app/manifests/v1", ""), 400)
}

// A token is good for what it was asked for, for five minutes, at the server that
// gave it, and for no longer than the rule is there.
func TestTokensAtTheServer(t *testing.T) {
	g, other := newGated(t, true), newGated(t, true)
	g.seed("team/app", "other/app")
	const target = "/v2/team/app/manifests/v1"
	good := g.token("writer", "repository:team/app:pull,push")
	g.want(g.as(good, "GET", target, ""), 200)
	g.want(g.as(g.token("writer", "repository:team/app:push"), "GET", target, ""), 401)
	g.want(g.as(g.token("writer", "repository:team/new:pull"), "GET", target, ""), 401)
	g.want(g.as(g.token("writer"), "GET", target, ""), 401)
	g.want(g.as(g.token("admin", "repository:other/app:pull"), "GET", target, ""), 401)
	g.want(g.as(other.token("writer", "repository:team/app:pull"), "GET", target, ""), 401)
	parts := strings.Split(strings.TrimPrefix(good, "Bearer "), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for _, forged := range []string{none + "." + parts[1] + ".", none + "." + parts[1] + "." + parts[2], parts[0] + "." + parts[1] + "."} {
		g.want(g.as("Bearer "+forged, "GET", target, ""), 401)
	}
	if err := os.WriteFile(g.rules, []byte(`{"rules": [{"users": ["writer"], "repositories": ["team/app"], "actions": ["push"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	g.later.Store(int64(3 * time.Second))
	g.want(g.as(good, "GET", target, ""), 403, "DENIED")
	g.want(g.as(good, "POST", "/v2/team/app/blobs/uploads/", ""), 202)
	g.later.Store(int64(5*time.Minute + time.Second))
	a := g.as(good, "POST", "/v2/team/app/blobs/uploads/", "")
	g.want(a, 401)
	if !strings.HasSuffix(a.header.Get("WWW-Authenticate"), `,error="invalid_token"`) {
		t.Errorf("an old token: %s", a.header.Get("WWW-Authenticate"))
	}
}

// A digest opens nothing: users × repositories × digests, those of the repository
// and those of all others.
func TestDigestsAreOfTheirRepositoryAlone(t *testing.T) {
	g := newGated(t, true)
	held := g.seed("team/app", "other/app", "library/redis", "public/app")
	for user, has := range rightsOf {
		for repo := range held {
			token := g.token(user, "repository:"+repo+":pull")
			may := slices.Contains(strings.Fields(has[repo]), "pull")
			for from, s := range held {
				want := 200
				switch {
				case !may:
					want = refusalOf(user)
				case from != repo:
					want = 404
				}
				for _, path := range []string{"blobs/" + s.blob.String(), "manifests/" + s.manifest.String()} {
					for _, by := range []string{password(user), token} {
						for _, method := range []string{"GET", "HEAD"} {
							a := g.as(by, method, "/v2/"+repo+"/"+path, "")
							if a.status != want {
								t.Errorf("%q: %s %s of %s in %s: %d, want %d", user, method, path, from, repo, a.status, want)
							}
						}
					}
				}
			}
		}
	}
}

// What another repository holds is answered for as what nobody has ever held.
func TestWhatOthersHoldIsAsIfItWereNot(t *testing.T) {
	g := newGated(t, true)
	theirs := g.seed("other/app")["other/app"]
	nobodys := seeded{oci.DigestBytes([]byte("a blob that nobody has")), oci.DigestBytes([]byte("a manifest that nobody has"))}
	g.about(theirs, "other/app")
	manifest := func(s seeded) string {
		return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + s.blob.String() + `","size":18},"layers":[]}`
	}
	try := func(s seeded, method, path, body string, header ...string) answer {
		path = strings.NewReplacer("BLOB", s.blob.String(), "MANIFEST", s.manifest.String()).Replace(path)
		if method == "DELETE" {
			return g.as(password("janitor"), method, "/v2/team/app/"+path, "")
		}
		return g.as(password("writer"), method, "/v2/team/new/"+path, body, header...)
	}
	uploads := "blobs/uploads/"
	for name, try := range map[string]func(s seeded) answer{
		"GET of a blob":         func(s seeded) answer { return try(s, "GET", "blobs/BLOB", "") },
		"HEAD of a blob":        func(s seeded) answer { return try(s, "HEAD", "blobs/BLOB", "") },
		"a part of a blob":      func(s seeded) answer { return try(s, "GET", "blobs/BLOB", "", "Range", "bytes=0-3") },
		"If-None-Match":         func(s seeded) answer { return try(s, "GET", "blobs/BLOB", "", "If-None-Match", "*") },
		"GET of a manifest":     func(s seeded) answer { return try(s, "GET", "manifests/MANIFEST", "") },
		"a blob as manifest":    func(s seeded) answer { return try(s, "GET", "manifests/BLOB", "") },
		"a manifest as blob":    func(s seeded) answer { return try(s, "GET", "blobs/MANIFEST", "") },
		"referrers":             func(s seeded) answer { return try(s, "GET", "referrers/MANIFEST", "") },
		"a mount":               func(s seeded) answer { return try(s, "POST", uploads+"?mount=BLOB", "") },
		"a mount from theirs":   func(s seeded) answer { return try(s, "POST", uploads+"?from=other/app&mount=BLOB", "") },
		"other bytes for it":    func(s seeded) answer { return try(s, "POST", uploads+"?digest=BLOB", "guessed") },
		"no bytes for it":       func(s seeded) answer { return try(s, "POST", uploads+"?digest=BLOB", "") },
		"a deletion":            func(s seeded) answer { return try(s, "DELETE", "blobs/BLOB", "") },
		"a manifest's deletion": func(s seeded) answer { return try(s, "DELETE", "manifests/MANIFEST", "") },
		"an image with it": func(s seeded) answer {
			return try(s, "PUT", "manifests/v9", manifest(s), "Content-Type", oci.MediaTypeManifest)
		},
		"a session for it": func(s seeded) answer {
			_, session, _ := strings.Cut(try(s, "POST", uploads, "").header.Get("Location"), uploads)
			return try(s, "PUT", uploads+session+"?digest=BLOB", "guessed")
		},
	} {
		got, want := try(theirs), try(nobodys)
		hide := func(a answer, s seeded) string {
			text := strings.NewReplacer(s.blob.String(), "DIGEST", s.manifest.String(), "DIGEST").Replace(string(a.body))
			return fmt.Sprintf("%d %s %s", a.status, text, a.header.Get("Docker-Content-Digest"))
		}
		if a, b := hide(got, theirs), hide(want, nobodys); a != b || got.status == 200 || got.status == 201 {
			if name == "referrers" && a == b {
				continue // an empty list, and never more
			}
			t.Errorf("%s: %s, and for what nobody has: %s", name, a, b)
		}
	}
	g.want(g.as(password("admin"), "GET", "/v2/other/app/blobs/"+theirs.blob.String(), ""), 200)
	g.want(g.as(password("admin"), "GET", "/v2/other/app/manifests/v1", ""), 200)
}

// about pushes something about s to repo.
func (g *gated) about(s seeded, repo string) {
	g.Helper()
	m := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","artifactType":"a/b","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + s.blob.String() + `","size":18},"layers":[],` +
		`"subject":{"mediaType":"` + oci.MediaTypeManifest + `","digest":"` + s.manifest.String() + `","size":100}}`
	g.want(g.as(password("admin"), "PUT", "/v2/"+repo+"/manifests/about", m, "Content-Type", oci.MediaTypeManifest), 201)
	if a := g.as(password("admin"), "GET", "/v2/"+repo+"/referrers/"+s.manifest.String(), ""); !strings.Contains(string(a.body), `"a/b"`) {
		g.Fatalf("no referrer where there is one: %s", a.body)
	}
}

// Mounting takes the right to pull where the blob is; without it the answer is that
// for a blob that is not there, whatever the digest.
func TestMountsAskForTheRightToPull(t *testing.T) {
	g := newGated(t, true)
	held := g.seed("team/app", "other/app", "public/app", "library/redis")
	mount := func(by, repo, from string) answer {
		path := "/v2/team/new/blobs/uploads/?mount=" + held[repo].blob.String()
		if from != "" {
			path += "&from=" + url.QueryEscape(from)
		}
		return g.as(by, "POST", path, "")
	}
	both := g.token("writer", "repository:team/new:pull,push", "repository:public/app:pull")
	for name, c := range map[string]struct {
		by, repo, from string
		status         int
	}{
		"what he may pull":            {password("writer"), "team/app", "team/app", 201},
		"what is public":              {password("writer"), "public/app", "public/app", 201},
		"what he may not pull":        {password("writer"), "other/app", "other/app", 202},
		"by another path":             {password("writer"), "other/app", "docker.io/other/app", 202},
		"redis":                       {password("writer"), "library/redis", "redis", 202},
		"a digest from nowhere":       {password("writer"), "other/app", "", 202},
		"what is no path":             {password("writer"), "team/app", "../team/app", 202},
		"by a token for both":         {both, "public/app", "public/app", 201},
		"by a token without the from": {both, "team/app", "team/app", 202},
		"another's, as his own":       {password("writer"), "other/app", "team/app", 202},
		"his own, from nowhere":       {password("writer"), "team/app", "", 201},
		"with push and no pull":       {password("blind"), "team/app", "", 403},
		"without the right to push":   {password("reader"), "team/app", "team/app", 403},
		"by a stranger":               {"", "public/app", "public/app", 401},
	} {
		if a := mount(c.by, c.repo, c.from); a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, c.status, a.body)
		}
	}
}

// Sessions are for those who may push to their repository.
func TestSessionsOfOthers(t *testing.T) {
	g := newGated(t, true)
	session := g.as(password("writer"), "POST", "/v2/team/app/blobs/uploads/", "").header.Get("Location")
	elsewhere := strings.Replace(session, "/team/app/", "/team/new/", 1)
	for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
		for user, want := range map[string]int{"reader": 403, "nothing": 403, "janitor": 403, "": 401} {
			g.want(g.as(password(user), method, session, "x"), want)
		}
		g.want(g.as(password("writer"), method, elsewhere, "x"), 404, "BLOB_UPLOAD_UNKNOWN")
		g.want(g.as(g.token("writer", "repository:team/app:pull"), method, session, "x"), 401)
	}
	g.want(g.as(password("writer"), "DELETE", session, ""), 204)
}

func TestCatalog(t *testing.T) {
	g := newGated(t, true)
	g.seed("team/app", "other/app", "library/redis", "public/app")
	list := func(authorization, query string) answer {
		return g.as(authorization, "GET", "/v2/_catalog"+query, "")
	}
	for user, want := range map[string]string{
		"admin":   `{"repositories":["library/redis","other/app","public/app","team/app"]}`,
		"reader":  `{"repositories":["library/redis","public/app","team/app"]}`,
		"blind":   `{"repositories":["public/app"]}`,
		"nothing": `{"repositories":["public/app"]}`,
		"":        `{"repositories":["public/app"]}`,
	} {
		for _, by := range []string{password(user), g.token(user, "registry:catalog:*")} {
			a := list(by, "")
			if by == "" {
				g.want(a, 401)
			} else if string(a.body) != want {
				t.Errorf("%s by %.6s: %s, want %s", user, by, a.body, want)
			}
		}
	}
	g.want(list(g.token("admin", "repository:team/app:pull"), ""), 401)

	a := list(password("admin"), "?n=2")
	if string(a.body) != `{"repositories":["library/redis","other/app"]}` {
		t.Errorf("the first page: %s", a.body)
	}
	g.wantHeader(a, "Link", `</v2/_catalog?last=other%2Fapp&n=2>; rel="next"`)
	a = list(password("admin"), "?n=2&last=other%2Fapp")
	if string(a.body) != `{"repositories":["public/app","team/app"]}` {
		t.Errorf("the second page: %s", a.body)
	}
	g.wantHeader(a, "Link", "")
	if a = list(password("admin"), "?n=0"); string(a.body) != `{"repositories":[]}` {
		t.Errorf("no page: %s", a.body)
	}
	g.want(list(password("admin"), "?n=x"), 400)
	g.want(g.as(password("admin"), "POST", "/v2/_catalog", ""), 405)
}

func TestCatalogOfAnOpenServer(t *testing.T) {
	r := writable(t)
	if a := r.do("GET", "/v2/_catalog", nil); string(a.body) != `{"repositories":[]}` {
		t.Errorf("an empty store: %d %s", a.status, a.body)
	}
	m := r.image("x")
	for _, d := range []oci.Digest{m.Config.Digest, m.Layers[0].Digest} {
		r.want(r.do("POST", "/v2/quay.io/a/b/blobs/uploads/?mount="+d.String(), nil), 201)
	}
	for _, path := range []string{"/v2/quay.io/a/b/manifests/v1", "/v2/app/manifests/v1", "/v2/app/manifests/v2"} {
		r.want(r.pushManifest(path, m, oci.MediaTypeManifest), 201)
	}
	if a := r.do("GET", "/v2/_catalog", nil); string(a.body) != `{"repositories":["library/app","quay.io/a/b"]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.want(r.do("GET", "/token", nil), 404)
}

// A challenge is not built from what is no host.
func TestABadHostIsRefused(t *testing.T) {
	g := newGated(t, true)
	req, err := http.NewRequestWithContext(t.Context(), "GET", g.url+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = `evil.example",service="x`
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
}

// Where there are users, metrics are for them; how the server is, for everybody.
func TestMetricsAreForUsers(t *testing.T) {
	g := newGated(t, true)
	for user, want := range map[string]int{"": 401, "nobody": 401, "reader": 200, "nothing": 200} {
		a := g.as(password(user), "GET", "/metrics", "")
		g.want(a, want)
		if challenge := a.header.Get("WWW-Authenticate"); (want == 401) != strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%q is told %q", user, challenge)
		}
	}
	g.want(g.as("", "GET", "/healthz", ""), 200)
}

// A browser sends passwords along with what other sites' pages have it send.
func TestPagesOfOtherSitesCannotWrite(t *testing.T) {
	g := newGated(t, true)
	const where = "/v2/team/app/blobs/uploads/"
	g.want(g.as(password("admin"), "POST", where, "", "Sec-Fetch-Site", "cross-site"), 403, "DENIED")
	g.want(g.as(password("admin"), "POST", where, "", "Origin", "https://other.example"), 403, "DENIED")
	g.want(g.as(password("admin"), "POST", where, ""), 202)
	g.want(g.as(password("reader"), "GET", "/v2/team/app/tags/list", "", "Sec-Fetch-Site", "cross-site"), 404)
}
