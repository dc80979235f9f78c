package registryserver_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// mute is an upstream of which no manifest is to be had.
type mute struct{ registryserver.Upstream }

func (mute) Mirrors(registry string) bool { return registry == oci.DockerHub }

func (mute) Manifest(context.Context, oci.Reference) (registryserver.Manifest, error) {
	return registryserver.Manifest{}, fmt.Errorf("dial 192.0.2.1: %w: no route", content.ErrUnavailable)
}

func TestTheLogTellsWhyUpstreamGaveNothing(t *testing.T) {
	var buf bytes.Buffer
	h := registryserver.New(memory.New(), registryserver.Options{Upstream: mute{}, Log: slog.New(slog.NewTextHandler(&buf, nil))})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/team/app/manifests/v1", nil))
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "192.0.2.1") {
		t.Errorf("the client is told %d %s", w.Code, w.Body)
	}
	if !strings.Contains(buf.String(), "dial 192.0.2.1: unavailable: no route") {
		t.Errorf("the log has no reason: %s", buf.String())
	}
}

// A tag of a mirrored registry is what that registry says: one that was pushed here
// would be gone in a while, or be somebody else's image.
func TestNothingIsPushedToWhatIsMirrored(t *testing.T) {
	h := registryserver.New(memory.New(), registryserver.Options{Writable: true, Upstream: mute{}})
	for path, want := range map[string]int{
		"POST /v2/team/app/blobs/uploads/": 403, "POST /v2/app/blobs/uploads/?ns=docker.io": 403,
		"PUT /v2/team/app/manifests/v1": 403, "POST /v2/example.com/app/blobs/uploads/": 202,
		"DELETE /v2/team/app/manifests/v1": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want || want == 403 && !strings.Contains(w.Body.String(), "docker.io is mirrored here") {
			t.Errorf("%s %s is %d, want %d: %s", method, path, w.Code, want, w.Body)
		}
	}
}

// A client that takes the server for a mirror says in the query which host it means.
func TestNsSaysTheHost(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	r.imageIn("quay.io/a/b", "one")
	r.want(r.pushManifest("/v2/quay.io/a/b/manifests/v1", m, oci.MediaTypeManifest), 201)
	r.want(r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest), 201)
	r.want(r.do("GET", "/v2/a/b/manifests/v1?ns=quay.io", nil), 200)
	r.want(r.do("GET", "/v2/a/b/manifests/v1", nil), 404)
	r.want(r.do("GET", "/v2/library/app/manifests/v1?ns=docker.io", nil), 200)
	r.want(r.do("GET", "/v2/a/b/tags/list?ns=quay.io&n=1", nil), 200)
	r.want(r.do("GET", "/v2/a/b/manifests/v1?ns=ghcr.io", nil), 404, "NAME_UNKNOWN")
	for _, ns := range []string{"..", "quay.io/a", "quay", "a:b:c"} {
		r.want(r.do("GET", "/v2/a/b/manifests/v1?ns="+ns, nil), 400, "NAME_INVALID")
	}
	// What an upload is told to go on with says the same, so that it need not again.
	a := r.do("POST", "/v2/a/b/blobs/uploads/?ns=quay.io", nil)
	r.want(a, 202)
	r.want(r.do("GET", a.header.Get("Location"), nil), 204)
}
