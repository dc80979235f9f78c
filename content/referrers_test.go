package content_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// library is a source that tells what is about its manifests, and can lie.
type library struct {
	*source
	lists  map[oci.Digest][]oci.Descriptor
	fails  error // every list ends with it
	listed []oci.Digest
}

func newLibrary() *library {
	return &library{source: newSource(), lists: map[oci.Digest][]oci.Descriptor{}}
}

func (l *library) Referrers(_ context.Context, subject oci.Digest, _ string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		l.mu.Lock()
		l.listed = append(l.listed, subject)
		found := l.lists[subject]
		l.mu.Unlock()
		for _, d := range found {
			if !yield(d, nil) {
				return
			}
		}
		if l.fails != nil {
			yield(oci.Descriptor{}, l.fails)
		}
	}
}

// about adds a manifest with a layer whose subject is another, and lists it.
func (l *library) about(t *testing.T, subject oci.Descriptor, layer string) oci.Descriptor {
	t.Helper()
	d := l.manifest(t, &oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}, layer)
	l.lists[subject.Digest] = append(l.lists[subject.Digest], d)
	return d
}

func (l *library) index(t *testing.T, manifests ...oci.Descriptor) oci.Descriptor {
	t.Helper()
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: manifests}
	x.SchemaVersion = 2
	return l.add(oci.MediaTypeIndex, encode(t, x))
}

func TestCopyBringsWhatIsAboutTheGraph(t *testing.T) {
	src := newLibrary()
	a, b := src.manifest(t, nil, "one"), src.manifest(t, nil, "two")
	root := src.index(t, a, b)
	signature := src.about(t, root, "signature")
	list := src.about(t, a, "list of contents")
	signed := src.about(t, list, "signature of the list")
	for _, with := range []bool{false, true} {
		dst := newTarget()
		stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: with})
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{false: 0, true: 3}[with]
		if stats.Referrers != want || dst.held[signature.Digest] != with || dst.held[signed.Digest] != with {
			t.Errorf("referrers asked for %v: %d came, want %d", with, stats.Referrers, want)
		}
		if with {
			order := []oci.Digest{root.Digest, list.Digest, signed.Digest}
			at := func(d oci.Digest) int { return slices.Index(dst.pushed, d) }
			if at(order[0]) > at(order[1]) || at(order[1]) > at(order[2]) || at(root.Digest) > at(signature.Digest) {
				t.Errorf("a referrer came before its subject")
			}
		} else if len(src.listed) != 0 {
			t.Errorf("asked for referrers of %v", src.listed)
		}
	}
}

func TestCopyCountsAReferrerOfTwoPlacesOnce(t *testing.T) {
	src, dst := newLibrary(), newTarget()
	root := src.manifest(t, nil, "one")
	signature := src.about(t, root, "signature")
	src.lists[root.Digest] = append(src.lists[root.Digest], signature)
	src.lists[signature.Digest] = nil
	stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
	if err != nil || stats.Referrers != 1 || len(dst.pushed) != 5 {
		t.Errorf("%d referrers, pushed %d, want 1 and 5; %v", stats.Referrers, len(dst.pushed), err)
	}
}

func TestCopyLooksForReferrersOfWhatAClosedTargetHas(t *testing.T) {
	src := newLibrary()
	a, b := src.manifest(t, nil, "one"), src.manifest(t, nil, "two")
	root := src.index(t, a, b)
	signature := src.about(t, root, "signature")
	list := src.about(t, a, "list of contents")
	other := src.about(t, b, "of what is not wanted")
	dst := newTarget()
	dst.closed, dst.held[root.Digest] = true, true
	stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{
		Referrers: true,
		Children: func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
			if parent.Digest == root.Digest {
				edges = edges[:1]
			}
			return edges, nil
		},
	})
	if err != nil || stats.Referrers != 2 {
		t.Fatalf("%d referrers, want 2; %v", stats.Referrers, err)
	}
	if !dst.held[signature.Digest] || !dst.held[list.Digest] || dst.held[other.Digest] || dst.held[a.Digest] {
		t.Errorf("pushed %v", dst.pushed)
	}
}

func TestCopyRefusesReferrersThatAreNone(t *testing.T) {
	stranger := func(t *testing.T, src *library, root oci.Descriptor) {
		src.lists[root.Digest] = []oci.Descriptor{src.manifest(t, nil, "about nothing")}
	}
	blob := func(_ *testing.T, src *library, root oci.Descriptor) {
		src.lists[root.Digest] = []oci.Descriptor{src.add("application/vnd.example.artifact+json", []byte("{}"))}
	}
	absent := func(_ *testing.T, src *library, root oci.Descriptor) {
		src.lists[root.Digest] = []oci.Descriptor{{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes(nil), Size: 5}}
	}
	many := func(_ *testing.T, src *library, root oci.Descriptor) {
		for i := range content.MaxReferrers + 1 {
			p := fmt.Sprint(i)
			src.lists[root.Digest] = append(src.lists[root.Digest], descOf([]byte(p)))
		}
	}
	for _, tc := range []struct {
		name  string
		spoil func(*testing.T, *library, oci.Descriptor)
		want  error
	}{
		{"about something else", stranger, content.ErrCorrupt},
		{"no manifest", blob, content.ErrUnsupported},
		{"not there", absent, content.ErrNotFound},
		{"too many", many, content.ErrUnsupported},
		{"the list fails", func(_ *testing.T, src *library, _ oci.Descriptor) { src.fails = content.ErrUnavailable }, content.ErrUnavailable},
		{"no list", func(_ *testing.T, src *library, _ oci.Descriptor) { src.fails = content.ErrNotFound }, nil},
		{"no lists at all", func(_ *testing.T, src *library, _ oci.Descriptor) { src.fails = content.ErrUnsupported }, nil},
	} {
		src, dst := newLibrary(), newTarget()
		root := src.manifest(t, nil, "one")
		tc.spoil(t, src, root)
		_, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{Referrers: true})
		if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if !dst.held[root.Digest] {
			t.Errorf("%s: the root was not copied", tc.name)
		}
	}
}

// FetchFrom is not what every source has.
type plainSource struct{ s *library }

func (p plainSource) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	return p.s.Fetch(ctx, desc)
}
