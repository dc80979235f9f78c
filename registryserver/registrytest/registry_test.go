package registrytest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

const blobKind = registryserver.KindBlob

// get reads a path of reg; err is that of reading the body, or of the request.
func get(t *testing.T, reg *registrytest.Registry, path string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, reg.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // the transport would repeat what fails on a kept connection
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := reg.Client().Transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestWhatIsSeededIsServed(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	layer := registrytest.Bytes(1, 300_000)
	image := reg.PushImage("app:v1", layer)
	if again := registrytest.New(t, registrytest.Options{}).PushImage("app:v1", layer); again.Digest != image.Digest {
		t.Errorf("the same image is %s, then %s", image.Digest, again.Digest)
	}
	resp, body, err := get(t, reg, "/v2/app/manifests/v1")
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	m, err := oci.ParseManifest(resp.Header.Get("Content-Type"), body)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err = get(t, reg, "/v2/app/blobs/"+m.Layers[0].Digest.String())
	if err != nil || !bytes.Equal(body, layer) {
		t.Error("other bytes", err)
	}
	x := reg.PushPlatforms("multi:v1", "linux/amd64", "linux/arm64")
	if resp, body, _ = get(t, reg, "/v2/multi/manifests/"+x.Digest.String()); resp.StatusCode != 200 {
		t.Fatalf("%s", body)
	}
	if doc, err := oci.ParseIndex(oci.MediaTypeIndex, body); err != nil || len(doc.Manifests) != 2 || doc.Manifests[1].Platform.Architecture != "arm64" {
		t.Errorf("%s: %v", body, err)
	}
	reg.PushArtifact(image, "text/sbom", []byte("x"))
	if _, body, _ = get(t, reg, "/v2/app/referrers/"+image.Digest.String()); !strings.Contains(string(body), "text/sbom") {
		t.Errorf("%s", body)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	one, two := reg.PutBlob("x/y", registrytest.Bytes(1, 1000)), reg.PutBlob("x/y", registrytest.Bytes(2, 500))
	var hooked int
	reg.Before(func(*http.Request) { hooked++ })
	for _, d := range []oci.Digest{one.Digest, two.Digest, two.Digest} {
		if _, _, err := get(t, reg, "/v2/a/blobs/"+d.String(), "Range", "bytes=100-", "Authorization", "Basic eDp5"); err != nil {
			t.Fatal(err)
		}
	}
	if n := reg.Count(registrytest.Match{Method: "GET", Kind: blobKind}); n != 3 || hooked != 3 {
		t.Errorf("%d requests, %d hooks, want 3", n, hooked)
	}
	if all, second := reg.BlobBytes(""), reg.BlobBytes(two.Digest); all != 900+400+400 || second != 800 {
		t.Errorf("%d bytes of blobs, %d of the second", all, second)
	}
	q := reg.Requests()[0]
	if q.Range != "bytes=100-" || q.Authorization != "Basic eDp5" || q.Status != 206 || q.Digest != one.Digest {
		t.Errorf("%+v", q)
	}
	reg.Forget()
	if n := len(reg.Requests()); n != 0 {
		t.Errorf("%d requests are remembered", n)
	}
}

func TestBodyFaults(t *testing.T) {
	data := registrytest.Bytes(1, 200_000)
	flipped := bytes.Clone(data)
	flipped[5] ^= 1
	tests := []struct {
		name   string
		fault  registrytest.Fault
		status int
		body   []byte // what arrives
		whole  bool   // and whether it seems to be all
	}{
		{"Reset", registrytest.Reset(), 0, nil, false},
		{"CutAfter", registrytest.CutAfter(1000), 200, data[:1000], false},
		{"Corrupt", registrytest.Corrupt(5), 200, flipped, true},
		{"Shorten", registrytest.Shorten(100), 200, data[:100], true},
		{"Lengthen", registrytest.Lengthen([]byte("more")), 200, append(bytes.Clone(data), "more"...), true},
		{"Chunked", registrytest.Chunked(), 200, data, true},
		{"Throttle", registrytest.Throttle(10_000_000), 200, data, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{})
			path := "/v2/a/blobs/" + reg.PutBlob("x/y", data).Digest.String()
			reg.Inject(registrytest.Match{Kind: blobKind, Skip: 1, Times: 1}, tt.fault)
			for i := range 3 {
				resp, body, err := get(t, reg, path)
				if i != 1 {
					if err != nil || !bytes.Equal(body, data) {
						t.Errorf("request %d is not spared: %v", i, err)
					}
					continue
				}
				if (err == nil) != tt.whole || !bytes.Equal(body, tt.body) {
					t.Errorf("%d bytes, %v; want %d", len(body), err, len(tt.body))
				}
				if resp != nil && resp.StatusCode != tt.status {
					t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
				}
				if tt.name == "Chunked" && resp.ContentLength != -1 {
					t.Errorf("Content-Length is %d", resp.ContentLength)
				}
			}
		})
	}
}

