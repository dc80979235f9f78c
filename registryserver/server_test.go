package registryserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// transport is that of all requests of these tests. Not http.DefaultTransport: every
// httptest.Server that closes takes its idle connections from it, in the middle of the
// requests of tests beside.
var transport = &http.Transport{}

// rig is a server over a store in memory, and a plain HTTP client.
type rig struct {
	*testing.T
	store content.Store
	url   string
}

func newRig(t *testing.T, o registryserver.Options) *rig {
	return newRigOver(t, memory.New(), o)
}

func newRigOver(t *testing.T, store content.Store, o registryserver.Options) *rig {
	srv := httptest.NewServer(registryserver.New(store, o))
	t.Cleanup(srv.Close)
	return &rig{t, store, srv.URL}
}

func writable(t *testing.T) *rig { return newRig(t, registryserver.Options{Writable: true}) }

type answer struct {
	status int
	header http.Header
	body   []byte
}

// code is the first code of the spec's error JSON.
func (a answer) code() string {
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.body, &doc) != nil || len(doc.Errors) == 0 {
		return fmt.Sprintf("no error JSON in %.80q", a.body)
	}
	return doc.Errors[0].Code
}

// do sends a request; path may be a whole URL. Headers come in pairs.
func (r *rig) do(method, path string, body io.Reader, header ...string) answer {
	r.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.url + path
	}
	req, err := http.NewRequestWithContext(r.Context(), method, path, body)
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, got}
}

// want fails unless a has the status and, for errors, the code.
func (r *rig) want(a answer, status int, code ...string) {
	r.Helper()
	if a.status != status {
		r.Fatalf("status %d, want %d: %.200s", a.status, status, a.body)
	}
	if len(code) > 0 && a.code() != code[0] {
		r.Fatalf("code %s, want %s", a.code(), code[0])
	}
}

func (r *rig) wantHeader(a answer, name, value string) {
	r.Helper()
	if got := a.header.Get(name); got != value {
		r.Errorf("%s is %q, want %q", name, got, value)
	}
}

// push uploads a blob in one request.
func (r *rig) push(data string) oci.Descriptor {
	r.Helper()
	return r.pushTo("app", data)
}

func (r *rig) pushTo(repo, data string) oci.Descriptor {
	r.Helper()
	d := oci.DigestBytes([]byte(data))
	a := r.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), strings.NewReader(data))
	r.want(a, 201)
	return oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: d, Size: int64(len(data))}
}

func (r *rig) pushManifest(path string, v any, mediaType string) answer {
	r.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		r.Fatal(err)
	}
	return r.do("PUT", path, bytes.NewReader(data), "Content-Type", mediaType)
}

// image is the manifest of two blobs that are pushed here.
func (r *rig) image(seed string) oci.Manifest {
	r.Helper()
	return r.imageIn("app", seed)
}

func (r *rig) imageIn(repo, seed string) oci.Manifest {
	r.Helper()
	config, layer := r.pushTo(repo, `{"seed":"`+seed+`"}`), r.pushTo(repo, "layer "+seed)
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: config, Layers: []oci.Descriptor{layer}}
	m.Config.MediaType = oci.MediaTypeImageConfig
	m.SchemaVersion = 2
	return m
}

func digestOf(v any) oci.Digest {
	data, _ := json.Marshal(v)
	return oci.DigestBytes(data)
}

func TestBase(t *testing.T) {
	r := writable(t)
	a := r.do("GET", "/v2/", nil)
	r.want(a, 200)
	r.wantHeader(a, "Docker-Distribution-Api-Version", "registry/2.0")
	r.want(r.do("HEAD", "/v2/", nil), 200)
	r.want(r.do("POST", "/v2/", nil), 405, "UNSUPPORTED")
	r.want(r.do("GET", "/elsewhere", nil), 404, "UNSUPPORTED")
}

func TestAnImageGoesInAndComesOut(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	d := digestOf(m)
	a := r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest)
	r.want(a, 201)
	r.wantHeader(a, "Location", "/v2/app/manifests/"+d.String())
	r.wantHeader(a, "Docker-Content-Digest", d.String())
	want, _ := json.Marshal(m)
	for _, path := range []string{"/v2/app/manifests/v1", "/v2/library/app/manifests/v1", "/v2/docker.io/library/app/manifests/v1", "/v2/app/manifests/" + d.String()} {
		for _, method := range []string{"GET", "HEAD"} {
			a := r.do(method, path, nil)
			r.want(a, 200)
			r.wantHeader(a, "Content-Type", oci.MediaTypeManifest)
			r.wantHeader(a, "Docker-Content-Digest", d.String())
			r.wantHeader(a, "ETag", `"`+d.String()+`"`)
			r.wantHeader(a, "Content-Length", fmt.Sprint(len(want)))
			if method == "GET" && !bytes.Equal(a.body, want) {
				t.Errorf("GET %s gives other bytes", path)
			}
		}
	}
	a = r.do("GET", "/v2/app/blobs/"+m.Layers[0].Digest.String(), nil)
	r.want(a, 200)
	if string(a.body) != "layer one" {
		t.Errorf("the layer is %q", a.body)
	}
	ref, _ := oci.ParseReference("app:v1")
	if got, err := r.store.Resolve(t.Context(), ref); err != nil || got.Digest != d {
		t.Errorf("the store has app:v1 at %v, %v", got.Digest, err)
	}
}

