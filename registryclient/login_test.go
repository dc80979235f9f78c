package registryclient_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

const secret = "s3cr3t:word"

// home is a user with no files yet; all of what names auth files leads there.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"HOME", "USERPROFILE"} {
		t.Setenv(name, dir)
	}
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"} {
		t.Setenv(name, "")
	}
	return dir
}

// user is a client with the files of home, and what it was warned of.
type user struct {
	*registryclient.Client
	t      *testing.T
	warned *[]string
}

func newUser(t *testing.T, change func(*registryclient.Options)) user {
	t.Helper()
	var warned []string
	o := registryclient.Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, RetryBase: time.Millisecond,
		Warn: func(m string) { warned = append(warned, m) },
	}
	if change != nil {
		change(&o)
	}
	c, err := registryclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return user{c, t, &warned}
}

// resolve asks for a tag, with whatever credentials there are.
func (u user) resolve(name string) error {
	u.t.Helper()
	ref, err := oci.ParseReference(name)
	if err != nil {
		u.t.Fatal(err)
	}
	_, err = u.Repository(ref).Resolve(u.t.Context(), ref)
	return err
}

func (u user) warnings() string { return strings.Join(*u.warned, "\n") }

// tells fails when a secret, plain or encoded, is in a text that people see.
func tells(t *testing.T, what, text string) {
	t.Helper()
	for _, s := range []string{secret, base64.StdEncoding.EncodeToString([]byte("ann:" + secret)), "wr0ng"} {
		if strings.Contains(text, s) {
			t.Errorf("%s tells the secret: %s", what, text)
		}
	}
}

// holders are the files below dir that a secret is in.
func holders(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), secret) || strings.Contains(string(data), base64.StdEncoding.EncodeToString([]byte("ann:"+secret))) {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestLoginIsCheckedThenKept(t *testing.T) {
	for name, c := range map[string]struct {
		auth registrytest.Auth
		user string
	}{
		"basic":          {registrytest.Auth{User: "ann", Password: secret}, "ann"},
		"token server":   {registrytest.Auth{User: "ann", Password: secret, Bearer: true}, "ann"},
		"identity token": {registrytest.Auth{User: "ann", Password: "another", Refresh: secret, Bearer: true}, "<token>"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := home(t)
			reg := registrytest.New(t, registrytest.Options{Auth: &c.auth})
			reg.PushImage("team/app:v1", registrytest.Bytes(1, 1000))
			login := func(password string) (registryclient.Login, error) {
				return newUser(t, nil).Login(t.Context(), reg.Host, registryclient.LoginOptions{Username: c.user, Password: password})
			}

			if _, err := login("wr0ng"); !errors.Is(err, content.ErrDenied) || content.Hint(err) == "" {
				t.Fatalf("error %v, hint %q", err, content.Hint(err))
			} else {
				tells(t, "the error", err.Error()+content.Hint(err))
			}
			if err := newUser(t, nil).resolve(reg.Ref("team/app:v1")); !errors.Is(err, content.ErrDenied) {
				t.Fatalf("without credentials: %v", err)
			}
			got, err := login(secret)
			if err != nil || !got.Checked || got.Key != reg.Host || got.Helper != "" {
				t.Fatalf("%+v, %v", got, err)
			}
			if err := newUser(t, nil).resolve(reg.Ref("team/app:v1")); err != nil {
				t.Fatalf("with what was kept: %v", err)
			}
			if had := holders(t, dir); c.user == "ann" && (len(had) != 1 || had[0] != got.File) {
				t.Errorf("the secret is in %q", had)
			}

			// A password that is refused leaves everything as it was.
			before, _ := os.ReadFile(got.File)
			if _, err := login("wr0ng"); !errors.Is(err, content.ErrDenied) {
				t.Fatal(err)
			}
			if after, _ := os.ReadFile(got.File); string(after) != string(before) {
				t.Errorf("%s became %s", before, after)
			}
		})
	}
}

