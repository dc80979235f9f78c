package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// rig is a gate with files and a clock that tests change.
type rig struct {
	*testing.T
	*Gate
	at       *clock
	dir      string
	warnings []string
}

// newRig makes a gate for ann (password right) and ben (b3n); rules may be "".
func newRig(t *testing.T, rules string, anonymous bool) *rig {
	r := &rig{T: t, at: newClock(), dir: t.TempDir()}
	r.write("htpasswd", userLine(t, "ann", "right")+userLine(t, "ben", "b3n"))
	o := Options{
		Htpasswd: filepath.Join(r.dir, "htpasswd"), Anonymous: anonymous, PathOf: pathOf, Now: r.at.now,
		Warn: func(s string) { r.warnings = append(r.warnings, s) },
	}
	if rules != "" {
		r.write("rules", rules)
		o.Rules = filepath.Join(r.dir, "rules")
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Gate = g
	return r
}

func (r *rig) write(name, data string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(data), 0o600); err != nil {
		r.Fatal(err)
	}
}

func TestRulesForNobodyAreTold(t *testing.T) {
	r := newRig(t, `{"groups": {"ci": ["ben", "bem"]}, "rules": [
  {"users": ["ann", "anm"], "groups": ["ci"], "repositories": ["**"], "actions": ["pull"]},
  {"users": ["anm"], "repositories": ["**"], "actions": ["push"]}]}`, false)
	if len(r.warnings) != 1 || !strings.Contains(r.warnings[0], `no user "anm, bem"`) {
		t.Errorf("it warns of %q", r.warnings)
	}
}

func request(method, target string, authorization ...string) *http.Request {
	req := httptest.NewRequest(method, target, nil)
	for _, a := range authorization {
		req.Header.Add("Authorization", a)
	}
	return req
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// resolve reads paths as a server for Docker Hub does.
func resolve(_ context.Context, path string) (oci.Reference, bool, error) {
	r, err := oci.ParseRepository(path)
	return r, err == nil, nil
}

// ask sends a token request.
func (r *rig) ask(req *http.Request) (int, map[string]any) {
	r.Helper()
	w := httptest.NewRecorder()
	r.ServeToken(w, req, resolve)
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		r.Fatalf("%d: %q: %v", w.Code, w.Body, err)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		r.Errorf("Cache-Control is %q", got)
	}
	return w.Code, doc
}

// tokenFor is a token for scopes, that have to be asked for with credentials or "".
func (r *rig) tokenFor(authorization string, scopes ...string) string {
	r.Helper()
	req := request("GET", "/token?"+url.Values{"service": {Service}, "scope": scopes}.Encode())
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	status, doc := r.ask(req)
	token, _ := doc["token"].(string)
	if status != 200 || token == "" {
		r.Fatalf("token: %d %v", status, doc)
	}
	return token
}