func TestBlobsAreServedInParts(t *testing.T) {
	r := writable(t)
	data := "0123456789abcdef"
	path := "/v2/app/blobs/" + r.push(data).Digest.String()
	tests := []struct {
		rng          string
		status       int
		body, answer string
	}{
		{"bytes=0-3", 206, "0123", "bytes 0-3/16"},
		{"bytes=4-", 206, "456789abcdef", "bytes 4-15/16"},
		{"bytes=-4", 206, "cdef", "bytes 12-15/16"},
		{"bytes=-100", 206, data, "bytes 0-15/16"},
		{"bytes=10-100", 206, "abcdef", "bytes 10-15/16"},
		{"bytes=15-15", 206, "f", "bytes 15-15/16"},
		{"bytes=16-", 416, "", "bytes */16"},
		{"bytes=100-200", 416, "", "bytes */16"},
	}
	for _, tt := range tests {
		a := r.do("GET", path, nil, "Range", tt.rng)
		r.want(a, tt.status)
		r.wantHeader(a, "Content-Range", tt.answer)
		if tt.status == 206 && string(a.body) != tt.body {
			t.Errorf("%s gives %q, want %q", tt.rng, a.body, tt.body)
		}
	}
	a := r.do("HEAD", path, nil)
	r.want(a, 200)
	r.wantHeader(a, "Accept-Ranges", "bytes")
	r.wantHeader(a, "Content-Length", "16")
	r.want(r.do("GET", path, nil, "If-None-Match", a.header.Get("ETag")), 304)
}

func TestWhatIsNotHeldIsUnknown(t *testing.T) {
	r := writable(t)
	absent := oci.DigestBytes([]byte("absent")).String()
	r.want(r.do("GET", "/v2/app/blobs/"+absent, nil), 404, "BLOB_UNKNOWN")
	r.want(r.do("HEAD", "/v2/app/blobs/"+absent, nil), 404)
	r.want(r.do("GET", "/v2/app/manifests/"+absent, nil), 404, "MANIFEST_UNKNOWN")
	r.want(r.do("GET", "/v2/app/manifests/v1", nil), 404, "MANIFEST_UNKNOWN")
	r.want(r.do("HEAD", "/v2/app/manifests/v1", nil), 404)
	r.want(r.do("GET", "/v2/app/tags/list", nil), 404, "NAME_UNKNOWN")
	r.want(r.do("DELETE", "/v2/app/blobs/"+absent, nil), 404, "BLOB_UNKNOWN")
	r.want(r.do("DELETE", "/v2/app/manifests/"+absent, nil), 404, "MANIFEST_UNKNOWN")
	r.want(r.do("DELETE", "/v2/app/manifests/v1", nil), 404, "MANIFEST_UNKNOWN")
	// A blob is no manifest.
	r.want(r.do("GET", "/v2/app/manifests/"+r.push("blob").Digest.String(), nil), 404, "MANIFEST_UNKNOWN")
}

func TestMalformedRequests(t *testing.T) {
	r := writable(t)
	r.want(r.do("GET", "/v2/app/blobs/sha256:short", nil), 400, "DIGEST_INVALID")
	r.want(r.do("GET", "/v2/app/manifests/sha256:short", nil), 400, "DIGEST_INVALID")
	r.want(r.do("GET", "/v2/app/referrers/sha256:short", nil), 400, "DIGEST_INVALID")
	r.want(r.do("GET", "/v2/APP/tags/list", nil), 400, "NAME_INVALID")
	r.want(r.do("GET", "/v2/app/tags/list?n=x", nil), 400, "UNSUPPORTED")
	r.want(r.do("POST", "/v2/app/blobs/uploads/?digest=nonsense", strings.NewReader("x")), 400, "DIGEST_INVALID")
	r.want(r.do("POST", "/v2/app/blobs/uploads/?mount=nonsense", nil), 400, "DIGEST_INVALID")
	r.want(r.do("POST", "/v2/app/blobs/uploads/?digest-algorithm=md5", nil), 400, "DIGEST_INVALID")
	r.want(r.do("PATCH", "/v2/app/tags/list", nil), 405, "UNSUPPORTED")
}

