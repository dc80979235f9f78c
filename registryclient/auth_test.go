package registryclient

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// gate asks for bearer tokens in front of a registry and hands them out.
type gate struct {
	mu     sync.Mutex
	issued int
	uses   map[string]int
	limit  int // uses of a token, 0 for any number
	life   time.Duration
	born   map[string]time.Time
	asked  []*http.Request // token requests, their form parsed
	user   string          // "" takes everybody
	refuse bool            // no token is ever good
}

func newGate() *gate { return &gate{uses: map[string]int{}, born: map[string]time.Time{}} }

// token is the token server.
func (g *gate) token(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = r.ParseForm()
	g.asked = append(g.asked, r)
	user, _, _ := r.BasicAuth()
	if g.user != "" && user != g.user && r.PostForm.Get("refresh_token") == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.issued++
	t := fmt.Sprint("token", g.issued)
	g.born[t] = time.Now()
	fmt.Fprintf(w, `{"token":%q,"expires_in":300}`, t)
}

// admits says whether a request has a token that is still good.
func (g *gate) admits(r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, known := g.born[t]; !ok || !known || g.refuse {
		return false
	}
	g.uses[t]++
	return (g.limit == 0 || g.uses[t] <= g.limit) && (g.life == 0 || time.Since(g.born[t]) <= g.life)
}

func (g *gate) guard(f *fake, realm string) {
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/token" {
			g.token(w, r)
			return true
		}
		if g.admits(r) {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="reg",scope="repository:team/app:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func gated(t *testing.T) (*fake, *gate) {
	t.Helper()
	f, g := newFake(t), newGate()
	g.guard(f, f.url.String()+"/token")
	return f, g
}

func authFileFor(t *testing.T, host, user, pass string) func(*Options) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "auth.json")
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + pass))
	if err := os.WriteFile(path, fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.AuthFile = path }
}

func TestAnonymousToken(t *testing.T) {
	f, g := gated(t)
	a, b := f.addBlob(1000), f.addBlob(2000)
	r := f.repository(t, nil)
	mustFetch(t, f, r, a)
	mustFetch(t, f, r, b)
	if g.issued != 1 || r.client.Stats().TokenRequests != 1 || r.client.Stats().Requests != 3 {
		t.Fatalf("%d tokens, %+v: want one token, and one refusal before it", g.issued, r.client.Stats())
	}
	q := g.asked[0].Form
	if q.Get("service") != "reg" || q.Get("scope") != "repository:team/app:pull" {
		t.Fatalf("asked for %v", q)
	}
}

