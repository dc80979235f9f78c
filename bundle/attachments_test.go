package bundle

import (
	"os"
	"path/filepath"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// shelfOf is a heap with a list of manifests, each with the annotations that are
// given for it; they come back in that order.
func shelfOf(t *testing.T, annotations ...map[string]string) (*heap, []oci.Descriptor) {
	t.Helper()
	h := &heap{blobs: map[oci.Digest][]byte{}, opens: func(int) {}}
	var list []oci.Descriptor
	for i, a := range annotations {
		m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: oci.Describe(oci.MediaTypeImageConfig, []byte{byte(i)}), Layers: []oci.Descriptor{}}
		m.SchemaVersion = 2
		data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
		if err != nil {
			t.Fatal(err)
		}
		h.blobs[desc.Digest] = data
		desc.Annotations = a
		list = append(list, desc)
	}
	data, _, err := oci.Encode(oci.MediaTypeIndex, indexOf(list))
	if err != nil {
		t.Fatal(err)
	}
	h.index = data
	return h, list
}

func indexOf(list []oci.Descriptor) oci.Index {
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: list}
	x.SchemaVersion = 2
	return x
}

func listAttachments(t *testing.T, h *heap, subject oci.Digest) (found []content.Attachment) {
	t.Helper()
	s, err := newSource(place{path: "p"}, h)
	if err != nil {
		t.Fatal(err)
	}
	for a, err := range s.Attachments(t.Context(), subject) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, a)
	}
	return found
}

func TestAttachmentsAreListedByTheirTags(t *testing.T) {
	t.Parallel()
	subject := oci.DigestBytes([]byte("subject"))
	tag := func(suffix string) map[string]string {
		return map[string]string{oci.AnnotationRefName: oci.AttachmentTag(subject, suffix)}
	}
	full := map[string]string{annotationName: "r.example/app:" + oci.AttachmentTag(subject, oci.SuffixSBOM)}
	h, list := shelfOf(t, map[string]string{oci.AnnotationRefName: "v1"}, full, tag(oci.SuffixAttestation), tag(oci.SuffixSignature))
	found := listAttachments(t, h, subject)
	if len(found) != 3 || found[0].Digest != list[3].Digest || found[1].Digest != list[2].Digest || found[2].Digest != list[1].Digest {
		t.Errorf("found %+v", found)
	}
	if found := listAttachments(t, h, list[0].Digest); len(found) != 0 {
		t.Errorf("of another: %+v", found)
	}
	delete(h.blobs, list[3].Digest)
	if found := listAttachments(t, h, subject); len(found) != 2 {
		t.Errorf("without the signature's manifest: %+v", found)
	}
}

func TestCosignsLayoutsAreUnderstood(t *testing.T) {
	t.Parallel()
	kind := func(s string) map[string]string { return map[string]string{"kind": "dev.cosignproject.cosign/" + s} }
	h, list := shelfOf(t, kind("image"), kind("sigs"), kind("atts"))
	found := listAttachments(t, h, list[0].Digest)
	if len(found) != 2 || found[0].Digest != list[1].Digest || found[0].Suffix != "sig" || found[1].Digest != list[2].Digest || found[1].Suffix != "att" {
		t.Errorf("found %+v", found)
	}
	s, err := newSource(place{path: "p"}, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, desc, err := s.Image(t.Context()); err != nil || desc.Digest != list[0].Digest {
		t.Errorf("the image is %s, %v", desc.Digest, err)
	}
	h, list = shelfOf(t, kind("image"), kind("image"), kind("sigs"))
	if found := listAttachments(t, h, list[0].Digest); len(found) != 0 {
		t.Errorf("of one among several: %+v", found)
	}
}

// cosign save leaves bundles among the blobs of the folder, and lists the image alone.
func TestBundlesAreFoundInCosignsLayouts(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"dev.cosignproject.cosign/image", "dev.cosignproject.cosign/imageIndex", "", "something/else"} {
		dir, image, referrer := savedLayout(t, kind)
		want := 0
		if filepath.Dir(kind) == "dev.cosignproject.cosign" {
			want = 1
		}
		f, err := openFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSource(place{path: dir}, f)
		if err != nil {
			t.Fatal(err)
		}
		var found []oci.Digest
		for r, err := range s.Referrers(t.Context(), image, "") {
			if err != nil {
				t.Error(err)
			}
			found = append(found, r.Digest)
		}
		if len(found) != want || want == 1 && found[0] != referrer {
			t.Errorf("kind %q: found %v", kind, found)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// savedLayout is a folder that lists an image of a kind, has a referrer of that which
// nothing lists, and things besides that are no manifests.
func savedLayout(t *testing.T, kind string) (dir string, image, referrer oci.Digest) {
	t.Helper()
	h, list := shelfOf(t, map[string]string{"kind": kind})
	subject := list[0]
	subject.Annotations = nil
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: oci.Describe(oci.MediaTypeEmpty, []byte("{}")), Layers: []oci.Descriptor{}, Subject: &subject}
	m.SchemaVersion = 2
	data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{data, []byte("{}"), []byte("{ no JSON"), []byte("text"), nil} {
		h.blobs[oci.DigestBytes(blob)] = blob
	}
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256", "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion": "1.0.0"}`), "index.json": h.index, "blobs/sha256/other": data}
	for d, blob := range h.blobs {
		files[blobName(d)] = blob
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, subject.Digest, desc.Digest
}