func TestReadOnlyRefusesWrites(t *testing.T) {
	r := newRig(t, registryserver.Options{})
	d := oci.DigestBytes([]byte("x")).String()
	r.want(r.do("POST", "/v2/app/blobs/uploads/", nil), 403, "DENIED")
	r.want(r.do("PUT", "/v2/app/manifests/v1", strings.NewReader("{}")), 403, "DENIED")
	r.want(r.do("DELETE", "/v2/app/manifests/v1", nil), 405, "UNSUPPORTED")
	r.want(r.do("DELETE", "/v2/app/blobs/"+d, nil), 405, "UNSUPPORTED")
	r.want(r.do("GET", "/v2/app/blobs/"+d, nil), 404, "BLOB_UNKNOWN")
	if n := len(slices.Collect(keys(r.store.Active(t.Context())))); n != 0 {
		t.Errorf("%d ingests were begun", n)
	}
}

func keys[K, V any](seq func(func(K, V) bool)) func(func(K) bool) {
	return func(yield func(K) bool) { seq(func(k K, _ V) bool { return yield(k) }) }
}

func TestUploadInChunks(t *testing.T) {
	r := writable(t)
	data := "first second third"
	a := r.do("POST", "/v2/app/blobs/uploads/", nil)
	r.want(a, 202)
	r.wantHeader(a, "Range", "0-0")
	at := a.header.Get("Location")
	a = r.do("PATCH", at, strings.NewReader(data[:6]), "Content-Range", "0-5")
	r.want(a, 202)
	r.wantHeader(a, "Range", "0-5")
	r.wantHeader(a, "Location", at)
	// Out of order: the same again, and one too far ahead.
	for _, rng := range []string{"0-5", "9-14"} {
		a = r.do("PATCH", at, strings.NewReader(data[:6]), "Content-Range", rng)
		r.want(a, 416, "BLOB_UPLOAD_INVALID")
		r.wantHeader(a, "Range", "0-5")
		r.wantHeader(a, "Location", at)
	}
	r.want(r.do("PATCH", at, strings.NewReader(data[6:]), "Content-Range", "6-9"), 400, "SIZE_INVALID")
	a = r.do("PATCH", at, strings.NewReader(data[6:13]), "Content-Range", "6-12")
	r.want(a, 202)
	a = r.do("GET", at, nil)
	r.want(a, 204)
	r.wantHeader(a, "Range", "0-12")
	r.wantHeader(a, "Location", at)
	d := oci.DigestBytes([]byte(data))
	a = r.do("PUT", at+"?digest="+d.String(), strings.NewReader(data[13:]), "Content-Range", "13-17")
	r.want(a, 201)
	r.wantHeader(a, "Location", "/v2/app/blobs/"+d.String())
	r.wantHeader(a, "Docker-Content-Digest", d.String())
	r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
	if got := r.do("GET", "/v2/app/blobs/"+d.String(), nil); string(got.body) != data {
		t.Errorf("the blob is %q", got.body)
	}
}

func TestUploadInOneStreamAndPut(t *testing.T) {
	r := writable(t)
	data := strings.Repeat("streamed ", 100_000)
	d := oci.DigestBytes([]byte(data))
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	// Without Content-Length and Content-Range, as docker does.
	r.want(r.do("PATCH", at, io.MultiReader(strings.NewReader(data))), 202)
	r.want(r.do("PUT", at+"?digest="+d.String(), nil), 201)
	at = r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	// The content is there now; its second upload ends well all the same.
	r.want(r.do("PUT", at+"?digest="+d.String(), strings.NewReader(data)), 201)
	r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
}

func TestUploadWithAnotherDigestIsRefused(t *testing.T) {
	r := writable(t)
	wrong := oci.DigestBytes([]byte("something else")).String()
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("PUT", at+"?digest="+wrong, strings.NewReader("this")), 400, "DIGEST_INVALID")
	r.want(r.do("POST", "/v2/app/blobs/uploads/?digest="+wrong, strings.NewReader("this")), 400, "DIGEST_INVALID")
	r.want(r.do("HEAD", "/v2/app/blobs/"+wrong, nil), 404)
	r.want(r.do("HEAD", "/v2/app/blobs/"+oci.DigestBytes([]byte("this")).String(), nil), 404)
	if n := len(slices.Collect(keys(r.store.Active(t.Context())))); n != 0 {
		t.Errorf("%d ingests are left", n)
	}
}

