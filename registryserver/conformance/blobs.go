package conformance

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"dist.example/oci"
)

func blobChecks() []check {
	return []check{
		{"get", getBlob},
		{"head", headBlob},
		{"absent", absentBlob},
		{"range", blobRange},
		{"several-ranges", severalRanges},
		{"if-range", ifRange},
		{"conditions", blobConditions},
		{"empty", emptyBlob},
		{"manifest-as-blob", manifestAsBlob},
	}
}

func getBlob(t *tester) {
	data := t.own("content")
	desc := t.blob(oci.MediaTypeOctets, data)
	t.wantBody(t.do("GET", t.path("/blobs/"+desc.Digest.String()), nil), data, desc.Digest)
}

func headBlob(t *tester) {
	desc := t.blob(oci.MediaTypeOctets, t.own("content"))
	a := t.want(t.do("HEAD", t.path("/blobs/"+desc.Digest.String()), nil), http.StatusOK)
	t.wantHeader(a, "Docker-Content-Digest", desc.Digest.String())
	t.wantHeader(a, "Content-Length", fmt.Sprint(desc.Size))
	t.wantHeader(a, "Accept-Ranges", "bytes")
}

func absentBlob(t *tester) {
	path := t.path("/blobs/" + t.absent("").Digest.String())
	t.want(t.do("GET", path, nil), http.StatusNotFound, "BLOB_UNKNOWN")
	t.want(t.do("HEAD", path, nil), http.StatusNotFound)
}

func blobRange(t *tester) {
	data := bytes.Repeat(t.own("0123456789"), 50)
	size := len(data)
	path := t.path("/blobs/" + t.blob(oci.MediaTypeOctets, data).Digest.String())
	tests := []struct {
		asked       string
		status      int
		first, last int
	}{
		{"bytes=0-0", 206, 0, 0},
		{"bytes=10-19", 206, 10, 19},
		{"bytes=100-", 206, 100, size - 1},
		{"bytes=-7", 206, size - 7, size - 1},
		{fmt.Sprintf("bytes=-%d", size+5), 206, 0, size - 1},
		{fmt.Sprintf("bytes=20-%d", size+5), 206, 20, size - 1},
		{"bytes=20-18446744073709551616", 206, 20, size - 1},
		{"bytes=-18446744073709551616", 206, 0, size - 1},
		{fmt.Sprintf("bytes=%d-%d", size-1, size-1), 206, size - 1, size - 1},
		{fmt.Sprintf("bytes=%d-", size), 416, 0, 0},
		{"bytes=50-40", 416, 0, 0},
		{"bytes=-0", 416, 0, 0},
		{"bytes=-0,3-4", 206, 3, 4},
		{"Bytes=3-4", 206, 3, 4},
	}
	for _, tt := range tests {
		a := t.do("GET", path, nil, "Range", tt.asked)
		if tt.status == http.StatusRequestedRangeNotSatisfiable {
			t.want(a, tt.status, "UNSUPPORTED")
			continue
		}
		t.want(a, tt.status)
		t.wantHeader(a, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", tt.first, tt.last, size))
		t.wantHeader(a, "Content-Length", fmt.Sprint(tt.last-tt.first+1))
		if !bytes.Equal(a.body, data[tt.first:tt.last+1]) {
			t.Errorf("%s gives other bytes", tt.asked)
		}
	}
	a := t.do("GET", path, nil, "Range", fmt.Sprintf("bytes=%d-", size+1))
	t.wantHeader(t.want(a, 416), "Content-Range", fmt.Sprintf("bytes */%d", size))
	// A unit that nobody knows is no range, and HEAD has none.
	t.want(t.do("GET", path, nil, "Range", "lines=1-2"), http.StatusOK)
	a = t.want(t.do("HEAD", path, nil, "Range", "bytes=10-19"), http.StatusOK)
	t.wantHeader(a, "Content-Length", fmt.Sprint(size))
	t.want(t.do("HEAD", path, nil, "Range", fmt.Sprintf("bytes=%d-", size)), http.StatusOK)
}

func severalRanges(t *tester) {
	data := bytes.Repeat(t.own("0123456789"), 50)
	path := t.path("/blobs/" + t.blob(oci.MediaTypeOctets, data).Digest.String())
	a := t.want(t.do("GET", path, nil, "Range", "bytes=5-9,100-109"), http.StatusPartialContent)
	mediaType, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/byteranges" {
		t.Fatalf("Content-Type %q: %v", a.header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	for _, want := range [][]byte{data[5:10], data[100:110]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, want) {
			t.Errorf("a part is %q, want %q: %v", got, want, err)
		}
	}
}

func ifRange(t *tester) {
	data := t.own("0123456789")
	path := t.path("/blobs/" + t.blob(oci.MediaTypeOctets, data).Digest.String())
	etag := t.do("HEAD", path, nil).header.Get("ETag")
	if etag == "" {
		t.Fatal("there is no ETag")
	}
	t.want(t.do("GET", path, nil, "Range", "bytes=1-2", "If-Range", etag), http.StatusPartialContent)
	t.want(t.do("GET", path, nil, "Range", "bytes=1-2", "If-Range", `"other"`), http.StatusOK)
}

func blobConditions(t *tester) {
	path := t.path("/blobs/" + t.blob(oci.MediaTypeOctets, t.own("content")).Digest.String())
	etag := t.do("HEAD", path, nil).header.Get("ETag")
	t.want(t.do("GET", path, nil, "If-None-Match", etag), http.StatusNotModified)
	t.want(t.do("GET", path, nil, "If-None-Match", `"other"`), http.StatusOK)
	t.want(t.do("GET", path, nil, "If-Match", etag), http.StatusOK)
	t.want(t.do("GET", path, nil, "If-Match", `"other"`), http.StatusPreconditionFailed, "DENIED")
}

func emptyBlob(t *tester) {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		d := alg.FromBytes(nil)
		t.want(t.do("PUT", t.with(t.begin(), "digest", d.String()), nil), http.StatusCreated)
		t.wantBody(t.do("GET", t.path("/blobs/"+d.String()), nil), nil, d)
		t.wantHeader(t.want(t.do("HEAD", t.path("/blobs/"+d.String()), nil), http.StatusOK), "Content-Length", "0")
	}
}

// The bytes of a manifest may be pushed as a blob before, and are still one.
func manifestAsBlob(t *tester) {
	m := t.image("one")
	desc := t.blob(oci.MediaTypeOctets, t.json(m))
	t.push(m, oci.MediaTypeManifest, "v1")
	t.wantHeader(t.want(t.do("GET", t.path("/manifests/v1"), nil), http.StatusOK), "Content-Type", oci.MediaTypeManifest)
	t.wantBody(t.do("GET", t.path("/blobs/"+desc.Digest.String()), nil), t.json(m), desc.Digest)
}
