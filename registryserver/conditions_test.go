package registryserver_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"dist.example/oci"
)

// A tag moves by compare-and-set when the request says what it has to be.
func TestConditionsOfATag(t *testing.T) {
	r := writable(t)
	put := func(layer string, header ...string) answer {
		t.Helper()
		data, err := json.Marshal(r.image(layer))
		if err != nil {
			t.Fatal(err)
		}
		return r.do("PUT", "/v2/app/manifests/v1", bytes.NewReader(data), append([]string{"Content-Type", oci.MediaTypeManifest}, header...)...)
	}
	etag := func() string {
		t.Helper()
		return r.do("HEAD", "/v2/app/manifests/v1", nil).header.Get("ETag")
	}
	other := `"` + oci.DigestBytes([]byte("other")).String() + `"`
	r.want(put("one", "If-Match", other), 412)
	r.want(put("one", "If-Match", "*"), 412)
	r.want(put("one", "If-None-Match", "*"), 201)
	first := etag()
	r.want(put("two", "If-None-Match", "*"), 412)
	r.want(put("two", "If-Match", other), 412)
	if etag() != first {
		t.Fatal("a refused manifest moved the tag")
	}
	r.want(put("two", "If-Match", other+", "+first), 201)
	r.want(put("three", "If-Match", first), 412)
	r.want(put("three", "If-None-Match", first), 201)
}
