package content_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
)

// onlyAsked is a Holder that has nothing a plan could write with.
type onlyAsked struct{ *target }

func (onlyAsked) Push(context.Context, oci.Descriptor, io.Reader) error {
	return errors.New("a plan writes")
}

// world is a source with an index of two images that share a layer, one of them
// with something about it.
func world(t *testing.T) (*library, oci.Descriptor) {
	src := newLibrary()
	a := src.manifest(t, nil, "shared", "one")
	b := src.manifest(t, nil, "shared", "two")
	root := src.index(t, a, b)
	list := src.about(t, a, "list of contents")
	src.about(t, list, "signature of the list")
	src.about(t, root, "signature")
	return src, root
}

func TestAPlanIsWhatCopyDoes(t *testing.T) {
	src, root := world(t)
	all := []oci.Digest{}
	for d := range src.blobs {
		all = append(all, d)
	}
	slices.Sort(all)
	from := []oci.Reference{{Registry: "r.example", Repository: "x"}}
	for _, referrers := range []bool{false, true} {
		for _, closed := range []bool{false, true} {
			for i := range len(all) + 1 {
				dst := newTarget()
				dst.closed = closed
				for _, d := range all[:i] {
					dst.held[d] = true
				}
				dst.mounts = map[oci.Digest]bool{oci.DigestBytes([]byte("two")): true}
				opts := content.CopyOptions{Referrers: referrers, MountFrom: func(d oci.Descriptor) []oci.Reference {
					if dst.mounts[d.Digest] {
						return from
					}
					return nil
				}}
				plan, err := content.PlanCopy(t.Context(), onlyAsked{dst}, src, root, opts)
				if err != nil {
					t.Fatal(err)
				}
				if len(dst.pushed) != 0 {
					t.Fatal("the plan pushed")
				}
				stats, err := content.Copy(t.Context(), dst, src, root, opts)
				if err != nil {
					t.Fatal(err)
				}
				planned(t, fmt.Sprintf("referrers %v, closed %v, %d held", referrers, closed, i), plan, stats)
			}
		}
	}
}

func planned(t *testing.T, what string, plan content.Plan, stats content.Stats) {
	t.Helper()
	if plan.MoveBytes != stats.MovedBytes || plan.HeldBytes != stats.ReusedBytes || plan.Referrers != stats.Referrers {
		t.Errorf("%s: planned %d and %d bytes, %d referrers, but it was %+v", what, plan.MoveBytes, plan.HeldBytes, plan.Referrers, stats)
	}
	var move, held int64
	objects := 0
	for _, i := range plan.Items {
		move += i.Move
		if i.Action == content.PlanHeld || i.Action == content.PlanMount {
			held += i.Descriptor.Size
		}
		objects++
	}
	if move != plan.MoveBytes || held != plan.HeldBytes || objects != stats.MovedBlobs+stats.ReusedBlobs {
		t.Errorf("%s: the items say %d and %d bytes of %d objects, the sums %d and %d, the copy %+v",
			what, move, held, objects, plan.MoveBytes, plan.HeldBytes, stats)
	}
}

func TestAPlanKnowsAStoresParts(t *testing.T) {
	layer := bytes.Repeat([]byte("layer"), 1000)
	for _, tc := range []struct {
		name   string
		source func(*library) content.Fetcher
		want   content.PlanAction
	}{
		{"from a source that can start in the middle", func(l *library) content.Fetcher { return l }, content.PlanResume},
		{"from one that cannot", func(l *library) content.Fetcher { return plainSource{l} }, content.PlanMove},
	} {
		src, dst := newLibrary(), memory.New()
		root := src.manifest(t, nil, string(layer), "small")
		desc := descOf(layer)
		w, err := dst.Writer(t.Context(), content.IngestOptions{Key: desc.Digest.String(), Expected: desc.Digest, Total: desc.Size})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(layer[:1234]); err != nil {
			t.Fatal(err)
		}
		w.Close()
		plan, err := content.PlanCopy(t.Context(), content.HeldBy(dst), tc.source(src), root, content.CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(plan.Items, func(i content.PlanItem) bool { return i.Descriptor.Digest == desc.Digest })
		if i < 0 || plan.Items[i].Action != tc.want {
			t.Errorf("%s: %+v", tc.name, plan.Items)
		}
		if st, err := dst.Status(t.Context(), desc.Digest.String()); err != nil || st.Offset != 1234 {
			t.Errorf("%s: the part has changed: %+v, %v", tc.name, st, err)
		}
		stats, err := content.Copy(t.Context(), pushes{dst}, tc.source(src), root, content.CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		planned(t, tc.name, plan, stats)
		plan, err = content.PlanCopy(t.Context(), content.HeldBy(dst), tc.source(src), root, content.CopyOptions{})
		if err != nil || plan.MoveBytes != 0 || plan.Requests != 0 {
			t.Errorf("%s: when all is there the plan is %+v, %v", tc.name, plan, err)
		}
	}
}

func TestAPlanMeetsTheErrorsOfTheCopy(t *testing.T) {
	src, dst := newLibrary(), newTarget()
	root := src.add(oci.MediaTypeManifest, []byte(`{"schemaVersion":2,"config":{}}`))
	if _, err := content.PlanCopy(t.Context(), dst, src, root, content.CopyOptions{}); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
}
