package conformance

import (
	"bytes"
	"net/http"

	"dist.example/oci"
)

func deleteChecks() []check {
	return []check{
		{"tag", deleteTag},
		{"manifest", deleteManifest},
		{"blob", deleteBlob},
		{"absent", deleteAbsent},
		{"unknown-repository", deleteElsewhere},
		{"disabled", deleteDisabled},
		{"in-use", deleteInUse},
		{"pushed-again", pushedAgain},
		{"conditions", conditionsOfADeletion},
	}
}

// gone says that neither GET nor HEAD finds what is at path.
func (t *tester) gone(path string) {
	t.Helper()
	t.want(t.do("HEAD", path, nil), http.StatusNotFound)
	t.want(t.do("GET", path, nil), http.StatusNotFound)
}

func deleteTag(t *tester) {
	desc := t.push(t.image("one"), oci.MediaTypeManifest, "v1", "v2")
	t.want(t.do("DELETE", t.path("/manifests/v1"), nil), http.StatusAccepted)
	t.gone(t.path("/manifests/v1"))
	t.want(t.do("GET", t.path("/manifests/v2"), nil), http.StatusOK)
	t.want(t.do("GET", t.path("/manifests/"+desc.Digest.String()), nil), http.StatusOK)
}

func deleteManifest(t *tester) {
	desc := t.push(t.image("one"), oci.MediaTypeManifest, "v1", "v2")
	t.want(t.do("DELETE", t.path("/manifests/"+desc.Digest.String()), nil), http.StatusAccepted)
	for _, reference := range []string{"v1", "v2", desc.Digest.String()} {
		t.gone(t.path("/manifests/" + reference))
	}
}

func deleteBlob(t *tester) {
	path := t.path("/blobs/" + t.blob(oci.MediaTypeOctets, t.own("content")).Digest.String())
	t.want(t.do("DELETE", path, nil), http.StatusAccepted)
	t.gone(path)
}

func deleteAbsent(t *tester) {
	t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	digest := t.absent("").Digest.String()
	t.want(t.do("DELETE", t.path("/manifests/v2"), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	t.want(t.do("DELETE", t.path("/manifests/"+digest), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	t.want(t.do("DELETE", t.path("/blobs/"+digest), nil), http.StatusNotFound, "BLOB_UNKNOWN")
}

func deleteElsewhere(t *tester) {
	digest := t.absent("").Digest.String()
	t.want(t.do("DELETE", t.path("/manifests/v1"), nil), http.StatusNotFound)
	t.want(t.do("DELETE", t.path("/manifests/"+digest), nil), http.StatusNotFound)
	t.want(t.do("DELETE", t.path("/blobs/"+digest), nil), http.StatusNotFound)
}

func deleteDisabled(t *tester) {
	m := t.image("one")
	desc := t.push(m, oci.MediaTypeManifest, "v1")
	for _, path := range []string{"/manifests/v1", "/manifests/" + desc.Digest.String(), "/blobs/" + m.Layers[0].Digest.String()} {
		a := t.want(t.do("DELETE", t.registry.ReadOnly+t.path(path), nil), http.StatusMethodNotAllowed, "UNSUPPORTED")
		t.wantHeader(a, "Allow", "GET, HEAD")
		t.want(t.do("GET", t.registry.ReadOnly+t.path(path), nil), http.StatusOK)
	}
}

// What something else refers to is not given up: that is refused as a deletion is that
// is switched off, which is all that the specification has for it.
func deleteInUse(t *tester) {
	m := t.image("one")
	desc := t.push(m, oci.MediaTypeManifest, "v1")
	t.push(indexOf(desc), oci.MediaTypeIndex, "all")
	for _, path := range []string{"/blobs/" + m.Config.Digest.String(), "/blobs/" + m.Layers[0].Digest.String(), "/manifests/" + desc.Digest.String()} {
		a := t.want(t.do("DELETE", t.path(path), nil), http.StatusMethodNotAllowed, "DENIED")
		t.wantHeader(a, "Allow", "GET, HEAD")
		t.want(t.do("GET", t.path(path), nil), http.StatusOK)
	}
}

// A deletion does not keep the same content from coming back.
func pushedAgain(t *tester) {
	m := t.image("one")
	layer := t.own("layer one")
	desc := t.push(m, oci.MediaTypeManifest, "v1")
	t.want(t.do("DELETE", t.path("/manifests/"+desc.Digest.String()), nil), http.StatusAccepted)
	t.want(t.do("DELETE", t.path("/blobs/"+m.Layers[0].Digest.String()), nil), http.StatusAccepted)
	t.want(t.put("v1", oci.MediaTypeManifest, t.json(m)), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
	at := t.with(t.begin(), "digest", m.Layers[0].Digest.String())
	t.created(t.do("PUT", at, bytes.NewReader(layer)), layer, m.Layers[0].Digest)
	t.want(t.put("v1", oci.MediaTypeManifest, t.json(m)), http.StatusCreated)
}

// What is not there is not found, whatever the condition.
func conditionsOfADeletion(t *tester) {
	desc := t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	loose := t.blob(oci.MediaTypeOctets, t.own("loose"))
	other := `"` + t.absent("").Digest.String() + `"`
	for _, path := range []string{"/manifests/v1", "/manifests/" + desc.Digest.String(), "/blobs/" + loose.Digest.String()} {
		etag := t.do("HEAD", t.path(path), nil).header.Get("ETag")
		t.want(t.do("DELETE", t.path(path), nil, "If-Match", other), http.StatusPreconditionFailed, "DENIED")
		t.want(t.do("DELETE", t.path(path), nil, "If-None-Match", "*"), http.StatusPreconditionFailed, "DENIED")
		t.want(t.do("HEAD", t.path(path), nil), http.StatusOK)
		t.want(t.do("DELETE", t.path(path), nil, "If-Match", etag), http.StatusAccepted)
		t.want(t.do("DELETE", t.path(path), nil, "If-Match", etag), http.StatusNotFound)
	}
}
