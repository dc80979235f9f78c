package registryserver_test

import (
	"testing"

	"dist.example/oci"
)

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