func TestUploadWithoutDigestIsRefused(t *testing.T) {
	r := writable(t)
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("PUT", at, strings.NewReader("this")), 400, "DIGEST_INVALID")
	// The session lives on.
	r.want(r.do("PUT", at+"?digest="+oci.DigestBytes([]byte("this")).String(), strings.NewReader("this")), 201)
}

func TestAnUploadCanBeCancelled(t *testing.T) {
	r := writable(t)
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("DELETE", at, nil), 204)
	r.want(r.do("DELETE", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
	r.want(r.do("PATCH", at, strings.NewReader("x")), 404, "BLOB_UPLOAD_UNKNOWN")
}

func TestASessionBelongsToItsRepository(t *testing.T) {
	r := writable(t)
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("GET", strings.Replace(at, "/v2/app/", "/v2/other/", 1), nil), 404, "BLOB_UPLOAD_UNKNOWN")
	r.want(r.do("GET", at, nil), 204)
}

func TestABrokenChunkKeepsWhatArrived(t *testing.T) {
	r := writable(t)
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this", at)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the server has given up
	_ = conn.Close()
	a := r.do("GET", at, nil)
	r.want(a, 204)
	r.wantHeader(a, "Range", "0-8")
	data := "only this and the rest"
	r.want(r.do("PUT", at+"?digest="+oci.DigestBytes([]byte(data)).String(), strings.NewReader(data[9:]), "Content-Range", "9-21"), 201)
}

func TestSha512EndToEnd(t *testing.T) {
	r := writable(t)
	data := "content"
	d := oci.SHA512.FromString(data).String()
	r.want(r.do("POST", "/v2/app/blobs/uploads/?digest="+d, strings.NewReader(data)), 201)
	at := r.do("POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512", nil).header.Get("Location")
	r.want(r.do("PATCH", at, strings.NewReader(data+data)), 202)
	twice := oci.SHA512.FromString(data + data).String()
	r.want(r.do("PUT", at+"?digest="+twice, nil), 201)
	if a := r.do("GET", "/v2/app/blobs/"+twice, nil); string(a.body) != data+data {
		t.Errorf("the blob is %q", a.body)
	}
	m, _ := json.Marshal(r.image("one"))
	d = oci.SHA512.FromBytes(m).String()
	a := r.do("PUT", "/v2/app/manifests/"+d, bytes.NewReader(m), "Content-Type", oci.MediaTypeManifest)
	r.want(a, 201)
	r.wantHeader(a, "Docker-Content-Digest", d)
	r.want(r.do("GET", "/v2/app/manifests/"+d, nil), 200)
}

func TestMount(t *testing.T) {
	r := writable(t)
	d := r.push("mounted").Digest.String()
	a := r.do("POST", "/v2/other/blobs/uploads/?mount="+d+"&from=app", nil)
	r.want(a, 201)
	r.wantHeader(a, "Location", "/v2/other/blobs/"+d)
	absent := oci.DigestBytes([]byte("absent")).String()
	a = r.do("POST", "/v2/other/blobs/uploads/?mount="+absent+"&from=app", nil)
	r.want(a, 202)
	r.want(r.do("PATCH", a.header.Get("Location"), strings.NewReader("x")), 202)
}

func TestManifestsAreChecked(t *testing.T) {
	r := writable(t)
	good := r.image("one")
	absent := oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes([]byte("absent")), Size: 6}
	noLayer, noConfig, foreign, about := good, good, good, good
	noLayer.Layers = []oci.Descriptor{absent}
	noConfig.Config = absent
	foreign.Layers = []oci.Descriptor{{MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: absent.Digest, Size: 6}}
	about.Subject = &oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: absent.Digest, Size: 6}
	const path = "/v2/app/manifests/v1"
	r.want(r.pushManifest(path, noLayer, oci.MediaTypeManifest), 400, "MANIFEST_BLOB_UNKNOWN")
	r.want(r.pushManifest(path, noConfig, oci.MediaTypeManifest), 400, "MANIFEST_BLOB_UNKNOWN")
	r.want(r.pushManifest(path, good, oci.MediaTypeIndex), 400, "MANIFEST_INVALID")
	r.want(r.pushManifest(path, good, "text/html"), 400, "MANIFEST_INVALID")
	r.want(r.pushManifest(path, good, "application/vnd.docker.distribution.manifest.v1+prettyjws"), 400, "MANIFEST_INVALID")
	r.want(r.do("PUT", path, strings.NewReader("{"), "Content-Type", oci.MediaTypeManifest), 400, "MANIFEST_INVALID")
	r.want(r.pushManifest("/v2/app/manifests/"+absent.Digest.String(), good, oci.MediaTypeManifest), 400, "DIGEST_INVALID")
	r.want(r.do("GET", path, nil), 404, "MANIFEST_UNKNOWN")
	r.want(r.pushManifest(path, good, ""), 201)
	r.want(r.pushManifest(path, foreign, oci.MediaTypeManifest), 201)
	a := r.pushManifest(path, about, oci.MediaTypeManifest+"; charset=utf-8")
	r.want(a, 201)
	r.wantHeader(a, "OCI-Subject", absent.Digest.String())
}