func TestLoginAsksForNoMoreThanToBeLetIn(t *testing.T) {
	home(t)
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret, Bearer: true}})
	if _, err := newUser(t, nil).Login(t.Context(), reg.Host+"/team", registryclient.LoginOptions{Username: "ann", Password: secret}); err != nil {
		t.Fatal(err)
	}
	asked := reg.Matching(registrytest.Match{Kind: registrytest.KindToken})
	if len(asked) != 1 || strings.Contains(asked[0].Query, "scope") || len(reg.Requests()) != 3 {
		t.Fatalf("requests %+v", reg.Requests())
	}
}

func TestALoginTakesEffectInItsOwnClient(t *testing.T) {
	home(t)
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret}})
	reg.PushImage("app:v1", registrytest.Bytes(1, 1000))
	u := newUser(t, nil)
	if err := u.resolve(reg.Ref("app:v1")); !errors.Is(err, content.ErrDenied) {
		t.Fatal(err)
	}
	if _, err := u.Login(t.Context(), reg.Host, registryclient.LoginOptions{Username: "ann", Password: secret}); err != nil {
		t.Fatal(err)
	}
	if err := u.resolve(reg.Ref("app:v1")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Logout(t.Context(), reg.Host); err != nil {
		t.Fatal(err)
	}
	if err := u.resolve(reg.Ref("app:v1")); !errors.Is(err, content.ErrDenied) {
		t.Fatal(err)
	}
}

func TestAnOpenRegistryCannotCheck(t *testing.T) {
	home(t)
	reg := registrytest.New(t, registrytest.Options{})
	got, err := newUser(t, nil).Login(t.Context(), reg.Host, registryclient.LoginOptions{Username: "ann", Password: secret})
	if err != nil || got.Checked {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, q := range reg.Requests() {
		if q.Authorization != "" {
			t.Error("it was sent what it did not ask for")
		}
	}
}

func TestPathsHaveTheirOwnCredentials(t *testing.T) {
	home(t)
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret}})
	reg.PushImage("team/app:v1", registrytest.Bytes(1, 1000))
	reg.PushImage("teams/app:v1", registrytest.Bytes(1, 1000))
	if _, err := newUser(t, nil).Login(t.Context(), reg.Host+"/team", registryclient.LoginOptions{Username: "ann", Password: secret}); err != nil {
		t.Fatal(err)
	}
	if err := newUser(t, nil).resolve(reg.Ref("team/app:v1")); err != nil {
		t.Error(err)
	}
	if err := newUser(t, nil).resolve(reg.Ref("teams/app:v1")); !errors.Is(err, content.ErrDenied) {
		t.Errorf("another path: %v", err)
	}
	u := newUser(t, nil)
	if _, err := u.Logout(t.Context(), reg.Host); !errors.Is(err, content.ErrNotFound) || !strings.Contains(u.warnings(), reg.Host+"/team") {
		t.Errorf("logout of the host: %v, warned %q", err, u.warnings())
	}
	if gone, err := newUser(t, nil).Logout(t.Context(), reg.Host+"/team"); err != nil || len(gone) != 1 {
		t.Errorf("logout of the path: %v, %v", gone, err)
	}
}

func TestLoginRefuses(t *testing.T) {
	home(t)
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret}})
	ok := registryclient.LoginOptions{Username: "ann", Password: secret}
	for name, c := range map[string]struct {
		scope string
		o     registryclient.LoginOptions
		class error
	}{
		"no user":             {reg.Host, registryclient.LoginOptions{Password: secret}, content.ErrInvalid},
		"a colon in it":       {reg.Host, registryclient.LoginOptions{Username: "a:b", Password: secret}, content.ErrInvalid},
		"no password":         {reg.Host, registryclient.LoginOptions{Username: "ann"}, content.ErrInvalid},
		"a password too long": {reg.Host, registryclient.LoginOptions{Username: "ann", Password: strings.Repeat(secret, 8<<10)}, content.ErrInvalid},
		"a name, not a host":  {"team/app", ok, content.ErrInvalid},
		"another scheme":      {"https://" + reg.Host, ok, content.ErrInvalid},
		"nobody there":        {"127.0.0.1:1", ok, content.ErrUnavailable},
		"identity for basic":  {reg.Host, registryclient.LoginOptions{Username: "<token>", Password: secret}, content.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newUser(t, nil).Login(t.Context(), c.scope, c.o)
			if !errors.Is(err, c.class) {
				t.Fatalf("error %v, want %v", err, c.class)
			}
			tells(t, "the error", err.Error()+content.Hint(err))
		})
	}
	if _, err := newUser(t, nil).Login(t.Context(), "http://"+reg.Host+"/v2/", ok); err != nil {
		t.Errorf("as an address: %v", err)
	}
}