// Of many requests at once one finds out what is asked for; the others wait for it.
func TestOneRequestLearnsForAll(t *testing.T) {
	f, g := gated(t)
	blob := f.addBlob(1000)
	r := f.repository(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := fetchAll(r, blob); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st := r.client.Stats(); st.Requests != 21 || st.TokenRequests != 1 || g.issued != 1 {
		t.Errorf("%+v, %d tokens", st, g.issued)
	}
}

func TestTokenWithCredentials(t *testing.T) {
	f, g := gated(t)
	g.user = "ann"
	blob := f.addBlob(1000)
	mustFetch(t, f, f.repository(t, authFileFor(t, f.url.Host, "ann", "pa:ss")), blob)
	if _, pass, _ := g.asked[0].BasicAuth(); pass != "pa:ss" {
		t.Fatalf("password %q", pass)
	}
	_, err := fetchAll(f.repository(t, authFileFor(t, f.url.Host, "bob", "secret-word")), blob)
	wantClass(t, err, content.ErrDenied)
	if strings.Contains(err.Error()+content.Hint(err), "secret-word") || content.Hint(err) == "" {
		t.Fatalf("error %q, hint %q", err, content.Hint(err))
	}
	_, err = fetchAll(f.repository(t, nil), blob)
	wantClass(t, err, content.ErrDenied)
	if !strings.Contains(content.Hint(err), "dist login "+f.url.Host) {
		t.Fatalf("hint %q", content.Hint(err))
	}
}

func TestIdentityTokenGoesByPost(t *testing.T) {
	f, g := gated(t)
	blob := f.addBlob(1000)
	mustFetch(t, f, f.repository(t, authFileFor(t, f.url.Host, "<token>", "refresh-me")), blob)
	r := g.asked[0]
	if r.Method != http.MethodPost || r.PostForm.Get("refresh_token") != "refresh-me" || r.PostForm.Get("grant_type") != "refresh_token" {
		t.Fatalf("%s %v", r.Method, r.PostForm)
	}
}

func TestTokenThatDiesIsRenewed(t *testing.T) {
	t.Run("after two uses, in parallel", func(t *testing.T) {
		f, g := gated(t)
		g.limit = 2
		desc := f.addBlob(1 << 20)
		mustFetch(t, f, f.repository(t, nil), desc)
		if g.issued < 3 {
			t.Fatalf("%d tokens", g.issued)
		}
	})
	t.Run("early", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, g := emptyFake(), newGate()
			g.guard(f, "http://localhost:5000/token")
			g.life = 300 * time.Millisecond
			a, b := f.addBlob(1000), f.addBlob(2000)
			r, stop := inBubble(t, f)
			defer stop()
			mustFetch(t, f, r, a)
			time.Sleep(time.Second)
			mustFetch(t, f, r, b)
		})
	})
	t.Run("at its announced end, without a refusal", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, g := emptyFake(), newGate()
			g.guard(f, "http://localhost:5000/token")
			a, b := f.addBlob(1000), f.addBlob(2000)
			r, stop := inBubble(t, f)
			defer stop()
			mustFetch(t, f, r, a)
			time.Sleep(301 * time.Second)
			mustFetch(t, f, r, b)
			if s := r.client.Stats(); s.Requests != 3 || s.TokenRequests != 2 {
				t.Fatalf("%+v", s)
			}
		})
	})
}

func TestRefusalLoopEndsAfterOneFreshToken(t *testing.T) {
	f, g := gated(t)
	g.refuse = true
	_, err := fetchAll(f.repository(t, nil), f.addBlob(1000))
	wantClass(t, err, content.ErrDenied)
	if g.issued != 1 {
		t.Fatalf("%d tokens", g.issued)
	}
}

func TestTokenServerFaults(t *testing.T) {
	cases := map[string]struct {
		class error
		n     int64 // token requests
		h     func(w http.ResponseWriter)
	}{
		"500":      {content.ErrUnavailable, 6, func(w http.ResponseWriter) { w.WriteHeader(500) }},
		"403":      {content.ErrDenied, 1, func(w http.ResponseWriter) { w.WriteHeader(403) }},
		"too big":  {content.ErrUnavailable, 1, func(w http.ResponseWriter) { fmt.Fprintf(w, `{"token":%q}`, strings.Repeat("x", 1<<20)) }},
		"no token": {content.ErrUnsupported, 1, func(w http.ResponseWriter) { fmt.Fprint(w, `{}`) }},
		"newline":  {content.ErrUnsupported, 1, func(w http.ResponseWriter) { fmt.Fprint(w, `{"token":"a\r\nX-Evil: 1"}`) }},
		"html":     {content.ErrUnavailable, 1, func(w http.ResponseWriter) { fmt.Fprint(w, `<html>`) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, g := gated(t)
			guard := f.hook
			f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
				if r.URL.Path == "/token" {
					c.h(w)
					return true
				}
				return guard(w, r, n)
			}
			r := f.repository(t, nil)
			_, err := fetchAll(r, f.addBlob(1000))
			wantClass(t, err, c.class)
			if got := r.client.Stats().TokenRequests; got != c.n || g.issued != 0 {
				t.Fatalf("%d token requests, want %d", got, c.n)
			}
		})
	}
}

func TestBasic(t *testing.T) {
	f := newFake(t)
	blob := f.addBlob(1000)
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if u, p, _ := r.BasicAuth(); u == "ann" && p == "pw" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	mustFetch(t, f, f.repository(t, authFileFor(t, f.url.Host, "ann", "pw")), blob)
	_, err := fetchAll(f.repository(t, authFileFor(t, f.url.Host, "ann", "wrong")), blob)
	wantClass(t, err, content.ErrDenied)
	if !strings.Contains(content.Hint(err), "were sent") {
		t.Fatalf("hint %q", content.Hint(err))
	}
	_, err = fetchAll(f.repository(t, nil), blob)
	wantClass(t, err, content.ErrDenied)
}

