package gc_test

import (
	"slices"
	"testing"
	"time"

	"dist.example/gc"
	"dist.example/oci"
)

// What a site says that it has is what the next collection there keeps, and is sound.
func TestReachedIsWhatNamesAndLeasesKeep(t *testing.T) {
	ctx := t.Context()
	s := open(t)
	big := noise(100_000, 1)
	kept := image(t, s, "r.example/a:1", nil, []byte("layer"), big)
	signature := image(t, s, "", &kept, []byte("about it"))
	gone := image(t, s, "r.example/b:1", nil, []byte("of no use"))
	remove(t, s, "r.example/b:1")
	leased := image(t, s, "", nil, []byte("kept by hand"))
	_, err := s.AddLease(ctx, "", time.Hour, leased.Digest)
	must(t, err)

	r, err := gc.Reach(ctx, s)
	must(t, err)
	for _, d := range []oci.Digest{kept.Digest, signature.Digest, leased.Digest, oci.DigestBytes(big), oci.DigestBytes([]byte("about it"))} {
		if !r.Digests.Has(d) {
			t.Errorf("%s is not reached", d)
		}
	}
	for _, d := range []oci.Digest{gone.Digest, oci.DigestBytes([]byte("of no use"))} {
		if r.Digests.Has(d) {
			t.Errorf("%s is reached", d)
		}
	}
	n := int64(0)
	for raw := range r.Digests.Raws() {
		d, err := oci.DigestFromRaw(raw)
		must(t, err)
		info, err := s.Info(ctx, d)
		must(t, err)
		n += info.Size
	}
	if n != r.Size {
		t.Errorf("%d bytes, and they are %d", r.Size, n)
	}

	spoil(t, s, big)
	if s.Check(ctx, oci.DigestBytes(big)) == nil {
		t.Fatal("the damage is not noticed")
	}
	after, err := gc.Reach(ctx, s)
	must(t, err)
	if after.Digests.Has(oci.DigestBytes(big)) || after.Digests.Len() != r.Digests.Len()-1 {
		t.Error("what is damaged is reached")
	}
	if after.Generation <= r.Generation {
		t.Errorf("generation %d after %d", after.Generation, r.Generation)
	}
	_, err = gc.Run(ctx, s, strict())
	must(t, err)
	last, err := gc.Reach(ctx, s)
	must(t, err)
	if !slices.EqualFunc(slices.Collect(last.Digests.Raws()), slices.Collect(after.Digests.Raws()), slices.Equal) {
		t.Error("a collection has taken something of what was reached")
	}
}