func TestAnIndexMayLeavePlatformsOut(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	data, _ := json.Marshal(m)
	r.want(r.pushManifest("/v2/app/manifests/"+digestOf(m).String(), m, oci.MediaTypeManifest), 201)
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{
		{MediaType: oci.MediaTypeManifest, Digest: digestOf(m), Size: int64(len(data))},
		{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes([]byte("absent")), Size: 6},
	}}
	x.SchemaVersion = 2
	r.want(r.pushManifest("/v2/app/manifests/v1", x, oci.MediaTypeIndex), 201)
}

func TestManifestsOf4MiBAndNoMore(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	m.Annotations = map[string]string{"pad": ""}
	data, _ := json.Marshal(m)
	m.Annotations["pad"] = strings.Repeat("x", oci.MaxManifestSize-len(data))
	a := r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest)
	r.want(a, 201)
	m.Annotations["pad"] += "x"
	r.want(r.pushManifest("/v2/app/manifests/v2", m, oci.MediaTypeManifest), 413, "SIZE_INVALID")
	data, _ = json.Marshal(m)
	r.want(r.do("PUT", "/v2/app/manifests/v2", io.MultiReader(bytes.NewReader(data)), "Content-Type", oci.MediaTypeManifest), 413, "SIZE_INVALID")
}

func TestABlobCanBecomeAManifest(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	data, _ := json.Marshal(m)
	r.push(string(data))
	r.want(r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest), 201)
	a := r.do("GET", "/v2/app/manifests/v1", nil)
	r.want(a, 200)
	r.wantHeader(a, "Content-Type", oci.MediaTypeManifest)
}

func TestARepositoryMayHaveNamesByDigestAlone(t *testing.T) {
	overStores(t, func(r *rig) {
		m := r.image("one")
		r.want(r.pushManifest("/v2/app/manifests/"+digestOf(m).String(), m, oci.MediaTypeManifest), 201)
		r.want(r.do("GET", "/v2/named/tags/list", nil), 404, "NAME_UNKNOWN")
		ref := oci.Reference{Registry: oci.DockerHub, Repository: "library/named", Digest: digestOf(m)}
		if err := r.store.SetNames(r.Context(), content.NameChange{Reference: ref, Target: digestOf(m)}); err != nil {
			r.Fatal(err)
		}
		a := r.do("GET", "/v2/named/tags/list", nil)
		if r.want(a, 200); string(a.body) != `{"name":"named","tags":[]}` {
			r.Errorf("with a name by digest alone: %s", a.body)
		}
	})
}

// What was pushed and has no tag yet makes a repository; what was deleted does not.
func TestWhatWasPushedMakesARepository(t *testing.T) {
	overStores(t, func(r *rig) {
		blob := r.push("one")
		if a := r.do("GET", "/v2/app/tags/list", nil); string(a.body) != `{"name":"app","tags":[]}` {
			r.Errorf("with a blob alone: %s", a.body)
		}
		r.want(r.do("DELETE", "/v2/app/blobs/"+blob.Digest.String(), nil), 202)
		r.want(r.do("GET", "/v2/app/tags/list", nil), 404, "NAME_UNKNOWN")
	})
}

func TestTagsComeInOrderAndInPages(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	for _, tag := range []string{"v2", "v10", "latest", "V1", "_x", "v1"} {
		r.want(r.pushManifest("/v2/app/manifests/"+tag, m, oci.MediaTypeManifest), 201)
	}
	r.want(r.pushManifest("/v2/app2/manifests/other", r.imageIn("app2", "one"), oci.MediaTypeManifest), 201)
	list := func(query string) ([]string, string) {
		t.Helper()
		a := r.do("GET", "/v2/app/tags/list"+query, nil)
		r.want(a, 200)
		var doc struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(a.body, &doc); err != nil || doc.Name != "app" || doc.Tags == nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		return doc.Tags, a.header.Get("Link")
	}
	all := []string{"V1", "_x", "latest", "v1", "v10", "v2"}
	tests := []struct {
		query string
		want  []string
		link  string
	}{
		{"", all, ""},
		{"?n=6", all, ""},
		{"?n=0", nil, ""},
		{"?n=2", all[:2], `</v2/app/tags/list?last=_x&n=2>; rel="next"`},
		{"?n=2&last=_x", all[2:4], `</v2/app/tags/list?last=v1&n=2>; rel="next"`},
		{"?n=2&last=v1", all[4:], ""},
		{"?last=v1", all[4:], ""},
		{"?last=m", all[3:], ""},
		{"?last=zzz", nil, ""},
	}
	for _, tt := range tests {
		got, link := list(tt.query)
		if !slices.Equal(got, tt.want) || link != tt.link {
			t.Errorf("%q gives %q and %q, want %q and %q", tt.query, got, link, tt.want, tt.link)
		}
	}
}