func TestRedirectNeverCarriesAuthorization(t *testing.T) {
	var leaked atomic.Int32
	var f *fake
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "" {
			leaked.Add(1)
		}
		f.serve(w, r)
	}))
	defer elsewhere.Close()
	f, g := gated(t)
	guard := f.hook
	f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if guard(w, r, n) {
			return true
		}
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	g.user = "ann"
	mustFetch(t, f, f.repository(t, authFileFor(t, f.url.Host, "ann", "pw")), f.addBlob(300_000))
	if leaked.Load() != 0 {
		t.Fatal("Authorization went to another port")
	}
	if n := f.requests("GET /v2/"); n > 2+4 {
		t.Errorf("the registry was asked %d times for the way", n)
	}
}

func TestRefusalElsewhereIsNotAnsweredWithCredentials(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="give"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer elsewhere.Close()
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were offered without need")
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		return true
	}
	_, err := fetchAll(f.repository(t, authFileFor(t, f.url.Host, "ann", "pw")), f.addBlob(10))
	wantClass(t, err, content.ErrDenied)
}

func TestTokenRedirectKeepsCredentialsHome(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if r.Header.Get("Authorization") != "" || r.Form.Get("refresh_token") != "" {
			t.Error("credentials went to where the token server redirects")
		}
		fmt.Fprint(w, `{"token":"x"}`)
	}))
	defer elsewhere.Close()
	for _, user := range []string{"ann", "<token>"} {
		f, _ := gated(t)
		guard := f.hook
		f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if r.URL.Path == "/token" {
				http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
				return true
			}
			return guard(w, r, n)
		}
		if _, err := fetchAll(f.repository(t, authFileFor(t, f.url.Host, user, "pw")), f.addBlob(10)); err == nil {
			t.Error("a token of nobody was good")
		}
	}
}

func TestRealm(t *testing.T) {
	cases := []struct {
		base, realm    string
		allowed, trust bool
	}{
		{"https://registry-1.docker.io", "https://auth.docker.io/token", true, true},
		{"https://registry.gitlab.com", "https://gitlab.com/jwt/auth", true, true},
		{"https://quay.io", "https://quay.io/v2/auth", true, true},
		{"https://r.example.org:5000", "https://r.example.org:5001/token", true, true},
		{"https://r.example.org", "https://evil.test/token", true, false},
		{"https://r.example.org", "https://evilexample.org/token", true, false},
		{"https://quay.io", "https://evil.io/token", true, false},
		{"https://example.co.uk", "https://evil.co.uk/token", true, false},
		{"https://r.example.co.uk", "https://auth.example.co.uk/token", true, true},
		{"https://10.0.0.1", "https://11.0.0.1/token", true, false},
		{"https://r.example.org", "http://r.example.org/token", false, false},
		{"https://r.example.org", "https://127.0.0.1/token", false, false},
		{"https://r.example.org", "https://u:p@r.example.org/token", false, false},
		{"https://r.example.org", "file:///etc/passwd", false, false},
		{"http://localhost:5000", "http://127.0.0.1:5001/token", true, true},
		{"http://localhost:5000", "http://auth.example.org/token", false, false},
		{"https://r.example.org", "https://named.test/token", true, true},
	}
	c := testClient(t, func(o *Options) { o.TokenHosts = []string{"named.test"} })
	for _, tc := range cases {
		base, _ := url.Parse(tc.base)
		realm, err := c.allowRealm(base, tc.realm)
		if (err == nil) != tc.allowed {
			t.Errorf("%s for %s: %v", tc.realm, tc.base, err)
			continue
		}
		if err == nil && c.trustsRealm(base, realm) != tc.trust {
			t.Errorf("%s is trusted by %s: want %v", tc.realm, tc.base, tc.trust)
		}
	}
}

