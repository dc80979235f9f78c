package db

import (
	"errors"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// A lease keeps what is under it, what that refers to, and what is about it, however
// far; what is not here does not count.
func TestKeptByLease(t *testing.T) {
	g := newGraph(t)
	g.held(1, 5)
	g.image(10)
	g.edge(1, oci.RoleManifest, 10, "")
	g.edge(1, oci.RoleManifest, 99, "") // absent
	g.held(40, 41)
	g.edge(40, oci.RoleSubject, 10, "")
	g.edge(40, oci.RoleLayer, 41, "")
	g.doom(13)
	g.lease("index", LeaseUser, 1, 10)
	g.lease("signature", LeaseUser, 40)
	g.lease("nothing", LeaseUser)
	read(t, g.d, func(tx *Tx) error {
		for id, want := range map[string][2]int64{
			"index":     {6, 1 + 10 + 11 + 12 + 40 + 41},
			"signature": {2, 40 + 41}, // a referrer does not keep its subject
			"nothing":   {},
			"unknown":   {},
		} {
			objects, stored, err := tx.KeptByLease(id)
			check(t, err)
			if got := [2]int64{objects, stored}; got != want {
				t.Errorf("lease %s keeps %v, want %v", id, got, want)
			}
			under, err := tx.LeaseObjects(id)
			check(t, err)
			if objects, stored, err = tx.KeptBy(under); err != nil || [2]int64{objects, stored} != want {
				t.Errorf("what is under lease %s keeps %d objects and %d bytes, %v, want %v", id, objects, stored, err, want)
			}
		}
		return nil
	})
}

func TestLeasesBeginning(t *testing.T) {
	g := newGraph(t)
	write(t, g.d, func(tx *Tx) error {
		for _, id := range []string{"abcd02", "abcd01", "abce", "ff"} {
			if err := tx.PutLease(Lease{ID: id, Kind: LeaseUser, Created: tx.Now, Expires: tx.Now.Add(time.Hour)}); err != nil {
				return err
			}
		}
		return nil
	})
	read(t, g.d, func(tx *Tx) error {
		for prefix, want := range map[string]int{"abcd": 2, "abcd01": 1, "abc": 2, "f": 1, "ff": 1, "0": 0, "abcd010": 0} {
			found, err := tx.LeasesBeginning(prefix, 2)
			check(t, err)
			if len(found) != want {
				t.Errorf("%d leases begin with %s, want %d", len(found), prefix, want)
			}
		}
		return nil
	})
}

// A lease that is being ended is not renewed: it does not hold all of its objects any more.
func TestALeaseThatIsEndingStaysSo(t *testing.T) {
	g := newGraph(t)
	g.held(1, 5)
	g.held(2, 5)
	g.lease("large", LeaseUser, 1, 2)
	write(t, g.d, func(tx *Tx) error {
		gone, err := tx.ShrinkLease("large", 1)
		if gone {
			t.Error("it is gone with half of its objects")
		}
		return err
	})
	err := g.d.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.RenewLease("large", tx.Now.Add(time.Hour))
		return err
	})
	if !errors.Is(err, content.ErrNotFound) {
		t.Errorf("renewing it: %v", err)
	}
}
