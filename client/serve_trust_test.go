package client

import (
	"path/filepath"
	"testing"

	"dist.example/blobstore"
	"dist.example/oci"
)

func TestATagForReferrersIsNoWayAroundThePolicy(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := New(Options{Store: filepath.Join(t.TempDir(), "store")})
	t.Cleanup(func() { _ = c.Close() })
	s, err := c.Init(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer ses.Close()
	put := func(mediaType string, data []byte) oci.Descriptor {
		t.Helper()
		if _, err := ses.Put(ctx, blobstore.Blob{Data: data, MediaType: mediaType}); err != nil {
			t.Fatal(err)
		}
		return oci.Describe(mediaType, data)
	}
	manifest := func(layerType string) oci.Descriptor {
		t.Helper()
		m := oci.Manifest{
			MediaType: oci.MediaTypeManifest, Config: put(oci.MediaTypeEmpty, []byte("{}")),
			Layers: []oci.Descriptor{put(layerType, []byte(layerType))},
		}
		m.SchemaVersion = 2
		data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
		if err != nil {
			t.Fatal(err)
		}
		put(oci.MediaTypeManifest, data)
		return desc
	}
	document, image := manifest("text/spdx"), manifest("application/vnd.oci.image.layer.v1.tar+gzip")
	absent := oci.Describe(oci.MediaTypeManifest, []byte("{}"))
	name := oci.Reference{Registry: "r.example", Repository: "app", Tag: "sha256-" + image.Digest.Encoded()}
	for what, list := range map[string][]oci.Descriptor{
		"documents":               {document},
		"an image":                {document, image},
		"what is not here so far": {absent},
	} {
		x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: list}
		x.SchemaVersion = 2
		data, desc, err := oci.Encode(oci.MediaTypeIndex, x)
		if err != nil {
			t.Fatal(err)
		}
		put(oci.MediaTypeIndex, data)
		if err := ses.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		about, err := isAbout(ctx, s, name, desc)
		if err != nil || about != (what == "documents") {
			t.Errorf("a list of %s is taken for one of referrers: %t, %v", what, about, err)
		}
	}
}