// answers is a network of one function.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp := a(r)
	resp.Request = r
	return resp, nil
}

func TestCredentialsStayInTheirDomain(t *testing.T) {
	say := func(status int, body string, header http.Header) *http.Response {
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
	}
	net := answers(func(r *http.Request) *http.Response {
		switch {
		case r.URL.Host == "evil.test":
			if r.Header.Get("Authorization") != "" {
				t.Error("the credentials went to evil.test")
			}
			return say(200, `{"token":"x"}`, http.Header{})
		case r.Header.Get("Authorization") == "Bearer x":
			return say(200, "", http.Header{})
		}
		return say(401, "", http.Header{"Www-Authenticate": {`Bearer realm="https://evil.test/token"`}})
	})
	empty := oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes(nil)}
	fetch := func(change func(*Options)) error {
		r := repositoryAt(t, "r.example.org", func(o *Options) {
			o.Transport = net
			if change != nil {
				change(o)
			}
		})
		_, err := fetchAll(r, empty)
		return err
	}
	if err := fetch(nil); err != nil {
		t.Errorf("without credentials any token server will do: %v", err)
	}
	err := fetch(authFileFor(t, "r.example.org", "ann", "pw"))
	wantClass(t, err, content.ErrDenied)
	if !strings.Contains(err.Error(), "evil.test") || content.Hint(err) == "" {
		t.Errorf("%v, hint %q", err, content.Hint(err))
	}
}

func TestAuthorizationIsBoundToSchemeHostAndPort(t *testing.T) {
	for target, own := range map[string]bool{
		"https://r.test/elsewhere": true, "https://R.test:443/elsewhere": true,
		"http://r.test/elsewhere": false, "http://r.test:443/elsewhere": false, "https://r.test:8443/elsewhere": false,
		"https://sub.r.test/elsewhere": false, "https://r.test.evil.test/elsewhere": false,
	} {
		arrived := false
		net := answers(func(r *http.Request) *http.Response {
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
			sent := r.Header.Get("Authorization") != ""
			switch {
			case r.URL.Path == "/elsewhere":
				arrived = true
				if sent != own {
					t.Errorf("redirected to %s: Authorization was sent: %v, want %v", target, sent, own)
				}
			case !sent:
				resp.StatusCode = http.StatusUnauthorized
				resp.Header.Set("WWW-Authenticate", `Basic realm="x"`)
			default:
				resp.StatusCode = http.StatusTemporaryRedirect
				resp.Header.Set("Location", target)
			}
			return resp
		})
		auth := authFileFor(t, "r.test", "ann", "pw")
		r := repositoryAt(t, "r.test", func(o *Options) { auth(o); o.Transport = net })
		if _, err := fetchAll(r, oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes(nil)}); err != nil || !arrived {
			t.Errorf("redirected to %s: %v, followed: %v", target, err, arrived)
		}
	}
}

