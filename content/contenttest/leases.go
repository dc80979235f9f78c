package contenttest

import (
	"time"

	"dist.example/content"
	"dist.example/oci"
)

var leasePromises = []promise{
	{"ALeaseIsListedUntilItIsReleased", func(f *fixture) {
		if got := f.leaseList(); len(got) != 0 {
			f.Fatalf("a fresh store lists leases: %+v", got)
		}
		a, err := f.Acquire(f.Context(), "first", time.Hour)
		f.must(err)
		b, err := f.Acquire(f.Context(), "second", 2*time.Hour)
		f.must(err)
		if a.ID == "" || a.ID == b.ID || a.Note != "first" || b.Note != "second" {
			f.Fatalf("leases are %+v and %+v", a, b)
		}
		if d := b.ExpiresAt.Sub(b.CreatedAt) - 2*time.Hour; d.Abs() > time.Minute {
			f.Errorf("a lease of two hours runs from %v to %v", b.CreatedAt, b.ExpiresAt)
		}
		got := f.leaseList()
		if len(got) != 2 || got[0].ID != a.ID || got[1].ID != b.ID || got[0].Note != "first" {
			f.Errorf("AllLeases lists %+v", got)
		}
		f.must(f.Release(f.Context(), a.ID))
		f.must(f.Release(f.Context(), a.ID))
		if got := f.leaseList(); len(got) != 1 || got[0].ID != b.ID {
			f.Errorf("AllLeases lists %+v after the first was released", got)
		}
	}},
	{"RenewLetsALeaseLastFromNow", func(f *fixture) {
		a, err := f.Acquire(f.Context(), "", time.Hour)
		f.must(err)
		b, err := f.Renew(f.Context(), a.ID, 5*time.Hour)
		f.must(err)
		if b.ID != a.ID || b.ExpiresAt.Sub(a.ExpiresAt) < 3*time.Hour {
			f.Errorf("renewed for five hours, the lease went from %v to %v", a.ExpiresAt, b.ExpiresAt)
		}
		if got := f.leaseList(); len(got) != 1 || !got[0].ExpiresAt.Equal(b.ExpiresAt) {
			f.Errorf("AllLeases lists %+v, Renew returned %+v", got, b)
		}
	}},
	{"ALeaseThatIsGoneIsNotFound", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		a, err := f.Acquire(f.Context(), "", time.Hour)
		f.must(err)
		f.must(f.Release(f.Context(), a.ID))
		_, err = f.Renew(f.Context(), a.ID, time.Hour)
		f.want(content.ErrNotFound, err)
		f.want(content.ErrNotFound, f.Hold(f.Context(), a.ID, desc.Digest))
	}},
	{"OnlyWhatIsHeldGoesUnderALease", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		a, err := f.Acquire(f.Context(), "", time.Hour)
		f.must(err)
		f.must(f.Hold(f.Context(), a.ID, desc.Digest))
		f.must(f.Hold(f.Context(), a.ID, desc.Digest))
		f.want(content.ErrNotFound, f.Hold(f.Context(), a.ID, absent(octets, 1).Digest))
	}},
	{"ALeaseCanHoldFromTheBeginning", func(f *fixture) {
		one, two := f.put(octets, []byte("1")), f.put(octets, []byte("2"))
		_, err := f.Acquire(f.Context(), "", time.Hour, one.Digest, absent(octets, 1).Digest)
		f.want(content.ErrNotFound, err)
		if got := f.leaseList(); len(got) != 0 {
			f.Fatalf("a lease that could not hold all is there: %+v", got)
		}
		f.must(f.Store.Delete(f.Context(), one.Digest))
		a, err := f.Acquire(f.Context(), "", time.Hour, two.Digest)
		f.must(err)
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), two.Digest))
		f.must(f.Release(f.Context(), a.ID))
		f.must(f.Store.Delete(f.Context(), two.Digest))
	}},
	{"WhatIsTakenFromUnderALeaseCanBeDeleted", func(f *fixture) {
		one, two := f.put(octets, []byte("1")), f.put(octets, []byte("2"))
		a, err := f.Acquire(f.Context(), "", time.Hour)
		f.must(err)
		f.must(f.Hold(f.Context(), a.ID, one.Digest, two.Digest))
		f.must(f.Unhold(f.Context(), a.ID, one.Digest, absent(octets, 1).Digest))
		f.must(f.Store.Delete(f.Context(), one.Digest))
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), two.Digest))
		f.must(f.Release(f.Context(), a.ID))
		f.must(f.Unhold(f.Context(), a.ID, two.Digest))
	}},
	{"WhatARepositoryIncludesStaysUnderItsLease", func(f *fixture) {
		desc := f.put(octets, []byte("x"))
		a, err := f.Acquire(f.Context(), "", time.Hour)
		f.must(err)
		f.must(f.Hold(f.Context(), a.ID, desc.Digest))
		f.must(f.Include(f.Context(), "r.example/a", content.Pushed, desc.Digest))
		f.must(f.Unhold(f.Context(), a.ID, desc.Digest))
		f.want(content.ErrConflict, f.Store.Delete(f.Context(), desc.Digest))
		f.must(f.Exclude(f.Context(), "r.example/a", desc.Digest))
		f.must(f.Unhold(f.Context(), a.ID, desc.Digest))
		f.must(f.Store.Delete(f.Context(), desc.Digest))
	}},
	{"AnIngestCanBeUnderALease", func(f *fixture) {
		a, err := f.Acquire(f.Context(), "", time.Hour)
		f.must(err)
		data := noise(1, 1<<20)
		opts := content.IngestOptions{Key: "k", Expected: oci.DigestBytes(data), Total: int64(len(data)), MediaType: octets, Lease: a.ID}
		w := f.writer(opts)
		f.write(w, data[:1000])
		f.must(w.Close())
		w = f.writer(opts)
		f.write(w, data[1000:])
		f.commit(w)
		_, err = f.Writer(f.Context(), opts)
		f.want(content.ErrExists, err)
		f.must(f.Release(f.Context(), a.ID))
		f.holds(opts.Expected, data)
		f.must(f.Store.Delete(f.Context(), opts.Expected))
	}},
}

func (f *fixture) leaseList() []content.Lease {
	f.Helper()
	var all []content.Lease
	for l, err := range f.AllLeases(f.Context()) {
		f.must(err)
		all = append(all, l)
	}
	return all
}
