package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"dist.example/oci"
)

// draftChecks are about what the specification's main branch has beyond 1.1.1, and
// what it leaves open and clients use.
func draftChecks() []check {
	return []check{
		{"digest-algorithm", digestAlgorithm},
		{"tag-parameters", tagParameters},
		{"tag-parameters-malformed", tagParametersMalformed},
		{"tag-parameters-sha512", tagParametersSha512},
		{"cancel", cancelUpload},
		{"mount-anonymous", mountAnonymous},
		{"namespace", namespace},
	}
}

func digestAlgorithm(t *tester) {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		data := t.own(alg.String())
		at := t.location(t.want(t.do("POST", t.path("/blobs/uploads/?digest-algorithm="+alg.String()), nil), http.StatusAccepted))
		d := alg.FromBytes(data)
		t.created(t.do("PUT", t.with(at, "digest", d.String()), bytes.NewReader(data)), data, d)
	}
	t.want(t.do("POST", t.path("/blobs/uploads/?digest-algorithm=md5"), nil), http.StatusBadRequest, "DIGEST_INVALID")
}

func tagParameters(t *tester) {
	data := t.json(t.image("one"))
	d := oci.DigestBytes(data)
	var tags, query []string
	for i := range 12 {
		tags = append(tags, fmt.Sprint("v", i))
		query = append(query, "tag="+tags[i])
	}
	query = append(query, query[0])
	a := t.want(t.put(d.String()+"?"+strings.Join(query, "&"), oci.MediaTypeManifest, data), http.StatusCreated)
	if got := a.header.Values("OCI-Tag"); !slices.Equal(got, tags) {
		t.Errorf("OCI-Tag is %q", got)
	}
	for _, tag := range tags {
		t.wantBody(t.do("GET", t.path("/manifests/"+tag), nil), data, d)
	}
}

func tagParametersMalformed(t *tester) {
	data := t.json(t.image("one"))
	d := oci.DigestBytes(data).String()
	t.want(t.put(d+"?tag=good&tag=-bad", oci.MediaTypeManifest, data), http.StatusBadRequest, "MANIFEST_INVALID")
	t.want(t.put(d+"?"+strings.Repeat("tag=good&", 101), oci.MediaTypeManifest, data), http.StatusRequestURITooLong, "UNSUPPORTED")
	t.gone(t.path("/manifests/good"))
	t.gone(t.path("/manifests/" + d))
}

func tagParametersSha512(t *tester) {
	data := t.json(t.image("one"))
	d := oci.SHA512.FromBytes(data)
	t.created(t.put(d.String()+"?tag=v1", oci.MediaTypeManifest, data), data, d)
	t.wantBody(t.do("GET", t.path("/manifests/v1"), nil), data, d)
	t.lists("", []string{"v1"}, false)
}

func cancelUpload(t *tester) {
	at := t.begin()
	t.want(t.do("PATCH", at, bytes.NewReader(t.own("content"))), http.StatusAccepted)
	t.want(t.do("DELETE", at, nil), http.StatusNoContent)
	t.noSession(at)
}

// Without "from", a blob that is anywhere in the registry may be mounted, or a
// session begins: both end with the blob here.
func mountAnonymous(t *tester) {
	data := t.own("content")
	d := oci.DigestBytes(data)
	t.elsewhere(data, d)
	a := t.do("POST", t.path("/blobs/uploads/?mount="+d.String()), nil)
	if a.status == http.StatusAccepted {
		a = t.do("PUT", t.with(t.location(a), "digest", d.String()), bytes.NewReader(data))
	}
	t.created(a, data, d)
}

// A client that takes the registry for a mirror says whose repository it asks for.
func namespace(t *tester) {
	t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	a := t.want(t.do("GET", t.path("/manifests/v1?ns="+oci.DockerHub), nil), http.StatusOK)
	t.wantHeader(a, "OCI-Namespace", oci.DockerHub)
	t.want(t.do("GET", t.path("/manifests/v1?ns=absent.example"), nil), http.StatusNotFound)
	if got := t.do("GET", t.path("/manifests/v1"), nil).header.Get("OCI-Namespace"); got != "" {
		t.Errorf("without ns it is %q", got)
	}
}
