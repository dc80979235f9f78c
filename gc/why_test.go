package gc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// chains are what keeps an object, each in a line: what it begins with, and what the
// objects down to it are.
func chains(t testing.TB, s *blobstore.Store, o gc.WhyOptions, d oci.Digest) ([]string, int64) {
	t.Helper()
	found, err := gc.Why(ctx, s, o, d)
	must(t, err)
	var lines []string
	for _, c := range found[0].Chains {
		words := []string{fmt.Sprint(c.Root.Reason), c.Root.Name + c.Root.Lease.Note}
		for _, l := range c.Links {
			words = append(words, l.Role.String())
		}
		if last := c.Links[len(c.Links)-1]; last.Digest != d {
			t.Errorf("a chain to %s ends at %s", d, last.Digest)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines, found[0].More
}

func TestWhyTellsEveryChain(t *testing.T) {
	s := open(t)
	shared := noise(1000, 1)
	a := image(t, s, "example.com/a:1", nil, shared)
	b := image(t, s, "example.com/b:1", nil, shared, noise(1000, 2))
	must(t, s.SetNames(ctx, content.NameChange{Reference: ref(t, "example.com/a:also"), Target: a.Digest, Why: "test"}))
	signature := image(t, s, "", &a, noise(1000, 3))
	loose := image(t, s, "", nil, noise(1000, 4))
	_, err := s.AddLease(ctx, "audit", time.Hour, b.Digest)
	must(t, err)
	top := fmt.Sprint(oci.Role(0))

	for _, c := range []struct {
		what string
		d    oci.Digest
		want []string
	}{
		{"a layer of two images", oci.DigestBytes(shared), []string{
			"names example.com/a:1 " + top + " layer", "names example.com/a:also " + top + " layer",
			"names example.com/b:1 " + top + " layer", "leases audit " + top + " layer",
		}},
		{"an image", a.Digest, []string{"names example.com/a:1 " + top, "names example.com/a:also " + top}},
		{"a layer of a signature", oci.DigestBytes(noise(1000, 3)), []string{
			"names example.com/a:1 " + top + " subject layer", "names example.com/a:also " + top + " subject layer",
		}},
		{"a signature", signature.Digest, []string{"names example.com/a:1 " + top + " subject", "names example.com/a:also " + top + " subject"}},
		{"what nothing keeps", loose.Digest, nil},
		{"a part of what nothing keeps", oci.DigestBytes(noise(1000, 4)), nil},
	} {
		if got, more := chains(t, s, gc.WhyOptions{}, c.d); !slices.Equal(got, c.want) || more != 0 {
			t.Errorf("%s: %q and %d more, want %q", c.what, got, more, c.want)
		}
	}

	remove(t, s, "example.com/a:also")
	got, _ := chains(t, s, gc.WhyOptions{KeepHistory: time.Hour}, a.Digest)
	if want := []string{"names example.com/a:1 " + top, "history example.com/a:also " + top}; !slices.Equal(got, want) {
		t.Errorf("with history %q, want %q", got, want)
	}
	got, _ = chains(t, s, gc.WhyOptions{Grace: time.Hour}, oci.DigestBytes(noise(1000, 4)))
	if want := []string{"grace  " + top, "grace  " + top + " layer"}; !slices.Equal(got, want) {
		t.Errorf("within the grace %q, want %q", got, want)
	}
	got, more := chains(t, s, gc.WhyOptions{Chains: 1}, oci.DigestBytes(shared))
	if len(got) != 1 || more != 2 {
		t.Errorf("one chain and how many more: %q and %d", got, more)
	}
	if _, err := gc.Why(ctx, s, gc.WhyOptions{}, a.Digest, oci.DigestBytes([]byte("nobody has it"))); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("what is not here: %v", err)
	}
}

// What Why finds and what a collection keeps is the same, for every object.
func TestWhyAgreesWithACollection(t *testing.T) {
	s := open(t)
	shared := noise(1000, 1)
	kept := image(t, s, "example.com/a:1", nil, shared)
	image(t, s, "", &kept, noise(1000, 2))
	image(t, s, "", nil, shared, noise(1000, 3))
	image(t, s, "example.com/b:1", nil, noise(1000, 4))
	remove(t, s, "example.com/b:1")
	leased := image(t, s, "", nil, noise(1000, 5))
	_, err := s.AddLease(ctx, "audit", time.Hour, leased.Digest)
	must(t, err)
	var all, keeps []oci.Digest
	for i, err := range s.All(ctx) {
		must(t, err)
		all = append(all, i.Digest)
	}
	found, err := gc.Why(ctx, s, gc.WhyOptions{}, all...)
	must(t, err)
	for _, e := range found {
		if len(e.Chains) > 0 {
			keeps = append(keeps, e.Object.Digest)
		}
	}
	run(t, s, strict())
	for _, d := range all {
		if slices.Contains(keeps, d) != held(t, s, d) {
			t.Errorf("%s: why says %v, and the collection did otherwise", d, slices.Contains(keeps, d))
		}
	}
}