func TestLoginAtAHostThatAnotherAnswersFor(t *testing.T) {
	home(t)
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret}})
	hosts := t.TempDir()
	if err := os.MkdirAll(filepath.Join(hosts, "r.test"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hosts, "r.test", "hosts.toml"), fmt.Appendf(nil, "server = %q\n", reg.URL), 0o644); err != nil {
		t.Fatal(err)
	}
	u := newUser(t, func(o *registryclient.Options) { o.HostsDirs = []string{hosts} })
	_, err := u.Login(t.Context(), "r.test", registryclient.LoginOptions{Username: "ann", Password: secret})
	if !errors.Is(err, content.ErrInvalid) || !strings.Contains(content.Hint(err), reg.Host) || len(reg.Requests()) != 0 {
		t.Fatalf("%v, hint %q, %d requests", err, content.Hint(err), len(reg.Requests()))
	}
}

func TestLoginAsksNoMirror(t *testing.T) {
	home(t)
	ask := &registrytest.Auth{User: "ann", Password: secret}
	reg, mirror := registrytest.New(t, registrytest.Options{Auth: ask}), registrytest.New(t, registrytest.Options{Auth: ask})
	reg.PushImage("app:v1", registrytest.Bytes(1, 1000))
	mirror.PushImage("app:v1", registrytest.Bytes(1, 1000))
	hosts := t.TempDir()
	dir := filepath.Join(hosts, reg.Host)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Skip("a colon cannot be part of a file name here")
	}
	text := fmt.Appendf(nil, "[host.%q]\ncapabilities = [\"pull\", \"resolve\", \"push\"]\n", mirror.URL)
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	mirrored := func(o *registryclient.Options) { o.HostsDirs = []string{hosts} }
	if _, err := newUser(t, mirrored).Login(t.Context(), reg.Host, registryclient.LoginOptions{Username: "ann", Password: secret}); err != nil {
		t.Fatal(err)
	}
	if n := len(mirror.Requests()); n != 0 {
		t.Errorf("login made %d requests to the mirror", n)
	}
	// The mirror asks for a password too, and gets none.
	if err := newUser(t, mirrored).resolve(reg.Ref("app:v1")); err != nil {
		t.Error(err)
	}
	for _, q := range mirror.Requests() {
		if q.Authorization != "" {
			t.Errorf("%s %s went to the mirror with %s", q.Method, q.Path, strings.Fields(q.Authorization)[0])
		}
	}
	if len(mirror.Requests()) == 0 {
		t.Error("the mirror was not asked")
	}
}