func TestReferrers(t *testing.T) {
	r := writable(t)
	subject := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes([]byte("subject")), Size: 7}
	path := "/v2/app/referrers/" + subject.Digest.String()
	list := func(path string) ([]oci.Descriptor, http.Header) {
		t.Helper()
		a := r.do("GET", path, nil)
		r.want(a, 200)
		r.wantHeader(a, "Content-Type", oci.MediaTypeIndex)
		x, err := oci.ParseIndex(oci.MediaTypeIndex, a.body)
		if err != nil || x.Manifests == nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		return x.Manifests, a.header
	}
	if got, _ := list(path); len(got) != 0 {
		t.Errorf("nobody has referred yet: %v", got)
	}
	one, two := r.image("one"), r.image("two")
	one.Subject, one.ArtifactType, one.Annotations = &subject, "text/one", map[string]string{"k": "v"}
	two.Subject, two.Config.MediaType = &subject, "text/two"
	r.want(r.pushManifest("/v2/app/manifests/"+digestOf(one).String(), one, oci.MediaTypeManifest), 201)
	r.want(r.pushManifest("/v2/app/manifests/"+digestOf(two).String(), two, oci.MediaTypeManifest), 201)
	if got, h := list(path); len(got) != 2 || h.Get("OCI-Filters-Applied") != "" {
		t.Errorf("%v, %v", got, h)
	}
	got, h := list(path + "?artifactType=text/one")
	if len(got) != 1 || got[0].Digest != digestOf(one) || got[0].ArtifactType != "text/one" || got[0].Annotations["k"] != "v" || h.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("%v, %v", got, h)
	}
	if got, _ = list(path + "?artifactType=text/two"); len(got) != 1 || got[0].Digest != digestOf(two) {
		t.Errorf("the config's type is not taken: %v", got)
	}
}

func TestDelete(t *testing.T) {
	r := writable(t)
	m := r.image("one")
	r.imageIn("other", "one")
	d := digestOf(m).String()
	for _, path := range []string{"/v2/app/manifests/v1", "/v2/app/manifests/v2", "/v2/other/manifests/v1"} {
		r.want(r.pushManifest(path, m, oci.MediaTypeManifest), 201)
	}
	r.want(r.do("DELETE", "/v2/app/manifests/v1", nil), 202)
	r.want(r.do("HEAD", "/v2/app/manifests/v1", nil), 404)
	r.want(r.do("HEAD", "/v2/app/manifests/v2", nil), 200)
	r.want(r.do("DELETE", "/v2/app/blobs/"+m.Layers[0].Digest.String(), nil), 405, "DENIED")
	// Another repository still names it.
	r.want(r.do("DELETE", "/v2/app/manifests/"+d, nil), 202)
	r.want(r.do("HEAD", "/v2/app/manifests/v2", nil), 404)
	r.want(r.do("HEAD", "/v2/other/manifests/v1", nil), 200)
	r.want(r.do("DELETE", "/v2/other/manifests/"+d, nil), 202)
	r.want(r.do("HEAD", "/v2/other/manifests/v1", nil), 404)
	r.want(r.do("HEAD", "/v2/other/manifests/"+d, nil), 404)
	blob := "/v2/app/blobs/" + m.Layers[0].Digest.String()
	r.want(r.do("DELETE", blob, nil), 202)
	r.want(r.do("HEAD", blob, nil), 404)
}

func TestWhatIsPushedIsUnderALease(t *testing.T) {
	r := writable(t)
	d := r.push("unnamed").Digest
	if err := r.store.Delete(t.Context(), d); !errors.Is(err, content.ErrConflict) {
		t.Errorf("what was pushed and is not named can be deleted: %v", err)
	}
	r.push("another")
	if n := len(slices.Collect(keys(r.store.AllLeases(t.Context())))); n != 1 {
		t.Errorf("%d leases, want 1", n)
	}
}

