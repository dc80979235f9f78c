package conformance

import (
	"fmt"
	"net/http"
	"strings"

	"dist.example/oci"
)

func pullChecks() []check {
	return []check{
		{"ping", ping},
		{"manifest-by-tag", func(t *tester) { t.pulls("v1") }},
		{"manifest-by-digest", func(t *tester) { t.pulls("") }},
		{"manifest-head", manifestHead},
		{"manifest-absent", manifestAbsent},
		{"reference-grammar", referenceGrammar},
		{"name-grammar", nameGrammar},
		{"content-type-as-pushed", contentTypeAsPushed},
		{"accept", accept},
		{"manifest-conditions", manifestConditions},
	}
}

func ping(t *tester) {
	for _, path := range []string{"/v2/", "/v2"} {
		t.want(t.do("GET", path, nil), http.StatusOK)
		t.want(t.do("HEAD", path, nil), http.StatusOK)
	}
}

// pulls gets an image by a tag or, with "", by its digest.
func (t *tester) pulls(tag string) {
	m := t.image("one")
	desc := t.push(m, oci.MediaTypeManifest, "v1")
	if tag == "" {
		tag = desc.Digest.String()
	}
	a := t.do("GET", t.path("/manifests/"+tag), nil, "Accept", oci.MediaTypeManifest)
	t.wantBody(a, t.json(m), desc.Digest)
	t.wantHeader(a, "Content-Type", oci.MediaTypeManifest)
}

func manifestHead(t *tester) {
	desc := t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	for _, reference := range []string{"v1", desc.Digest.String()} {
		a := t.want(t.do("HEAD", t.path("/manifests/"+reference), nil), http.StatusOK)
		t.wantHeader(a, "Docker-Content-Digest", desc.Digest.String())
		t.wantHeader(a, "Content-Length", fmt.Sprint(desc.Size))
		t.wantHeader(a, "Content-Type", oci.MediaTypeManifest)
	}
}

func manifestAbsent(t *tester) {
	digest := t.absent("").Digest.String()
	for _, reference := range []string{"v1", digest} {
		t.want(t.do("GET", t.path("/manifests/"+reference), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
		t.want(t.do("HEAD", t.path("/manifests/"+reference), nil), http.StatusNotFound)
	}
	// The repository is there now, and they are not.
	t.push(t.image("one"), oci.MediaTypeManifest, "v2")
	for _, reference := range []string{"v1", digest} {
		t.want(t.do("GET", t.path("/manifests/"+reference), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
		t.want(t.do("HEAD", t.path("/manifests/"+reference), nil), http.StatusNotFound)
	}
	// A blob is no manifest.
	blob := t.blob(oci.MediaTypeOctets, t.own("blob"))
	t.want(t.do("GET", t.path("/manifests/"+blob.Digest.String()), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
}

func referenceGrammar(t *tester) {
	data := t.json(t.image("one"))
	for _, tag := range []string{"v1", "_", "V1.0-rc_1", "0", strings.Repeat("t", 128)} {
		t.want(t.put(tag, oci.MediaTypeManifest, data), http.StatusCreated)
		t.want(t.do("GET", t.path("/manifests/"+tag), nil), http.StatusOK)
	}
	for _, reference := range []string{".hidden", "-v1", "v+1", "v%201", strings.Repeat("t", 129)} {
		t.want(t.put(reference, oci.MediaTypeManifest, data), http.StatusNotFound, "MANIFEST_UNKNOWN")
		t.want(t.do("GET", t.path("/manifests/"+reference), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	}
	for _, digest := range []string{"sha256:abc", "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("g", 64), "md5:" + strings.Repeat("a", 32)} {
		t.want(t.put(digest, oci.MediaTypeManifest, data), http.StatusBadRequest, "DIGEST_INVALID")
		t.want(t.do("GET", t.path("/manifests/"+digest), nil), http.StatusBadRequest, "DIGEST_INVALID")
		t.want(t.do("GET", t.path("/blobs/"+digest), nil), http.StatusBadRequest, "DIGEST_INVALID")
	}
}

func nameGrammar(t *tester) {
	for _, name := range []string{"a", "a0/b-c/d__e/f.g", "a---b", "manifests/tags/blobs/uploads", strings.Repeat("a", 200)} {
		t.want(t.do("GET", "/v2/"+name+"/manifests/v1", nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	}
	for _, name := range []string{"A", "a_", "a..b", "a___b", ".a", "a/", "a//b", "a/-b", "a b", strings.Repeat("a", 256)} {
		path := "/v2/" + strings.ReplaceAll(name, " ", "%20") + "/manifests/v1"
		t.want(t.do("GET", path, nil), http.StatusBadRequest, "NAME_INVALID")
	}
	// With a host before it, this one is too long: no upload begins that could not end.
	long := "/v2/" + strings.Repeat("a", 250)
	t.want(t.do("GET", long+"/manifests/v1", nil), http.StatusBadRequest, "NAME_INVALID")
	t.want(t.do("POST", long+"/blobs/uploads/", nil), http.StatusBadRequest, "NAME_INVALID")
}

// What is pushed as Docker's types comes back as them.
func contentTypeAsPushed(t *tester) {
	m := t.image("one")
	m.MediaType, m.Config.MediaType, m.Layers[0].MediaType = oci.MediaTypeDockerManifest, oci.MediaTypeDockerConfig, oci.MediaTypeDockerLayer
	x := indexOf(t.push(m, oci.MediaTypeDockerManifest, "image"))
	x.MediaType = oci.MediaTypeDockerList
	t.push(x, oci.MediaTypeDockerList, "list")
	t.push(indexOf(), oci.MediaTypeIndex, "index")
	for tag, want := range map[string]string{"image": oci.MediaTypeDockerManifest, "list": oci.MediaTypeDockerList, "index": oci.MediaTypeIndex} {
		t.wantHeader(t.want(t.do("GET", t.path("/manifests/"+tag), nil), http.StatusOK), "Content-Type", want)
	}
}

// There is one form of each manifest: a client that does not accept its type gets
// it all the same, and sees by Content-Type what it is.
func accept(t *tester) {
	t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	for _, accepted := range []string{"*/*", "application/json", oci.MediaTypeIndex, oci.MediaTypeDockerManifest + ", " + oci.MediaTypeManifest + ";q=0.5"} {
		a := t.want(t.do("GET", t.path("/manifests/v1"), nil, "Accept", accepted), http.StatusOK)
		t.wantHeader(a, "Content-Type", oci.MediaTypeManifest)
	}
}

func manifestConditions(t *tester) {
	desc := t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	other := `"` + t.absent("").Digest.String() + `"`
	for _, reference := range []string{"v1", desc.Digest.String()} {
		path := t.path("/manifests/" + reference)
		etag := t.do("HEAD", path, nil).header.Get("ETag")
		t.want(t.do("GET", path, nil, "If-None-Match", etag), http.StatusNotModified)
		t.want(t.do("GET", path, nil, "If-None-Match", other), http.StatusOK)
		t.want(t.do("GET", path, nil, "If-Match", etag), http.StatusOK)
		t.want(t.do("GET", path, nil, "If-Match", other), http.StatusPreconditionFailed, "DENIED")
	}
}