func TestLoginSendsNothingElsewhere(t *testing.T) {
	spy := func(t *testing.T) *registrytest.Registry {
		return registrytest.New(t, registrytest.Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			if r.Header.Get("Authorization") != "" || strings.Contains(r.Form.Encode(), "s3cr3t") {
				t.Errorf("%s %s was sent the secret", r.Method, r.URL)
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="give"`)
			w.WriteHeader(http.StatusUnauthorized)
		})})
	}
	for name, challenge := range map[string]func(elsewhere string) registrytest.Fault{
		"redirect to another port": registrytest.Redirect,
		"realm without TLS on another host": func(string) registrytest.Fault {
			return registrytest.Answer(http.StatusUnauthorized, "WWW-Authenticate", `Bearer realm="http://elsewhere.test/token"`)
		},
		"realm on another host": func(string) registrytest.Fault {
			return registrytest.Answer(http.StatusUnauthorized, "WWW-Authenticate", `Bearer realm="https://elsewhere.test/token"`)
		},
	} {
		for _, who := range []string{"ann", "<token>"} {
			t.Run(name+" "+who, func(t *testing.T) {
				dir := home(t)
				elsewhere := spy(t)
				reg := registrytest.New(t, registrytest.Options{})
				reg.Inject(registrytest.Match{}, challenge(elsewhere.URL))
				_, err := newUser(t, nil).Login(t.Context(), reg.Host, registryclient.LoginOptions{Username: who, Password: secret})
				if !errors.Is(err, content.ErrDenied) {
					t.Fatalf("error %v", err)
				}
				if had := holders(t, dir); had != nil {
					t.Errorf("kept in %q", had)
				}
				for _, q := range reg.Requests() {
					if q.Authorization != "" {
						t.Error("the registry was sent the secret without asking for it")
					}
				}
			})
		}
	}
}

// The token of one registry opens no other, whoever redirects to it.
func TestTokensStayWithTheirRegistry(t *testing.T) {
	home(t)
	auth := &registrytest.Auth{User: "ann", Password: secret, Bearer: true}
	one, two := registrytest.New(t, registrytest.Options{Auth: auth}), registrytest.New(t, registrytest.Options{Auth: auth})
	desc := one.PushImage("app:v1", registrytest.Bytes(1, 1000))
	two.PushImage("app:v1", registrytest.Bytes(1, 1000))
	if _, err := newUser(t, nil).Login(t.Context(), one.Host, registryclient.LoginOptions{Username: "ann", Password: secret}); err != nil {
		t.Fatal(err)
	}
	one.Inject(registrytest.Match{Path: desc.Digest.String()}, registrytest.Redirect(two.URL))
	two.Forget()
	u := newUser(t, nil)
	if err := u.resolve(one.Ref("app:v1")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{one.Ref("app@" + desc.Digest.String()), two.Ref("app:v1")} {
		if err := u.resolve(name); !errors.Is(err, content.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, q := range two.Requests() {
		if q.Authorization != "" && !strings.HasSuffix(q.Path, "/manifests/v1") {
			t.Errorf("%s %s came with %s", q.Method, q.Path, strings.Fields(q.Authorization)[0])
		}
		if strings.HasPrefix(q.Authorization, "Basic") {
			t.Errorf("%s %s came with the password of another registry", q.Method, q.Path)
		}
	}
}

// keychain is a helper that keeps one credential in a folder, and what it was
// called with beside it.
func keychain(t *testing.T, name string) (dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the helper is a shell script")
	}
	dir = t.TempDir()
	script := `#!/bin/sh
cd '` + dir + `'
echo "$@" >>argv
tr '\0' ' ' <"/proc/$$/cmdline" >>argv 2>/dev/null
env >>environ
case "$1" in
store) cat >kept ;;
erase) rm -f kept ;;
get) read key; if [ -f kept ] && grep -qF "\"$key\"" kept; then cat kept; else echo 'credentials not found in native keychain'; exit 1; fi ;;
esac
`
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-"+name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

func TestLoginThroughAHelper(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret}})
	reg.PushImage("team/app:v1", registrytest.Bytes(1, 1000))
	for name, c := range map[string]struct{ file, scope string }{
		"a helper of the host":           {`{"credHelpers":{"HOST":"chain"},"credsStore":"absent"}`, reg.Host},
		"a store":                        {`{"credsStore":"chain","auths":{"HOST":{"auth":"YTpi"}}}`, reg.Host},
		"a store, for a path":            {`{"credsStore":"chain"}`, reg.Host + "/team"},
		"a helper of the host, for path": {`{"credHelpers":{"HOST":"chain"}}`, reg.Host + "/team"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := home(t)
			chain := keychain(t, "chain")
			config := filepath.Join(dir, ".docker", "config.json")
			_ = os.MkdirAll(filepath.Dir(config), 0o700)
			if err := os.WriteFile(config, []byte(strings.ReplaceAll(c.file, "HOST", reg.Host)), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := newUser(t, nil).Login(t.Context(), c.scope, registryclient.LoginOptions{Username: "ann", Password: secret})
			if err != nil || got.Helper != "chain" || got.File != config || got.Key != c.scope {
				t.Fatalf("%+v, %v", got, err)
			}
			if err := newUser(t, nil).resolve(reg.Ref("team/app:v1")); err != nil {
				t.Errorf("with what the helper keeps: %v", err)
			}
			if had := holders(t, dir); had != nil {
				t.Errorf("the secret is in %q too", had)
			}
			for _, name := range []string{"argv", "environ"} {
				text, err := os.ReadFile(filepath.Join(chain, name))
				if err != nil || !strings.Contains(string(text), map[string]string{"argv": "store", "environ": "PATH"}[name]) {
					t.Errorf("%s: %s, %v", name, text, err)
				}
				tells(t, "the helper's "+name, string(text))
			}
			gone, err := newUser(t, nil).Logout(t.Context(), c.scope)
			if err != nil || len(gone) != 1 || gone[0].Helper != "chain" {
				t.Errorf("logout: %+v, %v", gone, err)
			}
			if had := holders(t, chain); had != nil {
				t.Errorf("after the logout: %q", had)
			}
		})
	}
}

func TestAHelperThatFailsKeepsNothingElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the helper is a shell script")
	}
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: secret}})
	for name, c := range map[string]struct {
		script string
		class  error
	}{
		"one that says the secret": {"#!/bin/sh\necho \"no: " + secret + "\"; exit 1\n", content.ErrUnavailable},
		"one that says all of it":  {"#!/bin/sh\ncat; exit 1\n", content.ErrUnavailable},
		"one that forgets":         {"#!/bin/sh\n[ \"$1\" = store ] && exit 0\necho credentials not found; exit 1\n", content.ErrConflict},
		"none":                     {"", content.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			dir := home(t)
			bin := t.TempDir()
			t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			if c.script != "" {
				if err := os.WriteFile(filepath.Join(bin, "docker-credential-bad"), []byte(c.script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			config := filepath.Join(dir, ".docker", "config.json")
			_ = os.MkdirAll(filepath.Dir(config), 0o700)
			if err := os.WriteFile(config, []byte(`{"credsStore":"bad"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			u := newUser(t, nil)
			_, err := u.Login(t.Context(), reg.Host, registryclient.LoginOptions{Username: "ann", Password: secret})
			if !errors.Is(err, c.class) {
				t.Fatalf("error %v, want %v", err, c.class)
			}
			tells(t, "what people see", err.Error()+content.Hint(err)+u.warnings())
			if had := holders(t, dir); had != nil {
				t.Errorf("the secret is in %q", had)
			}
		})
	}
}

