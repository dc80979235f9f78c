package contenttest

import (
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

var manifestPromises = []promise{
	{"ManifestsKeepTheirBytesAndType", func(f *fixture) {
		m, _ := f.parts(1)
		for _, note := range []string{"", strings.Repeat("long ", 100_000)} {
			m.Annotations = map[string]string{"note": note}
			data := asJSON(m)
			desc := f.put(oci.MediaTypeManifest, data)
			f.holds(desc.Digest, data)
			info, err := f.Info(f.Context(), desc.Digest)
			f.must(err)
			if info.MediaType != oci.MediaTypeManifest {
				f.Errorf("the manifest is held as %q", info.MediaType)
			}
		}
	}},
	{"AManifestMayComeBeforeItsChildren", func(f *fixture) {
		m := manifestOf(absent(oci.MediaTypeImageConfig, 1), absent(oci.MediaTypeLayer, 2))
		data := asJSON(m)
		f.holds(f.put(oci.MediaTypeManifest, data).Digest, data)
		for _, info := range f.all() {
			if info.Digest != oci.DigestBytes(data) {
				f.Errorf("All lists %s, which is only mentioned", info.Digest)
			}
		}
		f.lacks(m.Config.Digest)
	}},
	{"AMalformedManifestIsRefused", func(f *fixture) {
		child := absent(oci.MediaTypeLayer, 1)
		both := `{"schemaVersion":2,"config":` + string(asJSON(child)) + `,"layers":[],"manifests":[]}`
		bad := map[string]string{
			`{"schemaVersion":2`:                       oci.MediaTypeManifest,
			`{"schemaVersion":2,"layers":[]}`:          oci.MediaTypeManifest,
			`{"schemaVersion":1,"manifests":[]}`:       oci.MediaTypeIndex,
			string(asJSON(manifestOf(child))):          oci.MediaTypeIndex,
			string(asJSON(indexOf(child))):             oci.MediaTypeManifest,
			both:                                       oci.MediaTypeManifest,
			`<html>not found</html>`:                   oci.MediaTypeIndex,
			string(asJSON(indexOf(child))) + `{"x":1}`: oci.MediaTypeIndex,
		}
		for doc, mediaType := range bad {
			w := f.writer(content.IngestOptions{Expected: oci.DigestBytes([]byte(doc)), Total: int64(len(doc)), MediaType: mediaType})
			f.write(w, []byte(doc))
			if _, err := w.Commit(f.Context()); err == nil {
				f.Errorf("Commit takes %s as %s", doc, mediaType)
			} else {
				f.want(content.ErrInvalid, err)
			}
			f.must(w.Close())
			f.lacks(oci.DigestBytes([]byte(doc)))
		}
	}},
	{"AnOpaqueDocumentIsNotLookedAt", func(f *fixture) {
		data := []byte(`{"schemaVersion":2,"mediaType":"x"`)
		f.holds(f.put(oci.MediaTypeJSON, data).Digest, data)
	}},
	{"WhatWasABlobCanComeAgainAsAManifest", func(f *fixture) {
		m, blobs := f.parts(1)
		m.Layers = append(m.Layers, absent(oci.MediaTypeLayer, 2))
		data := asJSON(m)
		f.put(octets, data)
		desc := f.put(oci.MediaTypeManifest, data)
		f.holds(desc.Digest, data)
		// Its edges count from now on.
		f.want(content.ErrNotFound, f.setName("docker.io/library/a:v1", desc.Digest))
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), blobs[0].Digest))
	}},
}