func TestHeaderFaults(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	other := registrytest.New(t, registrytest.Options{Store: reg.Store()})
	desc := reg.PutBlob("x/y", []byte("hello"))
	path := "/v2/a/blobs/" + desc.Digest.String()
	wrong := oci.DigestBytes([]byte("wrong"))
	tests := []struct {
		name   string
		fault  registrytest.Fault
		status int
		header string
		value  string
	}{
		{"Answer", registrytest.Answer(503, "Retry-After", "1"), 503, "Retry-After", "1"},
		{"DropDigest", registrytest.DropDigest(), 206, "Docker-Content-Digest", ""},
		{"WrongDigest", registrytest.WrongDigest(wrong), 206, "Docker-Content-Digest", wrong.String()},
		{"IgnoreRange", registrytest.IgnoreRange(), 200, "Content-Range", ""},
		{"Redirect", registrytest.Redirect(other.URL), 307, "Location", other.URL + path},
	}
	for _, tt := range tests {
		reg.Inject(registrytest.Match{Kind: blobKind, Times: 1}, tt.fault)
		resp, _, err := get(t, reg, path, "Range", "bytes=1-2")
		if err != nil || resp.StatusCode != tt.status || resp.Header.Get(tt.header) != tt.value {
			t.Errorf("%s: status %d, %s %q, %v", tt.name, resp.StatusCode, tt.header, resp.Header.Get(tt.header), err)
		}
	}
	if resp, _, err := get(t, other, path); err != nil || resp.StatusCode != 200 {
		t.Errorf("the store is not shared: %v %v", resp, err)
	}
}

func TestAStalledBodyWaits(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	data := registrytest.Bytes(1, 100_000)
	release := make(chan struct{})
	reg.Inject(registrytest.Match{Kind: blobKind}, registrytest.Stall(1000, release))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, reg.URL+"/v2/a/blobs/"+reg.PutBlob("x/y", data).Digest.String(), nil)
	resp, err := reg.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 1000)
	if _, err := io.ReadFull(resp.Body, first); err != nil {
		t.Fatal(err)
	}
	if got := reg.BlobBytes(""); got != 1000 {
		t.Errorf("%d bytes went out before the release", got)
	}
	close(release)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(append(first, rest...), data) {
		t.Errorf("%d bytes after the release, %v", len(rest), err)
	}
	// A client that leaves ends the wait, and so lets the test end.
	reg.Inject(registrytest.Match{Kind: registryserver.KindBase}, registrytest.Hold(make(chan struct{})))
}

