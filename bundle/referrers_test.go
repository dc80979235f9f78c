package bundle

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// heap is a shelf in memory that counts what is taken from it.
type heap struct {
	index  []byte
	blobs  map[oci.Digest][]byte
	opened int
	opens  func(n int) // told of each one that is
}

func (h *heap) document(name string, _ int64) ([]byte, error) {
	if name != "index.json" {
		return nil, content.ErrNotFound
	}
	return h.index, nil
}

func (h *heap) blob(d oci.Digest) (content.ReaderAt, error) {
	h.opened++
	h.opens(h.opened)
	return sectionOfBytes(h.blobs[d]), nil
}

func (h *heap) size(d oci.Digest) (int64, error) { return int64(len(h.blobs[d])), nil }
func (h *heap) unlisted([]entry) []oci.Digest    { return nil }
func (h *heap) Close() error                     { return nil }

// pile is a heap of so many referrers of one subject.
func pile(t *testing.T, n int) (*heap, oci.Digest) {
	t.Helper()
	subject := oci.Describe(oci.MediaTypeManifest, []byte("{}"))
	h := &heap{blobs: map[oci.Digest][]byte{}, opens: func(int) {}}
	var list []oci.Descriptor
	for i := range n {
		m := oci.Manifest{
			MediaType: oci.MediaTypeManifest, Config: subject, Layers: []oci.Descriptor{}, Subject: &subject,
			Annotations: map[string]string{"n": fmt.Sprint(i)},
		}
		m.Config.MediaType = "application/vnd.test.signature"
		m.SchemaVersion = 2
		data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
		if err != nil {
			t.Fatal(err)
		}
		h.blobs[desc.Digest] = data
		list = append(list, desc)
	}
	var err error
	if h.index, err = addTo(nil, list); err != nil {
		t.Fatal(err)
	}
	return h, subject.Digest
}

// Who gives up while referrers are looked for does not wait until all are found, and
// spoils nothing for the next one.
func TestALookForReferrersEndsWithItsContext(t *testing.T) {
	t.Parallel()
	const n = 50
	h, subject := pile(t, n)
	s, err := newSource(place{path: "p"}, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	h.opens = func(n int) {
		if n == 4 {
			cancel(enough)
		}
	}
	for _, err := range s.Referrers(ctx, subject, "") {
		if !errors.Is(err, enough) {
			t.Errorf("got %v, want its context's end", err)
		}
	}
	if h.opened > 5 {
		t.Errorf("%d manifests were looked at", h.opened)
	}
	all := map[string]bool{}
	for d, err := range s.Referrers(t.Context(), subject, "application/vnd.test.signature") {
		if err != nil {
			t.Fatal(err)
		}
		all[d.Annotations["n"]] = true
	}
	if len(all) != n {
		t.Errorf("then %d of %d were found", len(all), n)
	}
}

// What manifests say of themselves is not kept for all of them.
func TestReferrersAreKeptWithoutTheirAnnotations(t *testing.T) {
	t.Parallel()
	h, _ := pile(t, 3)
	s, err := newSource(place{path: "p"}, h)
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.findings(t.Context())
	if err != nil || len(found.referrers) != 3 {
		t.Fatalf("%d found: %v", len(found.referrers), err)
	}
	for _, r := range found.referrers {
		if r.Annotations != nil || r.ArtifactType != "" {
			t.Errorf("%v of %s is kept", r.Annotations, r.Digest)
		}
	}
	target := &layoutTarget{about: map[oci.Digest]referrer{}}
	for d, data := range h.blobs {
		target.note(oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: d}, data)
		if r := target.about[d]; r.Annotations != nil || r.subject == "" {
			t.Errorf("%v of %s is kept by a target", r.Annotations, d)
		}
	}
}