func TestLoginAtDockerHub(t *testing.T) {
	testHome(t)
	for _, name := range []string{"docker.io", "index.docker.io", "https://index.docker.io/v1/"} {
		var asked []string
		net := answers(func(r *http.Request) *http.Response {
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
			asked = append(asked, r.URL.Host+r.URL.Path+" "+strings.Fields(r.Header.Get("Authorization") + " none")[0])
			switch {
			case r.URL.Path == "/token":
				resp.Body = io.NopCloser(strings.NewReader(`{"token":"x"}`))
			case r.Header.Get("Authorization") == "":
				resp.StatusCode = http.StatusUnauthorized
				resp.Header.Set("WWW-Authenticate", `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`)
			}
			return resp
		})
		file := filepath.Join(t.TempDir(), "config.json")
		c := testClient(t, func(o *Options) { o.Transport, o.AuthFile = net, file })
		got, err := c.Login(t.Context(), name, LoginOptions{Username: "ann", Password: "pw"})
		if err != nil || got.Key != hubKey {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		want := []string{"registry-1.docker.io/v2/ none", "auth.docker.io/token Basic", "registry-1.docker.io/v2/ Bearer"}
		if !slices.Equal(asked, want) {
			t.Errorf("%s: asked %q, want %q", name, asked, want)
		}
		if c := lookupIn(t, readFile(t, file), "https://registry-1.docker.io", "library/redis"); c.username != "ann" {
			t.Errorf("%s: pulls find %q", name, c.username)
		}
	}
}

func TestParseChallenges(t *testing.T) {
	cases := []struct {
		in   string
		want []challenge
	}{
		{
			`Bearer realm="https://a/t?x=1,2",service="r s",scope="repository:a:pull,push"`,
			[]challenge{{"bearer", map[string]string{"realm": "https://a/t?x=1,2", "service": "r s", "scope": "repository:a:pull,push"}}},
		},
		{
			`Basic realm="a\"b", Bearer realm=https , error="x"`,
			[]challenge{{"basic", map[string]string{"realm": `a"b`}}, {"bearer", map[string]string{"realm": "https", "error": "x"}}},
		},
		{`Negotiate, Basic realm="x"`, []challenge{{"negotiate", nil}, {"basic", map[string]string{"realm": "x"}}}},
		{`Bearer realm="unterminated`, []challenge{{"bearer", nil}}},
		{`bearer REALM = "x"`, []challenge{{"bearer", map[string]string{"realm": "x"}}}},
		{``, nil},
		{`"`, nil},
	}
	for _, c := range cases {
		got := parseChallenges([]string{c.in})
		ok := len(got) == len(c.want)
		for i := 0; ok && i < len(got); i++ {
			ok = got[i].scheme == c.want[i].scheme && maps.Equal(got[i].params, c.want[i].params)
		}
		if !ok {
			t.Errorf("%s: %v, want %v", c.in, got, c.want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/t",service="r",scope="repository:a:pull"`)
	for _, s := range []string{
		`Basic realm="a\"b", Bearer realm=x`,
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/redis:pull"`,
		`Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull"`,
		`Bearer realm="https://quay.io/v2/auth",service="quay.io"`,
		`Bearer realm="https://gitlab.test/jwt/auth",service="container_registry",error="invalid_token"`,
		`Bearer realm="https://h.test/service/token",service="harbor-registry",scope="repository:a/b:pull,push repository:c/d:pull"`,
		`Basic realm="https://1234.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"`,
		`Basic realm="Registry Realm"`, `BASIC`, `Negotiate`, `NTLM TlRMTVNTUAAB, Basic realm=""`,
		`Digest realm="a", nonce="b,c=d", qop="auth,auth-int"`, `Bearer realm="x"service="y"`, `bearer realm = 'x'`, `Bearer REALM="a", Realm="b"`, `Bearer realm="a\\\"", x="\\"`, "Basic realm=\"\x00\xff\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parseChallenges([]string{s})
		if len(got) > 16 {
			t.Fatalf("%d challenges", len(got))
		}
		var written strings.Builder
		for i, ch := range got {
			if ch.scheme == "" || ch.scheme != strings.ToLower(ch.scheme) {
				t.Fatalf("scheme %q", ch.scheme)
			}
			if i > 0 {
				written.WriteString(", ")
			}
			written.WriteString(ch.scheme)
			sep := " "
			for name, value := range ch.params {
				if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " \t,=\"") {
					t.Fatalf("parameter %q", name)
				}
				written.WriteString(sep + name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`)
				sep = ","
			}
		}
		// What was understood is what is understood when it is written out properly.
		again := parseChallenges([]string{written.String()})
		if !slices.EqualFunc(got, again, func(a, b challenge) bool { return a.scheme == b.scheme && maps.Equal(a.params, b.params) }) {
			t.Fatalf("%q is %v; written %s it is %v", s, got, &written, again)
		}
	})
}

func TestWidenAddsOnlyWhatWasWanted(t *testing.T) {
	r := testClient(t, nil).Repository(oci.Reference{Registry: "r.test", Repository: "team/app"})
	got := r.widen(r.scope("pull"), "repository:proxy/team/app:pull,push,delete repository:team/app:push registry:catalog:*")
	if strings.Join(got, " ") != "repository:team/app:pull repository:proxy/team/app:pull" {
		t.Fatalf("scopes %q", got)
	}
}
