package blobstore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// take writes what a receipt says, for a site that takes any.
func take(t testing.TB, s *blobstore.Store, site string, serial int64, raws [][]byte, judge func(*blobstore.Site) error) error {
	t.Helper()
	w, err := s.NewInventory(t.Context())
	must(t, err)
	must(t, w.AddName("example.com/a:1", oci.DigestBytes([]byte("a"))))
	for _, raw := range raws {
		must(t, w.AddRaw(raw))
	}
	_, err = s.TakeReceipt(t.Context(), site, oci.DigestBytes(fmt.Append(nil, serial)), w, func(site *blobstore.Site) error {
		site.Store, site.Serial, site.Made = "u", serial, time.UnixMilli(serial).UTC()
		return judge(site)
	})
	return err
}

func anySite(*blobstore.Site) error { return nil }

// raws are n digests in order, the last of them of sha512.
func raws(n int) (all [][]byte) {
	for i := range n - 1 {
		raw := make([]byte, 33)
		raw[0] = 1
		binary.BigEndian.PutUint32(raw[1:], uint32(i)*7)
		all = append(all, raw)
	}
	return append(all, append([]byte{2}, make([]byte, 64)...))
}

func digestOf(t testing.TB, raw []byte) oci.Digest {
	t.Helper()
	d, err := oci.DigestFromRaw(raw)
	must(t, err)
	return d
}

// A site has what its last receipt says, all of it or what it had before.
func TestASiteHasWhatItsReceiptSays(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	if err := take(t, s, "plant", 1, raws(3), anySite); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a receipt of nobody: %v", err)
	}
	_, err := s.AddSite(ctx, blobstore.Site{Name: "plant", Note: "n"})
	must(t, err)
	if _, err := s.AddSite(ctx, blobstore.Site{Name: "plant"}); !errors.Is(err, content.ErrExists) {
		t.Errorf("added twice: %v", err)
	}
	many := raws(20_000)
	must(t, take(t, s, "plant", 2, many, anySite))
	refused := errors.New("refused")
	if err := take(t, s, "plant", 1, raws(5), func(*blobstore.Site) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	site, err := s.Site(ctx, "plant")
	must(t, err)
	if site.Serial != 2 || site.Objects != 20_000 || site.Names != 1 || site.Store != "u" {
		t.Errorf("%+v", site)
	}
	set, err := s.InventoryDigests(ctx, site.Inventory)
	must(t, err)
	if set.Len() != len(many) {
		t.Errorf("%d digests", set.Len())
	}
	for _, raw := range many {
		if !set.Has(digestOf(t, raw)) {
			t.Fatalf("%x is not there", raw)
		}
	}
	must(t, take(t, s, "plant", 3, raws(4), anySite))
	site, err = s.Site(ctx, "plant")
	must(t, err)
	if set, err = s.InventoryDigests(ctx, site.Inventory); err != nil || set.Len() != 4 {
		t.Errorf("%d digests, %v", set.Len(), err)
	}
	_, err = s.ForgetSite(ctx, "plant")
	must(t, err)
	if _, err := s.ForgetSite(ctx, "plant"); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("forgotten twice: %v", err)
	}
}

