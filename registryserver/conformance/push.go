package conformance

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"

	"dist.example/oci"
)

func pushChecks() []check {
	return []check{
		{"post-then-put", postThenPut},
		{"single-post", singlePost},
		{"sessions-are-unique", sessionsAreUnique},
		{"put-without-length", putWithoutLength},
		{"again", again},
		{"wrong-digest", wrongDigest},
		{"invalid-digest", invalidDigest},
		{"sha512", sha512Blob},
	}
}

// created holds an answer to 201 with the address of a blob or manifest that is data.
func (t *tester) created(a answer, data []byte, d oci.Digest) {
	t.Helper()
	t.want(a, http.StatusCreated)
	t.wantHeader(a, "Docker-Content-Digest", d.String())
	t.wantBody(t.do("GET", t.location(a), nil), data, d)
}

func postThenPut(t *tester) {
	data := t.own("content")
	d := oci.DigestBytes(data)
	a := t.do("PUT", t.with(t.begin(), "digest", d.String()), bytes.NewReader(data), "Content-Type", oci.MediaTypeOctets)
	t.created(a, data, d)
}

func singlePost(t *tester) {
	data := t.own("content")
	d := oci.DigestBytes(data)
	a := t.do("POST", t.with(t.path("/blobs/uploads/"), "digest", d.String()), bytes.NewReader(data), "Content-Type", oci.MediaTypeOctets)
	t.created(a, data, d)
}

func sessionsAreUnique(t *tester) {
	one, two := t.begin(), t.begin()
	uuid := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	if a, b := uuid.FindString(one), uuid.FindString(two); a == "" || a == b {
		t.Fatalf("two sessions are at %s and %s", one, two)
	}
	data := t.own("content")
	t.want(t.do("PATCH", one, bytes.NewReader(data)), http.StatusAccepted)
	t.wantHeader(t.want(t.do("GET", two, nil), http.StatusNoContent), "Range", "0-0")
}

func putWithoutLength(t *tester) {
	data := bytes.Repeat(t.own("content"), 10_000)
	d := oci.DigestBytes(data)
	a := t.do("PUT", t.with(t.begin(), "digest", d.String()), io.MultiReader(bytes.NewReader(data)))
	t.created(a, data, d)
}

func again(t *tester) {
	data := t.own("content")
	desc := t.blob(oci.MediaTypeOctets, data)
	at := t.begin()
	t.created(t.do("PUT", t.with(at, "digest", desc.Digest.String()), bytes.NewReader(data)), data, desc.Digest)
	t.want(t.do("GET", at, nil), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
}

func wrongDigest(t *tester) {
	data, wrong := t.own("content"), t.absent("").Digest.String()
	at := t.begin()
	t.want(t.do("PUT", t.with(at, "digest", wrong), bytes.NewReader(data)), http.StatusBadRequest, "DIGEST_INVALID")
	t.want(t.do("POST", t.with(t.path("/blobs/uploads/"), "digest", wrong), bytes.NewReader(data)), http.StatusBadRequest, "DIGEST_INVALID")
	for _, digest := range []string{wrong, oci.DigestBytes(data).String()} {
		t.want(t.do("HEAD", t.path("/blobs/"+digest), nil), http.StatusNotFound)
	}
}

func invalidDigest(t *tester) {
	for _, digest := range []string{"", "nonsense", "sha256:abc", "md5:" + strings.Repeat("a", 32), "sha256:" + strings.Repeat("A", 64)} {
		t.want(t.do("PUT", t.with(t.begin(), "digest", digest), bytes.NewReader(t.own(""))), http.StatusBadRequest, "DIGEST_INVALID")
		t.want(t.do("POST", t.with(t.path("/blobs/uploads/"), "digest", digest), bytes.NewReader(t.own(""))), http.StatusBadRequest, "DIGEST_INVALID")
	}
	t.want(t.do("PUT", t.begin(), bytes.NewReader(t.own(""))), http.StatusBadRequest, "DIGEST_INVALID")
}

func sha512Blob(t *tester) {
	data := t.own("content")
	d := oci.SHA512.FromBytes(data)
	t.created(t.do("POST", t.with(t.path("/blobs/uploads/"), "digest", d.String()), bytes.NewReader(data)), data, d)
	// The session cannot know which digest its end will bring.
	data = t.own("in chunks")
	d = oci.SHA512.FromBytes(data)
	at := t.location(t.want(t.do("PATCH", t.begin(), bytes.NewReader(data)), http.StatusAccepted))
	t.created(t.do("PUT", t.with(at, "digest", d.String()), nil), data, d)
	t.want(t.do("HEAD", t.path("/blobs/"+d.String()), nil), http.StatusOK)
}
