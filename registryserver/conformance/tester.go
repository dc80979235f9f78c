package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"dist.example/oci"
)

// tester is one check at work.
type tester struct {
	*testing.T
	registry  Registry
	transport http.RoundTripper
	repo      string
}

type answer struct {
	status int
	header http.Header
	body   []byte
	at     *url.URL // what was asked
}

// failure is the specification's form of an error.
type failure struct {
	Errors []struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	} `json:"errors"`
}

var codePattern = regexp.MustCompile(`^[A-Z_]+$`)

// path is below the repository.
func (t *tester) path(rest string) string { return "/v2/" + t.repo + rest }

// do sends a request; where may be a path or a whole URL. Headers come in pairs.
func (t *tester) do(method, where string, body io.Reader, header ...string) answer {
	t.Helper()
	if strings.HasPrefix(where, "/") {
		where = t.registry.URL + where
	}
	req, err := http.NewRequestWithContext(t.Context(), method, where, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := t.transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, data, req.URL}
	t.common(method, a)
	return a
}

// common holds a to what is true of all answers.
func (t *tester) common(method string, a answer) {
	t.Helper()
	if w := a.header.Values("Warning"); len(w) > 0 {
		t.Errorf("%s %s warns: %q", method, a.at, w)
	}
	if method == http.MethodHead {
		if len(a.body) > 0 {
			t.Errorf("HEAD %s has a body", a.at)
		}
		return
	}
	if a.status < 400 || a.header.Get("Content-Type") != oci.MediaTypeJSON {
		return
	}
	var f failure
	if err := json.Unmarshal(a.body, &f); err != nil || len(f.Errors) == 0 {
		t.Errorf("%s %s: %d without the JSON for errors: %.200s", method, a.at, a.status, a.body)
	}
	for _, e := range f.Errors {
		if !codePattern.MatchString(e.Code) || e.Message == "" {
			t.Errorf("%s %s: code %q, message %q", method, a.at, e.Code, e.Message)
		}
	}
}

// code is the first one of an answer that is an error.
func (a answer) code() string {
	var f failure
	if json.Unmarshal(a.body, &f) != nil || len(f.Errors) == 0 {
		return ""
	}
	return f.Errors[0].Code
}

// want ends the check unless a has the status and, where one is given, the code.
func (t *tester) want(a answer, status int, code ...string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: status %d, want %d: %.300s", a.at, a.status, status, a.body)
	}
	if len(code) > 0 && a.code() != code[0] {
		t.Fatalf("%s: code %q, want %q", a.at, a.code(), code[0])
	}
	return a
}

func (t *tester) wantHeader(a answer, name, value string) {
	t.Helper()
	if got := a.header.Get(name); got != value {
		t.Errorf("%s: %s is %q, want %q", a.at, name, got, value)
	}
}

// wantBody asks for the exact bytes, with their length and digest.
func (t *tester) wantBody(a answer, data []byte, d oci.Digest) {
	t.Helper()
	t.want(a, http.StatusOK)
	t.wantHeader(a, "Content-Length", fmt.Sprint(len(data)))
	t.wantHeader(a, "Docker-Content-Digest", d.String())
	if !bytes.Equal(a.body, data) {
		t.Errorf("%s gives other bytes: %.100q", a.at, a.body)
	}
}

// location is where an answer leads to, which may be relative.
func (t *tester) location(a answer) string {
	t.Helper()
	u, err := a.at.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		t.Fatalf("%s: Location %q: %v", a.at, a.header.Get("Location"), err)
	}
	return u.String()
}

// with is location with a parameter more: it may have some already.
func (t *tester) with(location, key, value string) string {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// own is content that no other check has.
func (t *tester) own(text string) []byte { return []byte(t.Name() + ": " + text) }

// begin opens an upload and returns where.
func (t *tester) begin() string {
	t.Helper()
	return t.location(t.want(t.do("POST", t.path("/blobs/uploads/"), nil), http.StatusAccepted))
}

// blob pushes data and describes it.
func (t *tester) blob(mediaType string, data []byte) oci.Descriptor {
	t.Helper()
	d := oci.DigestBytes(data)
	t.want(t.do("PUT", t.with(t.begin(), "digest", d.String()), bytes.NewReader(data)), http.StatusCreated)
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

// image is a manifest whose two blobs are pushed.
func (t *tester) image(text string) oci.Manifest {
	t.Helper()
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest,
		Config:    t.blob(oci.MediaTypeImageConfig, t.own("config "+text)),
		Layers:    []oci.Descriptor{t.blob(oci.MediaTypeLayer, t.own("layer "+text))},
	}
	m.SchemaVersion = 2
	return m
}

func (t *tester) json(v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// put sends a manifest as reference, which may have a query.
func (t *tester) put(reference, mediaType string, data []byte) answer {
	t.Helper()
	return t.do("PUT", t.path("/manifests/"+reference), bytes.NewReader(data), "Content-Type", mediaType)
}

// push puts v by its digest and, where one is given, by tag, and describes it.
func (t *tester) push(v any, mediaType string, tags ...string) oci.Descriptor {
	t.Helper()
	data := t.json(v)
	d := oci.DigestBytes(data)
	for _, reference := range append([]string{d.String()}, tags...) {
		t.want(t.put(reference, mediaType, data), http.StatusCreated)
	}
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
}

func indexOf(manifests ...oci.Descriptor) oci.Index {
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: append([]oci.Descriptor{}, manifests...)}
	x.SchemaVersion = 2
	return x
}

// absent describes what nobody has.
func (t *tester) absent(mediaType string) oci.Descriptor {
	data := t.own("absent")
	return oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(data), Size: int64(len(data))}
}
