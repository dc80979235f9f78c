package client_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// twoRegistries have the same image, each for a user of its own, and a client that
// knows both users.
func twoRegistries(t *testing.T, layer []byte) (a, b *registrytest.Registry, c *client.Client, warnings func() string) {
	t.Helper()
	a = registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: "a"}})
	b = registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "bob", Password: "b"}})
	a.PushImage("app:v1", layer)
	b.PushImage("other:v1", layer)
	auths := filepath.Join(t.TempDir(), "auth.json")
	entry := func(r *registrytest.Registry, user string) string {
		return fmt.Sprintf(`%q:{"auth":%q}`, r.Host, base64.StdEncoding.EncodeToString([]byte(user)))
	}
	must(t, os.WriteFile(auths, []byte(`{"auths":{`+entry(a, "ann:a")+`,`+entry(b, "bob:b")+`}}`), 0o600))
	var (
		mu    sync.Mutex
		lines []string
	)
	c = newClient(t, func(o *client.Options) {
		o.Registry.AuthFile = auths
		o.Registry.Retries = 1
		o.Warn = func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		}
	})
	return a, b, c, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lines, "\n")
	}
}

func TestABlobThatIsMissingComesFromElsewhere(t *testing.T) {
	t.Parallel()
	layer := registrytest.Bytes(1, 300_000)
	d := oci.DigestBytes(layer)
	ofLayer := registrytest.Match{Method: http.MethodGet, Kind: registryserver.KindBlob, Digest: d}
	for _, tc := range []struct {
		name   string
		faults []registrytest.Fault // of the first registry, for one request each, the last for all
		asked  int                  // how often the first is asked
		ranges []string             // what the second is asked for
	}{
		{"404", []registrytest.Fault{registrytest.Answer(404)}, 1, []string{""}},
		{"403", []registrytest.Fault{registrytest.Answer(403)}, 1, []string{""}},
		{"503", []registrytest.Fault{registrytest.Answer(503)}, 2, []string{""}},
		{"corrupt, twice", []registrytest.Fault{registrytest.Corrupt(7)}, 2, []string{""}},
		{"lost in the middle", []registrytest.Fault{registrytest.CutAfter(100_000), registrytest.Answer(404)}, 2, []string{"bytes=100000-299999"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a, b, c, warnings := twoRegistries(t, layer)
			for i, f := range tc.faults {
				m := ofLayer
				if m.Skip = i; i < len(tc.faults)-1 {
					m.Times = 1
				}
				a.Inject(m, authorizedOnly(f))
			}
			_, err := c.Pull(t.Context(), []string{a.Ref("app:v1"), b.Ref("other:v1")}, client.PullOptions{})
			must(t, err)
			must(t, c.Check(t.Context(), d.String()))
			if got := len(authorized(a.Matching(ofLayer))); got != tc.asked {
				t.Errorf("the first was asked %d times, want %d", got, tc.asked)
			}
			var ranges []string
			for _, q := range authorized(b.Matching(ofLayer)) {
				ranges = append(ranges, q.Range)
			}
			if !slices.Equal(ranges, tc.ranges) {
				t.Errorf("the second was asked for %q, want %q", ranges, tc.ranges)
			}
			if w := warnings(); !strings.Contains(w, d.String()+" comes from "+b.Ref("other")) {
				t.Errorf("it was said %q", w)
			}
			in, err := c.Inspect(t.Context(), d.String(), nil)
			must(t, err)
			if !slices.Equal(in.Sources, []string{b.Ref("other")}) {
				t.Errorf("it came from %v", in.Sources)
			}
			sentTo(t, a, "ann:a")
			sentTo(t, b, "bob:b")
		})
	}
}

// authorizedOnly is f for requests with credentials: others are challenged.
func authorizedOnly(f registrytest.Fault) registrytest.Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Header.Get("Authorization") == "" {
			next.ServeHTTP(w, req)
			return
		}
		f(w, req, next)
	}
}

func authorized(all []registrytest.Request) []registrytest.Request {
	return slices.DeleteFunc(all, func(q registrytest.Request) bool { return q.Authorization == "" })
}

// sentTo fails unless a registry was sent the credentials of its own user alone.
func sentTo(t *testing.T, r *registrytest.Registry, user string) {
	t.Helper()
	own := "Basic " + base64.StdEncoding.EncodeToString([]byte(user))
	for _, q := range r.Requests() {
		if q.Authorization != "" && q.Authorization != own {
			t.Errorf("%s %s came with %q", q.Method, q.Path, q.Authorization)
		}
	}
}

func TestWhatNobodyHasIsTheErrorOfTheFirst(t *testing.T) {
	t.Parallel()
	layer := registrytest.Bytes(1, 3000)
	a, b, c, _ := twoRegistries(t, layer)
	for _, r := range []*registrytest.Registry{a, b} {
		r.Inject(registrytest.Match{Digest: oci.DigestBytes(layer)}, authorizedOnly(registrytest.Answer(404)))
	}
	_, err := c.Pull(t.Context(), []string{a.Ref("app:v1"), b.Ref("other:v1")}, client.PullOptions{})
	want(t, content.ErrNotFound, err)
	if !strings.Contains(err.Error(), a.Host) {
		t.Errorf("the error is %v", err)
	}
}