func TestAnotherHandlerIsRecordedToo(t *testing.T) {
	other := registrytest.New(t, registrytest.Options{})
	desc := other.PutBlob("x/y", registrytest.Bytes(1, 1000))
	to, err := url.Parse(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := registrytest.New(t, registrytest.Options{Handler: httputil.NewSingleHostReverseProxy(to)})
	path := "/v2/a/blobs/" + desc.Digest.String()
	if _, body, err := get(t, front, path); err != nil || len(body) != 1000 {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	front.Inject(registrytest.Match{Kind: blobKind}, registrytest.Answer(http.StatusTeapot))
	if resp, _, err := get(t, front, path); err != nil || resp.StatusCode != http.StatusTeapot {
		t.Error(resp, err)
	}
	if front.BlobBytes(desc.Digest) != 1000 || front.Count(registrytest.Match{}) != 2 || other.Count(registrytest.Match{}) != 1 {
		t.Errorf("%d bytes, %+v, behind it %+v", front.BlobBytes(desc.Digest), front.Requests(), other.Requests())
	}
}

func TestHealLetsGoOnWhatWaitsForIt(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	data := registrytest.Bytes(1, 100_000)
	desc := reg.PutBlob("x/y", data)
	for range 2 {
		reg.Inject(registrytest.Match{Kind: blobKind}, registrytest.Stall(1000, reg.Healed()))
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, reg.URL+"/v2/a/blobs/"+desc.Digest.String(), nil)
		resp, err := reg.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		reg.Heal()
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

func TestADockerImageHasItsOwnTypes(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	reg.PushDockerImage("app:v1", []byte("layer"))
	resp, body, err := get(t, reg, "/v2/app/manifests/v1", "Accept", oci.MediaTypeDockerManifest)
	if err != nil || resp.Header.Get("Content-Type") != oci.MediaTypeDockerManifest {
		t.Fatal(resp, err)
	}
	m, err := oci.ParseManifest(oci.MediaTypeDockerManifest, body)
	if err != nil || m.Config.MediaType != oci.MediaTypeDockerConfig || m.Layers[0].MediaType != oci.MediaTypeDockerLayer {
		t.Fatalf("%s: %v", body, err)
	}
	_, body, _ = get(t, reg, "/v2/app/blobs/"+m.Layers[0].Digest.String())
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(r); err != nil || string(plain) != "layer" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestACutUploadKeepsItsPart(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	resp, err := reg.Client().Post(reg.URL+"/v2/a/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	at := resp.Header.Get("Location")
	reg.Inject(registrytest.Match{Method: "PATCH", Times: 1}, registrytest.CutUploadAfter(700))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPatch, reg.URL+at, bytes.NewReader(registrytest.Bytes(1, 1000)))
	if resp, err := reg.Client().Do(req); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("the upload was answered with %s", resp.Status)
	}
	resp, _, err = get(t, reg, at)
	if err != nil || resp.Header.Get("Range") != "0-699" {
		t.Errorf("the session stands at %v, %v", resp.Header, err)
	}
}

func TestBasicAuth(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{User: "ann", Password: "pa:ss"}})
	resp, _, _ := get(t, reg, "/v2/")
	if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("%v", resp)
	}
	if resp, _, _ = get(t, reg, "/v2/", "Authorization", "Basic YW5uOnBhOnNz"); resp.StatusCode != 200 {
		t.Errorf("%v", resp)
	}
	reg.Ask(registrytest.Auth{User: "bob", Password: "other"})
	if resp, _, _ = get(t, reg, "/v2/", "Authorization", "Basic YW5uOnBhOnNz"); resp.StatusCode != 401 {
		t.Errorf("%v", resp)
	}
}

func TestBearerAuth(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{Auth: &registrytest.Auth{Bearer: true, User: "ann", Password: "pa:ss", Uses: 2}})
	reg.PushImage("app:v1", []byte("layer"))
	const path = "/v2/app/manifests/v1"
	resp, _, _ := get(t, reg, path)
	challenge := resp.Header.Get("WWW-Authenticate")
	if want := `Bearer realm="` + reg.URL + `/token",service="registrytest",scope="repository:app:pull"`; resp.StatusCode != 401 || challenge != want {
		t.Fatalf("challenge %s, want %s", challenge, want)
	}
	if resp, _, _ = get(t, reg, "/token?scope=repository:app:pull"); resp.StatusCode != 401 {
		t.Errorf("a token for nobody: %v", resp)
	}
	token := func(query string) string {
		t.Helper()
		_, body, _ := get(t, reg, "/token?"+query, "Authorization", "Basic YW5uOnBhOnNz")
		var doc struct{ Token string }
		if err := json.Unmarshal(body, &doc); err != nil || doc.Token == "" {
			t.Fatalf("%s: %v", body, err)
		}
		return "Bearer " + doc.Token
	}
	status := func(path, auth string) int {
		resp, _, err := get(t, reg, path, "Authorization", auth)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	good := token("scope=repository:app:pull")
	for i, want := range []int{200, 200, 401} {
		if got := status(path, good); got != want {
			t.Errorf("use %d of a token for two gives %d, want %d", i+1, got, want)
		}
	}
	if got := status(path, token("scope=repository:other:pull")); got != 401 {
		t.Errorf("a token for another repository gives %d", got)
	}
	good = token("scope=repository:app:pull,push")
	reg.ExpireTokens()
	if got := status(path, good); got != 401 {
		t.Errorf("an expired token gives %d", got)
	}
	if n := reg.Count(registrytest.Match{Kind: registrytest.KindToken}); n != 4 {
		t.Errorf("%d requests for tokens, want 4", n)
	}
}

func TestTLS(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{TLS: true})
	if reg.Certificate() == nil || !strings.HasPrefix(reg.URL, "https://") {
		t.Fatalf("%s", reg.URL)
	}
	if resp, _, err := get(t, reg, "/v2/"); err != nil || resp.StatusCode != 200 {
		t.Error(err)
	}
}

func TestAServerWithoutATest(t *testing.T) {
	reg, err := registrytest.NewServer(registrytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg.PushImage("app:v1", []byte("layer"))
	if resp, _, err := get(t, reg, "/v2/app/tags/list"); err != nil || resp.StatusCode != 200 {
		t.Error(err)
	}
	reg.Close()
	reg.Close()
	if _, _, err := get(t, reg, "/v2/"); err == nil {
		t.Error("it still answers")
	}
}
