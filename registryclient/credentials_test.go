package registryclient

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
)

func lookupIn(t *testing.T, json, host, repository string) credential {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(json), 0o600); err != nil {
		t.Fatal(err)
	}
	var warned []string
	f := newCredentialFiles(Options{AuthFile: path, NoAuthFiles: true, Warn: func(m string) { warned = append(warned, m) }})
	u, _ := url.Parse(host)
	c, err := f.lookup(context.Background(), u, repository)
	if err != nil {
		t.Fatal(err)
	}
	if len(warned) > 0 {
		c.from = warned[0]
	}
	return c
}

func TestLongestPrefixWins(t *testing.T) {
	file := `{"auths":{
		"r.test":{"username":"host","password":"p"},
		"r.test/a":{"username":"a","password":"p"},
		"r.test/a/b/c":{"username":"abc","password":"p"},
		"r.test:5000":{"username":"port","password":"p"},
		"https://old.test/v1/":{"username":"old","password":"p"},
		"https://index.docker.io/v1/":{"username":"hub","password":"p"},
		"empty.test":{}}}`
	for _, c := range []struct{ host, repository, user string }{
		{"https://r.test", "a/b/c", "abc"},
		{"https://r.test", "a/b", "a"},
		{"https://r.test", "ab/c", "host"},
		{"https://r.test:443", "x", "host"},
		{"https://R.test", "x", "host"},
		{"https://r.test:5000", "a/b/c", "port"},
		{"https://r.test:5001", "a", ""},
		{"https://old.test", "x", "old"},
		{"http://old.test", "x", ""}, // the key insists on https
		{"https://registry-1.docker.io", "library/redis", "hub"},
		{"https://docker.io", "library/redis", "hub"},
		{"https://empty.test", "x", ""},
		{"https://sub.r.test", "x", ""},
	} {
		if got := lookupIn(t, file, c.host, c.repository); got.username != c.user {
			t.Errorf("%s %s: user %q, want %q", c.host, c.repository, got.username, c.user)
		}
	}
}

// withHelper puts a credential helper into PATH that answers for one key.
func withHelper(t *testing.T, name, key, answer string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the helper is a shell script")
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nread k\nif [ \"$k\" = '%s' ]; then echo '%s'; else echo 'credentials not found in native keychain'; exit 1; fi\n", key, answer)
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestHelpers(t *testing.T) {
	withHelper(t, "one", "r.test", `{"ServerURL":"r.test","Username":"helped","Secret":"s"}`)
	withHelper(t, "hub", hubKey, `{"Username":"<token>","Secret":"idt"}`)
	auths := `"auths":{"r.test":{"username":"file","password":"p"},"s.test":{"username":"file2","password":"p"}}`
	for name, c := range map[string]struct{ file, host, user, warning string }{
		"helper before store and file":   {`{"credHelpers":{"r.test":"one"},"credsStore":"hub",` + auths + `}`, "https://r.test", "helped", ""},
		"store before file":              {`{"credsStore":"one",` + auths + `}`, "https://r.test", "helped", ""},
		"store without it, then file":    {`{"credsStore":"one",` + auths + `}`, "https://s.test", "file2", ""},
		"missing helper is a warning":    {`{"credHelpers":{"r.test":"absent"},` + auths + `}`, "https://r.test", "file", "not found in PATH"},
		"a path is not a helper's name":  {`{"credsStore":"../evil",` + auths + `}`, "https://r.test", "file", "not a helper's name"},
		"helper with path in repository": {`{"credHelpers":{"r.test":"one"}}`, "https://r.test", "helped", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := lookupIn(t, c.file, c.host, "a/b")
			if got.username != c.user || !strings.Contains(got.from, c.warning) {
				t.Errorf("user %q, warning %q", got.username, got.from)
			}
		})
	}
	if got := lookupIn(t, `{"credsStore":"hub"}`, "https://registry-1.docker.io", "library/redis"); got.identityToken != "idt" {
		t.Errorf("the hub's credential: %+v", got)
	}
}

func TestOrderOfFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "env.json"))
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "run"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("DOCKER_CONFIG", filepath.Join(dir, "docker"))
	want := []string{"flag.json", "env.json", "run/containers/auth.json", "config/containers/auth.json", "docker/config.json"}
	for i := range want {
		want[i] = filepath.Join(dir, filepath.FromSlash(want[i]))
	}
	if got := newCredentialFiles(Options{AuthFile: want[0]}).paths; !slices.Equal(got, want) {
		t.Fatalf("files %q, want %q", got, want)
	}
	// From the last to the first: each file, once it is there, goes before those
	// after it.
	u, _ := url.Parse("https://r.test")
	for i := len(want) - 1; i >= 0; i-- {
		if err := os.MkdirAll(filepath.Dir(want[i]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(want[i], fmt.Appendf(nil, `{"auths":{"r.test":{"username":"u%d","password":"p"}}}`, i), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Warn: func(string) {}}
		if i == 0 {
			o.AuthFile = want[0]
		}
		c, err := newCredentialFiles(o).lookup(context.Background(), u, "a")
		if err != nil || c.username != fmt.Sprint("u", i) {
			t.Fatalf("with files from %s on: %q, %v", want[i], c.username, err)
		}
	}
}

func TestBadAuthFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.json")
	entry := filepath.Join(dir, "entry.json")
	_ = os.WriteFile(secret, []byte(`{"auths":{"r.test":{"auth":hunter2}}}`), 0o600)
	_ = os.WriteFile(entry, []byte(`{"auths":{"r.test":{"auth":"aHVudGVyMg=="}}}`), 0o600)
	u, _ := url.Parse("https://r.test")
	for path, class := range map[string]error{
		secret: content.ErrInvalid, entry: content.ErrInvalid, filepath.Join(dir, "absent.json"): content.ErrNotFound,
	} {
		_, err := newCredentialFiles(Options{AuthFile: path, NoAuthFiles: true}).lookup(context.Background(), u, "a")
		wantClass(t, err, class)
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q tells the secret", err)
		}
	}
}