func TestLogoutForgetsEverywhere(t *testing.T) {
	dir := home(t)
	files := map[string]string{
		filepath.Join(dir, ".config", "containers", "auth.json"): `{"auths":{"r.test":{"auth":"YTpi"},"r.test:5000":{"auth":"YTpi"}}}`,
		filepath.Join(dir, ".docker", "config.json"):             `{"auths":{"https://r.test/v1/":{"auth":"YTpi"},"b.test":{}},"credsStore":"absent"}`,
	}
	for path, text := range files {
		_ = os.MkdirAll(filepath.Dir(path), 0o700)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u := newUser(t, nil)
	gone, err := u.Logout(t.Context(), "r.test")
	if err != nil || len(gone) != 2 || !strings.Contains(u.warnings(), "absent") {
		t.Fatalf("%+v, %v, warned %q", gone, err, u.warnings())
	}
	for path, keep := range map[string]string{".config/containers/auth.json": "r.test:5000", ".docker/config.json": "b.test"} {
		var file struct{ Auths map[string]json.RawMessage }
		data, _ := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if json.Unmarshal(data, &file) != nil || len(file.Auths) != 1 || file.Auths[keep] == nil {
			t.Errorf("%s holds %s", path, data)
		}
	}
	if _, err := newUser(t, nil).Logout(t.Context(), "r.test"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
}

func TestLogoutOfANamedFileLeavesTheOthers(t *testing.T) {
	dir := home(t)
	mine, theirs := filepath.Join(dir, "mine.json"), filepath.Join(dir, ".docker", "config.json")
	_ = os.MkdirAll(filepath.Dir(theirs), 0o700)
	for _, path := range []string{mine, theirs} {
		if err := os.WriteFile(path, []byte(`{"auths":{"r.test":{"auth":"YTpi"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := newUser(t, func(o *registryclient.Options) { o.AuthFile = mine }).Logout(t.Context(), "r.test")
	if err != nil || len(gone) != 1 || gone[0].File != mine {
		t.Fatalf("%+v, %v", gone, err)
	}
	if data, _ := os.ReadFile(theirs); !strings.Contains(string(data), "YTpi") {
		t.Errorf("the other holds %s", data)
	}
}
