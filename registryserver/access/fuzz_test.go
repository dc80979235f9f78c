package access

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func FuzzHtpasswd(f *testing.F) {
	line := userLine(f, "ann", "right")
	f.Add([]byte(line))
	f.Add([]byte("# x\n\n" + line + line))
	f.Add([]byte("ann:$2y$04$short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		hashes, err := parseHtpasswd(data)
		if err != nil {
			return
		}
		for user, hash := range hashes {
			cost, err := bcrypt.Cost(hash)
			if err != nil || cost > maxCost || !validUser(user) {
				t.Errorf("%q has the hash %q: %v", user, hash, err)
			}
		}
	})
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(someRules), "ann", "team/app")
	f.Add([]byte(`{"rules": [{"anonymous": true, "repositories": ["a*/**/b"], "actions": ["pull"]}]}`), "", "a/b")
	f.Fuzz(func(t *testing.T, data []byte, user, path string) {
		rs, err := parseRules(data)
		if err != nil {
			return
		}
		for _, a := range []Action{Push, Delete} {
			if rs.allow("", a, path, path) {
				t.Errorf("a visitor may %s %q", a, path)
			}
		}
		if !rs.allow("", Pull, path, path) && rs.allow(user, Pull, path, path) && len(rs.rules) == 0 {
			t.Error("a right without a rule")
		}
	})
}

func FuzzScopes(f *testing.F) {
	f.Add("repository:a/b:pull,push repository:c:*")
	f.Add("registry:catalog:*")
	f.Add("repository:localhost:5000/a:pull")
	f.Fuzz(func(t *testing.T, s string) {
		asked, ok := parseScopes([]string{s})
		if !ok {
			return
		}
		for _, one := range asked.repositories {
			if again, ok := parseScope(one.String()); !ok || again.String() != one.String() || strings.Contains(one.Path, ":") {
				t.Errorf("%q reads as %q", one, again)
			}
		}
	})
}

func FuzzToken(f *testing.F) {
	key, now := []byte("key of the server"), time.Unix(1_800_000_000, 0)
	good, err := sign(key, claims{Issuer: issuer, Audience: Service, Expires: now.Unix() + 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, token string) {
		if _, ok := open(key, token, now); ok && token != good {
			t.Errorf("%q is taken for a token", token)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	name := filepath.Join(f.TempDir(), "htpasswd")
	if err := os.WriteFile(name, []byte(userLine(f, "ann", "right")), 0o600); err != nil {
		f.Fatal(err)
	}
	g, err := New(Options{Htpasswd: name, Anonymous: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(basic("ann", "right"))
	f.Add(basic("ann", "wrong"))
	f.Add("Bearer a.b.c")
	f.Add("basic")
	f.Fuzz(func(t *testing.T, header string) {
		req := request(http.MethodGet, "/v2/", header)
		v, err := g.Identify(req)
		if err != nil {
			return
		}
		_, shown, _ := strings.Cut(header, " ")
		data, bad := base64.StdEncoding.DecodeString(strings.TrimLeft(shown, " "))
		if bad != nil || string(data) != "ann:right" || v.User() != "ann" {
			t.Errorf("%q comes in as %q", header, v.User())
		}
	})
}
