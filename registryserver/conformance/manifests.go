package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"dist.example/oci"
)

func manifestChecks() []check {
	return []check{
		{"put-by-tag", func(t *tester) { t.putsManifest("v1") }},
		{"put-by-digest", func(t *tester) { t.putsManifest("") }},
		{"exact-bytes", exactBytes},
		{"tag-moves", tagMoves},
		{"wrong-digest", wrongManifestDigest},
		{"sha512", sha512Manifest},
		{"content-type-parameters", contentTypeParameters},
		{"content-type-missing", contentTypeMissing},
		{"content-type-differs", contentTypeDiffers},
		{"missing-blob", missingBlob},
		{"malformed", malformedManifest},
		{"unknown-algorithm", unknownAlgorithm},
		{"four-mebibytes", fourMebibytes},
		{"too-large", tooLargeManifest},
		{"conditions", conditionsOfAPut},
	}
}

func (t *tester) putsManifest(tag string) {
	data := t.json(t.image("one"))
	d := oci.DigestBytes(data)
	if tag == "" {
		tag = d.String()
	}
	t.created(t.put(tag, oci.MediaTypeManifest, data), data, d)
	t.wantBody(t.do("GET", t.path("/manifests/"+d.String()), nil), data, d)
}

// Spaces, order and what nobody knows stay as they were written.
func exactBytes(t *tester) {
	m := t.image("one")
	data := fmt.Appendf(nil, "{ \"zzz\":\t[1.50, {\"<&>\":null}],\n\"layers\":%s , \"config\": %s,\n \"mediaType\":%q, \"schemaVersion\":2}\n\n",
		t.json(m.Layers), t.json(m.Config), oci.MediaTypeManifest)
	t.created(t.put("v1", oci.MediaTypeManifest, data), data, oci.DigestBytes(data))
	t.wantBody(t.do("GET", t.path("/manifests/v1"), nil), data, oci.DigestBytes(data))
}

func tagMoves(t *tester) {
	one := t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	two := t.push(t.image("two"), oci.MediaTypeManifest, "v1")
	t.wantHeader(t.do("HEAD", t.path("/manifests/v1"), nil), "Docker-Content-Digest", two.Digest.String())
	t.want(t.do("HEAD", t.path("/manifests/"+one.Digest.String()), nil), http.StatusOK)
}

func wrongManifestDigest(t *tester) {
	data, wrong := t.json(t.image("one")), t.absent("").Digest.String()
	t.want(t.put(wrong, oci.MediaTypeManifest, data), http.StatusBadRequest, "DIGEST_INVALID")
	t.want(t.do("GET", t.path("/manifests/"+wrong), nil), http.StatusNotFound)
}

// A manifest of sha512 has blobs of sha512, is listed by an index of sha512, and is
// the subject of another.
func sha512Manifest(t *tester) {
	put := func(v any, mediaType string) oci.Descriptor {
		data := t.json(v)
		d := oci.SHA512.FromBytes(data)
		t.created(t.put(d.String(), mediaType, data), data, d)
		return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
	}
	layer := t.own("layer")
	d := oci.SHA512.FromBytes(layer)
	t.want(t.do("PUT", t.with(t.begin(), "digest", d.String()), bytes.NewReader(layer)), http.StatusCreated)
	m := t.image("one")
	m.Layers = []oci.Descriptor{{MediaType: oci.MediaTypeLayer, Digest: d, Size: int64(len(layer))}}
	image := put(m, oci.MediaTypeManifest)
	put(indexOf(image), oci.MediaTypeIndex)
	about := t.image("about")
	about.Subject = &image
	put(about, oci.MediaTypeManifest)
}

func contentTypeParameters(t *tester) {
	data := t.json(t.image("one"))
	t.want(t.put("v1", oci.MediaTypeManifest+"; charset=utf-8", data), http.StatusCreated)
	t.wantHeader(t.do("GET", t.path("/manifests/v1"), nil), "Content-Type", oci.MediaTypeManifest)
}

func contentTypeMissing(t *tester) {
	data := t.json(t.image("one"))
	t.want(t.do("PUT", t.path("/manifests/v1"), bytes.NewReader(data)), http.StatusCreated)
	t.wantHeader(t.do("GET", t.path("/manifests/v1"), nil), "Content-Type", oci.MediaTypeManifest)
}

func contentTypeDiffers(t *tester) {
	data := t.json(t.image("one"))
	for _, mediaType := range []string{oci.MediaTypeIndex, oci.MediaTypeDockerManifest, "text/html"} {
		t.want(t.put("v1", mediaType, data), http.StatusBadRequest, "MANIFEST_INVALID")
	}
	t.want(t.do("GET", t.path("/manifests/v1"), nil), http.StatusNotFound)
}