func TestAnAmbiguousPathIsRefused(t *testing.T) { overStores(t, refusesAmbiguity) }

func refusesAmbiguity(r *rig) {
	m := r.image("one")
	r.want(r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest), 201)
	name := func(s string) {
		ref, err := oci.ParseReference(s)
		if err == nil {
			err = r.store.SetNames(r.Context(), content.NameChange{Reference: ref, Target: digestOf(m)})
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	name("localhost:5000/foo:v1")
	r.want(r.do("GET", "/v2/localhost_5000/foo/manifests/v1", nil), 200)
	r.want(r.do("GET", "/v2/localhost_5000/foo/tags/list", nil), 200)
	name("docker.io/localhost_5000/foo:v2")
	for _, a := range []answer{
		r.do("GET", "/v2/localhost_5000/foo/manifests/v1", nil),
		r.do("GET", "/v2/localhost_5000/foo/manifests/v2", nil),
		r.do("GET", "/v2/localhost_5000/foo/tags/list", nil),
		r.pushManifest("/v2/localhost_5000/foo/manifests/v3", m, oci.MediaTypeManifest),
	} {
		r.want(a, 409, "NAME_INVALID")
	}
	r.want(r.do("GET", "/v2/docker.io/localhost_5000/foo/manifests/v2", nil), 200)
	name("MyHost/foo:v1")
	rec := httptest.NewRecorder() // of a server that has no older list of hosts
	registryserver.New(r.store, registryserver.Options{}).ServeHTTP(rec, httptest.NewRequest("GET", "/v2/myhost/foo/manifests/v1", nil))
	if rec.Code != 200 {
		r.Errorf("a host with upper case letters: %d %s", rec.Code, rec.Body)
	}
}

func TestThePrefixIsTheDefaultHost(t *testing.T) {
	r := newRig(t, registryserver.Options{Writable: true, Prefix: "example.com"})
	r.want(r.pushManifest("/v2/app/manifests/v1", r.image("one"), oci.MediaTypeManifest), 201)
	ref, _ := oci.ParseReference("example.com/app:v1")
	if _, err := r.store.Resolve(t.Context(), ref); err != nil {
		t.Error(err)
	}
	r.want(r.do("GET", "/v2/example.com/app/manifests/v1", nil), 200)
	r.want(r.do("GET", "/v2/library/app/manifests/v1", nil), 404)
}

// fileStore keeps one blob in a file.
type fileStore struct {
	*memory.Store
	path string
	size int64
}

type fileReader struct {
	io.ReaderAt
	file *os.File
	size int64
}

func (f fileReader) Close() error                   { return f.file.Close() }
func (f fileReader) Size() int64                    { return f.size }
func (f fileReader) File() (*os.File, int64, int64) { return f.file, 0, f.size }

// InRepository says that everything is everywhere.
func (s fileStore) InRepository(_ context.Context, _ string, digests ...oci.Digest) ([]bool, error) {
	return slices.Repeat([]bool{true}, len(digests)), nil
}

func (s fileStore) ReaderAt(context.Context, oci.Descriptor) (content.ReaderAt, error) {
	f, err := os.Open(s.path)
	return fileReader{f, f, s.size}, err
}

func TestFilesAreServedAsLongAsTheBlobIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]string{10: "0123456789", 6: "012345"} {
		srv := httptest.NewServer(registryserver.New(fileStore{memory.New(), path, size}, registryserver.Options{}))
		defer srv.Close()
		r := &rig{t, nil, srv.URL}
		a := r.do("GET", "/v2/app/blobs/"+oci.DigestBytes(nil).String(), nil)
		if string(a.body) != want {
			t.Errorf("a blob of %d bytes comes as %q", size, a.body)
		}
		a = r.do("GET", "/v2/app/blobs/"+oci.DigestBytes(nil).String(), nil, "Range", "bytes=2-3")
		if string(a.body) != "23" {
			t.Errorf("a part of a blob of %d bytes comes as %q", size, a.body)
		}
	}
}

func TestPathsOutsideOfTheAPIAreThePages(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, tt := range []struct {
		path        string
		with, alone int
	}{
		{"/", http.StatusTeapot, http.StatusNotFound},
		{"/r/demo", http.StatusTeapot, http.StatusNotFound},
		{"/v2x", http.StatusTeapot, http.StatusNotFound},
		{"/v2/", http.StatusOK, http.StatusOK},
		{"/v2/nothing", http.StatusNotFound, http.StatusNotFound},
	} {
		with := newRig(t, registryserver.Options{Pages: pages})
		if a := with.do("GET", tt.path, nil); a.status != tt.with {
			t.Errorf("%s: %d, want %d", tt.path, a.status, tt.with)
		}
		alone := newRig(t, registryserver.Options{})
		if a := alone.do("GET", tt.path, nil); a.status != tt.alone {
			t.Errorf("%s without pages: %d, want %d", tt.path, a.status, tt.alone)
		}
	}
}