func TestCredentials(t *testing.T) {
	r := newRig(t, "", true)
	good := map[string][]string{
		"":    nil,
		"ann": {basic("ann", "right")},
		"ben": {"bAsIc  " + strings.TrimPrefix(basic("ben", "b3n"), "Basic ")},
	}
	for user, header := range good {
		if v, err := r.Identify(request("GET", "/v2/", header...)); err != nil || v.User() != user || v.Known() != (user != "") || v.ByToken() {
			t.Errorf("%q: %+v, %v", header, v, err)
		}
	}
	for name, header := range map[string][]string{
		"wrong":          {basic("ann", "wrong")},
		"another's":      {basic("ann", "b3n")},
		"empty password": {basic("ann", "")},
		"nobody":         {basic("eve", "right")},
		"no user":        {basic("", "")},
		"no colon":       {"Basic " + base64.StdEncoding.EncodeToString([]byte("ann"))},
		"no base64":      {"Basic ann:right"},
		"empty":          {""},
		"scheme alone":   {"Basic"},
		"another scheme": {"Digest username=ann"},
		"two headers":    {basic("ann", "right"), basic("ann", "right")},
		"empty token":    {"Bearer "},
	} {
		v, err := r.Identify(request("GET", "/v2/", header...))
		if !errors.Is(err, content.ErrDenied) || v.Known() || v.May(Pull, repo(t, "a/b")) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestWithoutAGate(t *testing.T) {
	var g *Gate
	v, err := g.Identify(request("GET", "/v2/", "nonsense"))
	if err != nil || !v.May(Delete, repo(t, "a/b")) || !v.MayList() || !v.Known() {
		t.Errorf("%+v, %v", v, err)
	}
	if v := (Visitor{}); v.May(Pull, repo(t, "a/b")) || v.MayList() || v.Known() {
		t.Error("the zero Visitor may do something")
	}
}

// what says which actions a bearer of token has on some repositories.
func (r *rig) what(token string, names ...string) string {
	r.Helper()
	v, err := r.Identify(request("GET", "/v2/", "Bearer "+token))
	if err != nil {
		r.Fatal(err)
	}
	var got []string
	for _, name := range names {
		for _, a := range actions {
			if v.May(a, repo(r, name)) {
				got = append(got, name+" "+string(a))
			}
		}
	}
	if v.MayList() {
		got = append(got, "list")
	}
	return strings.Join(got, ", ")
}

func TestTokensNarrow(t *testing.T) {
	r := newRig(t, `{"rules": [
		{"users": ["ann"], "repositories": ["team/**"], "actions": ["pull", "push"]},
		{"users": ["ben"], "repositories": ["**"], "actions": ["pull", "push", "delete"]},
		{"anonymous": true, "repositories": ["library/*"], "actions": ["pull"]}]}`, true)
	ann, ben := basic("ann", "right"), basic("ben", "b3n")
	names := []string{"team/a", "team/b", "redis", "other/x"}
	for _, c := range []struct {
		who    string
		scopes []string
		want   string
	}{
		{ann, nil, ""},
		{ann, []string{"repository:team/a:pull"}, "team/a pull"},
		{ann, []string{"repository:team/a:pull,push,delete"}, "team/a pull, team/a push"},
		{ann, []string{"repository:team/a:*"}, "team/a pull, team/a push"},
		{ann, []string{"repository:team/a:push repository:team/b:pull"}, "team/a push, team/b pull"},
		{ann, []string{"repository:team/a:push", "repository:team/b:pull"}, "team/a push, team/b pull"},
		{ann, []string{"repository:other/x:pull"}, ""},
		{ann, []string{"repository:library/redis:pull"}, "redis pull"},
		{ann, []string{"repository:redis:pull,push"}, "redis pull"},
		{ann, []string{"repository:docker.io/library/redis:pull"}, "redis pull"},
		{ann, []string{Catalog}, "list"},
		{ann, []string{"registry:catalog:pull", "repository(plugin):team/a:pull", "repository::pull", "repository:team/a", "repository:team/a:", "repository:TEAM/a:pull", ":::"}, ""},
		{ben, []string{"repository:other/x:delete,pull"}, "other/x pull, other/x delete"},
		{"", []string{"repository:redis:pull,push", "repository:team/a:pull"}, "redis pull"},
	} {
		if got := r.what(r.tokenFor(c.who, c.scopes...), names...); got != c.want {
			t.Errorf("%q: %q, want %q", c.scopes, got, c.want)
		}
	}
}

// A right, a user or a password that is taken away is gone at once.
func TestTokensAreJudgedAgain(t *testing.T) {
	give := `{"rules": [{"everyone": true, "repositories": ["team/*"], "actions": ["pull", "push"]}]}`
	r := newRig(t, give, false)
	token := r.tokenFor(basic("ann", "right"), "repository:team/a:pull,push")
	if got := r.what(token, "team/a"); got != "team/a pull, team/a push" {
		t.Fatal(got)
	}
	r.write("rules", strings.Replace(give, `, "push"`, "", 1))
	r.at.pass(2 * time.Second)
	if got := r.what(token, "team/a"); got != "team/a pull" {
		t.Errorf("after the rule has changed: %q", got)
	}
	for _, users := range []string{userLine(t, "ann", "changed") + userLine(t, "ben", "b3n"), userLine(t, "ben", "b3n")} {
		r.write("htpasswd", users)
		r.at.pass(2 * time.Second)
		if _, err := r.Identify(request("GET", "/v2/", "Bearer "+token)); !errors.Is(err, ErrToken) {
			t.Errorf("after the users have changed: %v", err)
		}
		if _, err := r.Identify(request("GET", "/v2/", basic("ann", "right"))); !errors.Is(err, ErrCredentials) {
			t.Errorf("the remembered password: %v", err)
		}
	}
}

func TestTokensThatAreNoGood(t *testing.T) {
	r := newRig(t, "", true)
	token := r.tokenFor(basic("ann", "right"), "repository:a/b:pull")
	part := strings.Split(token, ".")
	now := r.at.now()
	valid := func(change func(*claims)) string {
		c, ok := open(r.key, token, now)
		if !ok {
			t.Fatal("the token is no good from the beginning")
		}
		change(&c)
		s, err := sign(r.key, c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	head := func(h string) string { return encoding.EncodeToString([]byte(h)) }
	resigned := func(h string) string {
		return h + "." + part[1] + "." + signature(r.key, h+"."+part[1])
	}
	other := newRig(t, "", true).tokenFor(basic("ann", "right"), "repository:a/b:pull")
	if _, err := r.Identify(request("GET", "/v2/", "Bearer "+valid(func(*claims) {}))); err != nil {
		t.Fatalf("signed again: %v", err)
	}
	for name, bad := range map[string]string{
		"another key":         other,
		"alg none":            head(`{"alg":"none","typ":"JWT"}`) + "." + part[1] + ".",
		"alg none, signed":    resigned(head(`{"alg":"none","typ":"JWT"}`)),
		"alg RS256, signed":   resigned(head(`{"alg":"RS256","typ":"JWT"}`)),
		"another form":        resigned(head(`{"typ":"JWT","alg":"HS256"}`)),
		"a key of its own":    resigned(head(`{"alg":"HS256","typ":"JWT","jwk":{}}`)),
		"no signature":        part[0] + "." + part[1] + ".",
		"two parts":           part[0] + "." + part[1],
		"four parts":          token + "." + part[2],
		"another's signature": part[0] + "." + part[1] + "." + strings.Split(other, ".")[2],
		"padded":              token + "=",
		"a bit more":          token + " ",
		"another user":        part[0] + "." + strings.Replace(part[1], "a", "b", 1) + "." + part[2],
		"another audience":    valid(func(c *claims) { c.Audience = "other" }),
		"another issuer":      valid(func(c *claims) { c.Issuer = "other" }),
		"not yet":             valid(func(c *claims) { c.NotBefore = now.Unix() + 1 }),
		"just expired":        valid(func(c *claims) { c.Expires = now.Unix() }),
		"a user who is not":   valid(func(c *claims) { c.Subject = "eve" }),
		"of another password": valid(func(c *claims) { c.Subject = "ben" }),
		"much too long":       part[0] + "." + strings.Repeat("a", maxToken) + "." + part[2],
		"nothing":             "",
	} {
		if v, err := r.Identify(request("GET", "/v2/", "Bearer "+bad)); !errors.Is(err, ErrToken) || v.May(Pull, repo(t, "a/b")) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	r.at.pass(tokenLife)
	if _, err := r.Identify(request("GET", "/v2/", "Bearer "+token)); !errors.Is(err, ErrToken) {
		t.Errorf("after its time: %v", err)
	}
}

func TestTheTokenServer(t *testing.T) {
	r := newRig(t, "", true)
	form := func(v url.Values) *http.Request {
		req := httptest.NewRequest("POST", "/token?grant_type=password&username=ann&password=right", strings.NewReader(v.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	ann := url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {"right"}, "service": {Service}, "scope": {"repository:a/b:pull"}}
	with := func(key, value string) url.Values {
		v := url.Values{}
		for k, old := range ann {
			v[k] = slices.Clone(old)
		}
		v.Set(key, value)
		return v
	}
	token := r.tokenFor(basic("ann", "right"))
	many := "/token?scope=" + strings.Repeat("repository:a:pull+", maxScopes+1)
	for _, c := range []struct {
		name   string
		req    *http.Request
		status int
		word   string
	}{
		{"GET", request("GET", "/token", basic("ann", "right")), 200, ""},
		{"GET as docker does", request("GET", "/token?account=ann&client_id=docker&offline_token=true&service=dist", basic("ann", "right")), 200, ""},
		{"GET without credentials", request("GET", "/token?service=dist"), 200, ""},
		{"GET with a wrong password", request("GET", "/token?service=dist", basic("ann", "wrong")), 401, "invalid_client"},
		{"GET with a token", request("GET", "/token?service=dist", "Bearer "+token), 401, "invalid_client"},
		{"GET for another service", request("GET", "/token?service=other", basic("ann", "right")), 400, "invalid_request"},
		{"GET for two services", request("GET", "/token?service=dist&service=other", basic("ann", "right")), 400, "invalid_request"},
		{"GET with many scopes", request("GET", many, basic("ann", "right")), 400, "invalid_scope"},
		{"POST", form(ann), 200, ""},
		{"POST with a wrong password", form(with("password", "wrong")), 401, "invalid_grant"},
		{"POST without a user", form(with("username", "")), 401, "invalid_grant"},
		{"POST with a refresh token", form(with("grant_type", "refresh_token")), 400, "unsupported_grant_type"},
		{"POST for another service", form(with("service", "other")), 400, "invalid_request"},
		{"POST with a password in the address", form(url.Values{}), 400, "unsupported_grant_type"},
		{"POST of too much", form(with("client_id", strings.Repeat("x", maxForm))), 400, "invalid_request"},
		{"HEAD", request("HEAD", "/token", basic("ann", "right")), 405, "invalid_request"},
		{"PUT", request("PUT", "/token", basic("ann", "right")), 405, "invalid_request"},
	} {
		status, doc := r.ask(c.req)
		if word, _ := doc["error"].(string); status != c.status || word != c.word {
			t.Errorf("%s: %d %v, want %d %s", c.name, status, doc, c.status, c.word)
		}
		if status == 200 && (doc["token"] != doc["access_token"] || doc["expires_in"] != float64(300) || doc["issued_at"] == nil) {
			t.Errorf("%s: %v", c.name, doc)
		}
	}
}

// Who sends the beginning of a form and no more keeps nobody out but others with forms,
// and those not for long.
func TestFormsThatDoNotComeAreBounded(t *testing.T) {
	r := newRig(t, "", false)
	post := func(body io.Reader) *http.Request {
		req := httptest.NewRequest("POST", "/token", body)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	const good = "grant_type=password&username=ann&password=right"
	var slow sync.WaitGroup
	var ends []*io.PipeWriter
	for range maxForms {
		body, end := io.Pipe()
		ends = append(ends, end)
		slow.Go(func() { r.ServeToken(&timed{ResponseRecorder: httptest.NewRecorder(), T: t}, post(body), resolve) })
		_, _ = io.WriteString(end, "g") // it is being read once this returns
	}
	if status, _ := r.ask(post(strings.NewReader(good))); status != http.StatusTooManyRequests {
		t.Errorf("one form more is answered %d", status)
	}
	r.tokenFor(basic("ann", "right"))
	for _, end := range ends {
		end.CloseWithError(os.ErrDeadlineExceeded)
	}
	slow.Wait()
	if status, _ := r.ask(post(strings.NewReader(good))); status != http.StatusOK {
		t.Errorf("a form is answered %d after that", status)
	}
}

// timed fails unless a deadline is set before what it records.
type timed struct {
	*httptest.ResponseRecorder
	*testing.T
	until time.Time
}

func (w *timed) SetReadDeadline(until time.Time) error {
	w.until = until
	return nil
}

func (w *timed) WriteHeader(status int) {
	if left := time.Until(w.until); left > formWait || w.until.IsZero() {
		w.Errorf("a form may come for %v, until %v", left, w.until)
	}
	w.ResponseRecorder.WriteHeader(status)
}

// Where those without credentials may do nothing, they get no token.
func TestNoTokenForNothing(t *testing.T) {
	onlyUsers := `{"rules": [{"everyone": true, "repositories": ["**"], "actions": ["pull"]}]}`
	for name, r := range map[string]*rig{"none": newRig(t, "", false), "no rule": newRig(t, onlyUsers, true)} {
		if status, doc := r.ask(request("GET", "/token")); status != 401 {
			t.Errorf("%s: %d %v", name, status, doc)
		}
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	r := newRig(t, "", false)
	fits := func(user, password string) bool {
		_, err := r.Identify(request("GET", "/v2/", basic(user, password)))
		return err == nil
	}
	if !fits("ann", "right") {
		t.Fatal("the first file does not count")
	}
	r.write("htpasswd", userLine(t, "cid", "c1d"))
	if fits("cid", "c1d") {
		t.Error("the file was looked at twice within a second")
	}
	r.at.pass(time.Second)
	if !fits("cid", "c1d") || fits("ann", "right") {
		t.Error("the new file does not count after a second")
	}
	for range 3 {
		r.write("htpasswd", "cid:s3cr3t")
		r.at.pass(time.Second)
		if !fits("cid", "c1d") {
			t.Error("a broken file takes the users away")
		}
	}
	if len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "line 1") || strings.Contains(r.warnings[0], "s3cr3t") {
		t.Errorf("warnings: %q", r.warnings)
	}
	if err := os.Remove(filepath.Join(r.dir, "htpasswd")); err != nil {
		t.Fatal(err)
	}
	r.at.pass(time.Second)
	if !fits("cid", "c1d") || len(r.warnings) != 2 {
		t.Errorf("a file that is gone: %q", r.warnings)
	}
	r.write("htpasswd", userLine(t, "ann", "back"))
	r.at.pass(time.Second)
	if !fits("ann", "back") || len(r.warnings) != 2 {
		t.Errorf("a file that is mended: %q", r.warnings)
	}
}

// A file that is written twice within a tick of the clock, to the same length, looks
// unchanged: it is read again while it is young.
func TestAYoungFileIsReadAgain(t *testing.T) {
	r := newRig(t, "", false)
	name := filepath.Join(r.dir, "htpasswd")
	r.write("htpasswd", userLine(t, "ann", "one"))
	r.at.pass(time.Second)
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Identify(request("GET", "/v2/", basic("ann", "one"))); err != nil {
		t.Fatal(err)
	}
	r.write("htpasswd", userLine(t, "ann", "two"))
	if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	r.at.at = info.ModTime().Add(settled)
	if _, err := r.Identify(request("GET", "/v2/", basic("ann", "two"))); err != nil {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for name, data := range map[string]string{good: userLine(t, "ann", "right"), bad: "ann:s3cr3t"} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    Options
		want error
	}{
		{Options{Htpasswd: good}, nil},
		{Options{Htpasswd: bad}, content.ErrInvalid},
		{Options{Htpasswd: dir}, content.ErrInvalid},
		{Options{Htpasswd: large}, content.ErrInvalid},
		{Options{Htpasswd: filepath.Join(dir, "absent")}, fs.ErrNotExist},
		{Options{Htpasswd: good, Rules: good}, content.ErrInvalid},
		{Options{Htpasswd: good, Rules: filepath.Join(dir, "absent")}, fs.ErrNotExist},
		{Options{Htpasswd: good, URL: "https://registry.example/"}, nil},
		{Options{Htpasswd: good, URL: "registry.example"}, content.ErrInvalid},
		{Options{Htpasswd: good, URL: "ftp://registry.example"}, content.ErrInvalid},
		{Options{Htpasswd: good, URL: "https://ann:s3cr3t@registry.example"}, content.ErrInvalid},
		{Options{Htpasswd: good, URL: "https://ann:s3cr3t@registry.example:x"}, content.ErrInvalid},
		{Options{Htpasswd: good, URL: "https://registry.example/?a"}, content.ErrInvalid},
		{Options{Htpasswd: good, URL: `https://registry.example/"`}, content.ErrInvalid},
	} {
		_, err := New(c.o)
		if !errors.Is(err, c.want) || (err != nil && strings.Contains(err.Error(), "s3cr3t")) {
			t.Errorf("%+v: %v, want %v", c.o, err, c.want)
		}
	}
}

func TestChallenges(t *testing.T) {
	r := newRig(t, "", false)
	for _, c := range []struct {
		host   string
		scopes []string
		why    error
		want   string
	}{
		{"localhost:5000", nil, nil, `Bearer realm="http://localhost:5000/token",service="dist"`},
		{"[::1]:5000", nil, ErrCredentials, `Bearer realm="http://[::1]:5000/token",service="dist"`},
		{"r.example", []string{"repository:a/b:pull"}, ErrToken, `Bearer realm="http://r.example/token",service="dist",scope="repository:a/b:pull",error="invalid_token"`},
		{"10.0.0.1", []string{"a", "b"}, ErrScope, `Bearer realm="http://10.0.0.1/token",service="dist",scope="a b",error="insufficient_scope"`},
		{`a",realm="b`, nil, nil, ""},
		{"a b", nil, nil, ""},
		{"", nil, nil, ""},
		{"a:b", nil, nil, ""},
		{"a:0", nil, nil, ""},
		{"a:", nil, nil, ""},
		{"a/b", nil, nil, ""},
		{"[::1", nil, nil, ""},
		{"[fe80::1%25eth0]", nil, nil, ""},
		{"user@a", nil, nil, ""},
	} {
		req := request("GET", "/v2/")
		req.Host = c.host
		got, err := r.Challenge(req, c.scopes, c.why)
		if got != c.want || (c.want == "") != errors.Is(err, ErrHost) {
			t.Errorf("%q: %s, %v; want %s", c.host, got, err, c.want)
		}
	}
}

func TestTheChallengeSendsToTheGivenAddress(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{Htpasswd: name, URL: "https://r.example:8443/dist/"})
	if err != nil {
		t.Fatal(err)
	}
	req := request("GET", "/v2/")
	req.Host = "evil host"
	if got, err := g.Challenge(req, nil, nil); err != nil || got != `Bearer realm="https://r.example:8443/dist/token",service="dist"` {
		t.Errorf("%s, %v", got, err)
	}
}
