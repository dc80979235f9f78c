package client_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// Room for the rest of what an earlier pull has left is not made by giving up the part
// that is here, though nothing keeps that any more.
func TestEvictionLeavesThePartThatGoesOn(t *testing.T) {
	t.Parallel()
	const size, part = 2_000_000, 1_200_000
	reg, store := registry(t), filepath.Join(t.TempDir(), "store")
	c := clientOf(t, store)
	layer := registrytest.Bytes(1, size)
	reg.PushImage("app:v1", layer)
	reg.PushImage("other:v1", registrytest.Bytes(2, 900_000))
	pull(t, c, reg.Ref("other:v1"))
	leaveAbandoned(t, store, layer[:part], oci.DigestBytes(layer), size)
	_, err := c.SetSettings(t.Context(), func(s *client.Settings) { s.Grace, s.Quota = 0, 2_300_000 })
	must(t, err)
	c = clientOf(t, store) // which knows of the quota
	s, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{Evict: true})
	if err != nil || s.MovedBytes > size-part+10_000 {
		t.Errorf("%d bytes moved, %v", s.MovedBytes, err)
	}
	if got := names(t, c); len(got) != 1 || got[0] != reg.Ref("app:v1") {
		t.Errorf("the names are %q", got)
	}
}

// leaveAbandoned leaves a part behind that nothing keeps.
func leaveAbandoned(t *testing.T, store string, part []byte, d oci.Digest, size int64) {
	t.Helper()
	s, err := blobstore.Open(t.Context(), store, blobstore.Options{})
	must(t, err)
	defer s.Close()
	ended, err := s.Acquire(t.Context(), "test", -time.Hour)
	must(t, err)
	must(t, os.Remove(filepath.Join(store, "leases", ended.ID))) // its owner is dead
	w, err := s.Writer(t.Context(), content.IngestOptions{Key: d.String(), Expected: d, Total: size, Lease: ended.ID})
	must(t, err)
	_, err = w.Write(part)
	must(t, err)
	must(t, w.Close())
}
