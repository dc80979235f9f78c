package conformance

import (
	"bytes"
	"net/http"
	"net/url"

	"dist.example/oci"
)

func mountChecks() []check {
	return []check{
		{"from", mountFrom},
		{"absent", mountAbsent},
		{"invalid-digest", mountInvalid},
		{"sha512", mountSha512},
	}
}

// mounts asks for d of the repository from.
func (t *tester) mounts(d, from string) answer {
	t.Helper()
	return t.do("POST", t.path("/blobs/uploads/?"+url.Values{"mount": {d}, "from": {from}}.Encode()), nil)
}

// elsewhere pushes data to another repository and says to which.
func (t *tester) elsewhere(data []byte, d oci.Digest) string {
	t.Helper()
	other := *t
	other.repo += "/source"
	t.want(t.do("PUT", t.with(other.begin(), "digest", d.String()), bytes.NewReader(data)), http.StatusCreated)
	return other.repo
}

func mountFrom(t *tester) {
	data := t.own("content")
	d := oci.DigestBytes(data)
	t.created(t.mounts(d.String(), t.elsewhere(data, d)), data, d)
	t.wantBody(t.do("GET", t.path("/blobs/"+d.String()), nil), data, d)
}

func mountAbsent(t *tester) {
	data := t.own("content")
	d := oci.DigestBytes(data)
	at := t.location(t.want(t.mounts(d.String(), t.repo+"/source"), http.StatusAccepted))
	t.created(t.do("PUT", t.with(at, "digest", d.String()), bytes.NewReader(data)), data, d)
}

func mountInvalid(t *tester) {
	t.want(t.mounts("sha256:nonsense", t.repo+"/source"), http.StatusBadRequest, "DIGEST_INVALID")
}

func mountSha512(t *tester) {
	data := t.own("content")
	d := oci.SHA512.FromBytes(data)
	t.created(t.mounts(d.String(), t.elsewhere(data, d)), data, d)
}