func missingBlob(t *tester) {
	noLayer, noConfig, odd := t.image("one"), t.image("two"), t.image("three")
	noLayer.Layers = append(noLayer.Layers, t.absent(oci.MediaTypeLayer))
	noConfig.Config = t.absent(oci.MediaTypeImageConfig)
	odd.Config = t.absent("application/vnd.oci.image.layer.nondistributable.v1.tar") // of layers alone that says something
	for _, m := range []oci.Manifest{noLayer, noConfig, odd} {
		t.want(t.put("v1", oci.MediaTypeManifest, t.json(m)), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		t.want(t.do("GET", t.path("/manifests/v1"), nil), http.StatusNotFound)
	}
}

func malformedManifest(t *tester) {
	whole := string(t.json(t.image("one")))
	with := func(fields string) string {
		return strings.Replace(whole, `"schemaVersion":2`, fields, 1)
	}
	for _, data := range []string{
		"", "{", "[]", "null", whole + whole, with(`"schemaVersion":3`),
		with(`"schemaVersion":2,"annotations":{"key":1}`), with(`"schemaVersion":2,"artifactType":{}`),
	} {
		t.want(t.put("v1", oci.MediaTypeManifest, []byte(data)), http.StatusBadRequest, "MANIFEST_INVALID")
	}
	t.want(t.do("GET", t.path("/manifests/v1"), nil), http.StatusNotFound)
}

// What has a digest that nobody here can verify is in no manifest.
func unknownAlgorithm(t *tester) {
	odd := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.Digest("blake3:" + strings.Repeat("a", 64)), Size: 3}
	m := t.image("one")
	m.Subject = &odd
	t.want(t.put("v1", oci.MediaTypeManifest, t.json(m)), http.StatusBadRequest, "MANIFEST_INVALID")
	t.want(t.put("v1", oci.MediaTypeIndex, t.json(indexOf(odd))), http.StatusBadRequest, "MANIFEST_INVALID")
}

// sized is a manifest of exactly so many bytes.
func (t *tester) sized(size int) []byte {
	t.Helper()
	m := t.image("one")
	m.Annotations = map[string]string{"pad": ""}
	m.Annotations["pad"] = strings.Repeat("x", size-len(t.json(m)))
	return t.json(m)
}

func fourMebibytes(t *tester) {
	data := t.sized(4 << 20)
	t.created(t.put("v1", oci.MediaTypeManifest, data), data, oci.DigestBytes(data))
}

func tooLargeManifest(t *tester) {
	data := t.sized(4<<20 + 1)
	t.want(t.put("v1", oci.MediaTypeManifest, data), http.StatusRequestEntityTooLarge, "SIZE_INVALID")
	a := t.do("PUT", t.path("/manifests/v1"), io.MultiReader(bytes.NewReader(data)), "Content-Type", oci.MediaTypeManifest)
	t.want(a, http.StatusRequestEntityTooLarge, "SIZE_INVALID")
	t.want(t.do("GET", t.path("/manifests/v1"), nil), http.StatusNotFound)
}

func conditionsOfAPut(t *tester) {
	put := func(text string, header ...string) answer {
		t.Helper()
		header = append(header, "Content-Type", oci.MediaTypeManifest)
		return t.do("PUT", t.path("/manifests/v1"), bytes.NewReader(t.json(t.image(text))), header...)
	}
	t.want(put("one", "If-Match", "*"), http.StatusPreconditionFailed)
	t.want(put("one", "If-None-Match", "*"), http.StatusCreated)
	etag := t.do("HEAD", t.path("/manifests/v1"), nil).header.Get("ETag")
	t.want(put("two", "If-None-Match", "*"), http.StatusPreconditionFailed)
	t.want(put("two", "If-Match", etag), http.StatusCreated)
	t.want(put("three", "If-Match", etag), http.StatusPreconditionFailed)
	etag = t.do("HEAD", t.path("/manifests/v1"), nil).header.Get("ETag")
	t.want(put("three", "If-None-Match", `"other", W/`+etag), http.StatusPreconditionFailed)
	t.want(put("three", "If-Match", "W/"+etag), http.StatusPreconditionFailed)
	// By digest they are about that manifest, and not about the tags that come along.
	m := t.image("four")
	data := t.json(m)
	byDigest := func(header ...string) answer {
		header = append(header, "Content-Type", oci.MediaTypeManifest)
		return t.do("PUT", t.path("/manifests/"+oci.DigestBytes(data).String()+"?tag=v1"), bytes.NewReader(data), header...)
	}
	t.want(byDigest("If-Match", "*"), http.StatusPreconditionFailed)
	t.wantHeader(t.do("HEAD", t.path("/manifests/v1"), nil), "ETag", etag)
	t.want(byDigest("If-None-Match", "*"), http.StatusCreated)
	t.want(byDigest("If-None-Match", "*"), http.StatusPreconditionFailed)
}