func TestRequestsAreLogged(t *testing.T) {
	var buf bytes.Buffer
	done := make(chan struct{}, 1)
	h := registryserver.New(memory.New(), registryserver.Options{Log: slog.New(slog.NewTextHandler(&buf, nil))})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		done <- struct{}{}
	}))
	defer srv.Close()
	r := &rig{t, nil, srv.URL}
	r.want(r.do("GET", "/v2/app/manifests/v1", nil), 404)
	<-done
	for _, want := range []string{"method=GET", "path=/v2/app/manifests/v1", "status=404", "bytes="} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no %s in %s", want, buf.String())
		}
	}
}

func TestTheLogNamesWhoLooksAtPages(t *testing.T) {
	var buf bytes.Buffer
	pages := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { registryserver.NameUser(r, "kim") })
	h := registryserver.New(memory.New(), registryserver.Options{Pages: pages, Log: slog.New(slog.NewTextHandler(&buf, nil))})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(buf.String(), " user=kim") {
		t.Errorf("no user in %s", buf.String())
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- registryserver.Serve(ctx, ln, registryserver.New(memory.New(), registryserver.Options{}), registryserver.Run{})
	}()
	r := &rig{t, nil, "http://" + ln.Addr().String()}
	r.want(r.do("GET", "/v2/", nil), 200)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}

func TestASessionIsTheStoresFromItsFirstByteOn(t *testing.T) {
	r := writable(t)
	active := func() (n int) {
		for _, err := range r.store.Active(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	a := r.do("GET", at, nil)
	r.want(a, 204)
	r.wantHeader(a, "Range", "0-0")
	if n := active(); n != 0 {
		t.Errorf("%d ingests for a session without a byte", n)
	}
	r.want(r.do("PATCH", at, strings.NewReader("0123")), 202)
	if n := active(); n != 1 {
		t.Errorf("%d ingests for a session with bytes, want 1", n)
	}
	// Another server over the same store goes on with it.
	srv := httptest.NewServer(registryserver.New(r.store, registryserver.Options{Writable: true}))
	defer srv.Close()
	a = r.do("GET", srv.URL+at, nil)
	r.want(a, 204)
	r.wantHeader(a, "Range", "0-3")
	d := oci.DigestBytes([]byte("01234567"))
	r.want(r.do("PUT", srv.URL+at+"?digest="+d.String(), strings.NewReader("4567")), 201)
	r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
}

func TestAFreshSessionOutlivesAPutThatFails(t *testing.T) {
	r := writable(t)
	d := oci.DigestBytes([]byte("0123"))
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("PUT", at+"?digest=sha256:0", strings.NewReader("0123")), 400, "DIGEST_INVALID")
	r.want(r.do("PUT", at+"?digest="+d.String(), strings.NewReader("0123"), "Content-Range", "4-7"), 416)
	r.want(r.do("GET", at, nil), 204)
	r.want(r.do("PUT", at+"?digest="+d.String(), strings.NewReader("0123")), 201)
	r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")

	at = r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("DELETE", at, nil), 204)
	r.want(r.do("DELETE", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")

	at = r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("PUT", at+"?digest="+oci.DigestBytes([]byte("one")).String(), strings.NewReader("other")), 400, "DIGEST_INVALID")
	r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
}

// Who breaks a request off and cancels the session at once meets that request still
// at work. What was cancelled does not come back with its last bytes.
func TestAnUploadIsCancelledAfterWhatIsAtWorkOnIt(t *testing.T) {
	r := writable(t)
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	body, more := io.Pipe()
	patched := make(chan answer, 1)
	go func() { patched <- r.do("PATCH", at, body) }()
	if _, err := more.Write([]byte("0123")); err != nil { // it is on its way
		t.Fatal(err)
	}
	for r.do("GET", at, nil).header.Get("Range") != "0-3" { // and at work
		if t.Context().Err() != nil {
			t.Fatal("it does not come")
		}
	}
	cancelled := make(chan answer, 1)
	go func() { cancelled <- r.do("DELETE", at, nil) }()
	for range 100 { // others are answered meanwhile
		r.want(r.do("GET", at, nil), 204)
	}
	select {
	case a := <-cancelled:
		t.Fatalf("it does not wait: %d", a.status)
	default:
	}
	more.Close()
	r.want(<-patched, 202)
	r.want(<-cancelled, 204)
	r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
}