// Sites and the last bundles outlive the catalog; what sites have does not.
func TestSitesOutliveTheCatalog(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := empty(t)
	s := open(t, dir)
	for _, name := range []string{"plant", "ship"} {
		_, err := s.AddSite(ctx, blobstore.Site{Name: name, Key: []byte{1}})
		must(t, err)
	}
	must(t, take(t, s, "plant", 9, raws(3), anySite))
	_, err := s.ForgetSite(ctx, "ship")
	must(t, err)
	d := oci.DigestBytes([]byte("index"))
	for serial := range int64(3) {
		must(t, s.RecordBundle(ctx, blobstore.Bundle{Direction: db.Sent, Name: "nightly", Serial: serial + 1, Digest: d, Site: "plant"}, []oci.Digest{d}, ""))
	}
	must(t, s.Close())
	if r := rebuild(t, dir); !r.Whole() {
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	var sites []blobstore.Site
	for site, err := range s.Sites(ctx) {
		must(t, err)
		sites = append(sites, site)
	}
	if len(sites) != 1 || sites[0].Name != "plant" || sites[0].Serial != 9 || sites[0].Store != "u" || len(sites[0].Key) != 1 || sites[0].Inventory != 0 {
		t.Errorf("%+v", sites)
	}
	var sent []blobstore.Bundle
	for b, err := range s.Bundles(ctx, db.Sent) {
		must(t, err)
		sent = append(sent, b)
	}
	if len(sent) != 1 || sent[0].Serial != 3 || sent[0].Digest != d || sent[0].Inventory != 0 {
		t.Errorf("%+v", sent)
	}
	// The same receipt tells again what it has.
	must(t, take(t, s, "plant", 9, raws(3), anySite))
	site, err := s.Site(ctx, "plant")
	if err != nil || site.Objects != 3 {
		t.Errorf("%+v, %v", site, err)
	}
	clean(t, s)
}

// The lease of what was sent ends in the transaction that notes it, and stays where there
// is none.
func TestALeaseEndsWithTheRecord(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	desc := mustStore(t, s, noise(1, 1000))
	nothing := func(why string) {
		for l, err := range s.AllLeases(ctx) {
			t.Errorf("%s: lease %+v, %v", why, l, err)
		}
		if files, err := os.ReadDir(filepath.Join(s.Dir(), "leases")); err != nil || len(files) > 0 {
			t.Errorf("%s: %v, %v", why, files, err)
		}
	}
	_, err := s.Acquire(ctx, "export", time.Hour, desc.Digest, oci.DigestBytes([]byte("of nobody")))
	want(t, content.ErrNotFound, err)
	nothing("what is not here")
	for _, name := range []string{"", "nightly"} { // the latter is noted in a pack, too
		l, err := s.Acquire(ctx, "export", time.Hour, desc.Digest)
		must(t, err)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		bundle := blobstore.Bundle{Direction: db.Sent, Name: name, Serial: 1, Digest: desc.Digest}
		want(t, context.Canceled, s.RecordBundle(gone, bundle, []oci.Digest{desc.Digest}, l.ID))
		want(t, content.ErrConflict, s.Delete(ctx, desc.Digest))
		if !s.LeaseAlive(l.ID) {
			t.Errorf("%q: the lease's owner is not alive any more", name)
		}
		must(t, s.RecordBundle(ctx, bundle, []oci.Digest{desc.Digest}, l.ID))
		nothing("recorded as " + name)
	}
	must(t, s.Delete(ctx, desc.Digest))
}

// Bundles whose images reach the same share what is remembered of that, and only of the
// newest it is.
func TestWhatBundlesReachIsRemembered(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	a, b := oci.DigestBytes([]byte("a")), oci.DigestBytes([]byte("b"))
	closures := [][]oci.Digest{{a, b}, {b, a, a}, {a}}
	for i, c := range closures {
		must(t, s.RecordBundle(ctx, blobstore.Bundle{Direction: db.Sent, Serial: int64(i + 1), Digest: a}, c, ""))
	}
	sent := func() (all []blobstore.Bundle) {
		for b, err := range s.Bundles(ctx, db.Sent) {
			must(t, err)
			all = append(all, b)
		}
		return all
	}
	all := sent()
	if len(all) != 3 || all[2].Inventory != all[1].Inventory || all[1].Inventory == all[0].Inventory || all[1].Objects != 2 {
		t.Errorf("%+v", all)
	}
	for i := range 101 {
		must(t, s.RecordBundle(ctx, blobstore.Bundle{Direction: db.Sent, Serial: int64(10 + i), Digest: b}, []oci.Digest{b}, ""))
	}
	for _, old := range sent() {
		if known := old.Serial > 10; (old.Inventory != 0) != known {
			t.Errorf("of serial %d remembered: %v", old.Serial, !known)
		}
	}
}

func TestReceiptsAreTakenAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	_, err := s.AddSite(ctx, blobstore.Site{Name: "plant"})
	must(t, err)
	done := make(chan error)
	for i := range 4 {
		go func() { done <- take(t, s, "plant", int64(i+1), raws(1000*(i+1)), anySite) }()
	}
	var failed []error
	for range 4 {
		failed = append(failed, <-done)
	}
	must(t, errors.Join(failed...))
	site, err := s.Site(ctx, "plant")
	must(t, err)
	set, err := s.InventoryDigests(ctx, site.Inventory)
	if err != nil || set.Len() != int(1000*site.Serial) || site.Objects != 1000*site.Serial {
		t.Errorf("%+v with %d digests, %v", site, set.Len(), err)
	}
	if !slices.Contains([]int64{1, 2, 3, 4}, site.Serial) {
		t.Error(site.Serial)
	}
}

// BenchmarkInventory writes what a site of a million objects has.
func BenchmarkInventory(b *testing.B) {
	s := open(b, empty(b))
	_, err := s.AddSite(b.Context(), blobstore.Site{Name: "plant"})
	must(b, err)
	all := raws(1_000_000)
	for i := 0; b.Loop(); i++ {
		must(b, take(b, s, "plant", int64(i+1), all, anySite))
	}
}
