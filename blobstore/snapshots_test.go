package blobstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// garbage are the snapshots that nothing needs.
func garbageSnapshots(t *testing.T, s *blobstore.Store) (found []blobstore.Garbage) {
	t.Helper()
	for g, err := range s.Garbage(t.Context()) {
		must(t, err)
		if g.Kind == blobstore.GarbageSnapshot {
			found = append(found, g)
		}
	}
	return found
}

// A snapshot that is being made is nobody's garbage; what was given up in the middle is.
func TestSnapshotsUnderWayStay(t *testing.T) {
	s := open(t, empty(t))
	m, err := s.Maintain(t.Context())
	must(t, err)
	defer m.Close()
	layer := mustStore(t, s, []byte("layer"))
	n, err := s.NewSnapshot()
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(n.Dir(), "tree", "closed"), 0o700))
	must(t, os.WriteFile(filepath.Join(n.Dir(), "tree", "closed", "f"), make([]byte, 1000), 0o400))
	must(t, os.Chmod(filepath.Join(n.Dir(), "tree", "closed"), 0))
	all := garbageSnapshots(t, s)
	if len(all) != 1 {
		t.Fatalf("there is %+v", all)
	}
	if gone, err := m.Remove(t.Context(), all[0]); gone || err != nil {
		t.Errorf("under way: %v, %v", gone, err)
	}
	row := db.Snapshot{Chain: oci.DigestBytes([]byte("chain")), Owner: 7, Index: oci.DigestBytes([]byte("index")), Bytes: 1000}
	snap, err := n.Commit(t.Context(), layer.Digest, row)
	must(t, err)
	must(t, n.Close())
	if gone, err := m.Remove(t.Context(), all[0]); gone || err != nil {
		t.Errorf("with a row: %v, %v", gone, err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Snapshots != 1000 {
		t.Errorf("it takes %+v, %v", u, err)
	}

	// The second of the same is not kept, and the first is what counts.
	again, err := s.NewSnapshot()
	must(t, err)
	first, err := again.Commit(t.Context(), layer.Digest, row)
	must(t, err)
	must(t, again.Close())
	if _, err := os.Stat(again.Dir()); first.Path != snap.Path || !os.IsNotExist(err) {
		t.Errorf("%s is kept beside %s", first.Path, snap.Path)
	}

	// A damaged one is not used any more, and stays while its layer is held.
	_, err = s.AddLease(t.Context(), "mounted", time.Hour, layer.Digest)
	must(t, err)
	must(t, s.DropSnapshot(t.Context(), snap))
	if _, err := s.Snapshot(t.Context(), row.Chain, row.Owner); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("given up: %v", err)
	}
	if gone, err := m.Remove(t.Context(), s.DamagedSnapshot(snap.Snapshot)); gone || err != nil {
		t.Errorf("held: %v, %v", gone, err)
	}
	endLeases(t, s)
	if gone, err := m.Remove(t.Context(), s.DamagedSnapshot(snap.Snapshot)); !gone || err != nil {
		t.Errorf("damaged: %v, %v", gone, err)
	}
	if _, err := os.Stat(snap.Path); !os.IsNotExist(err) {
		t.Error("its folder is there")
	}

	// What a crash has left has no row.
	left := filepath.Join(s.SnapshotsDir(), "left")
	must(t, os.MkdirAll(filepath.Join(left, "tree"), 0o700))
	must(t, os.WriteFile(filepath.Join(left, "lock"), nil, 0o600))
	if all = garbageSnapshots(t, s); len(all) != 1 {
		t.Fatalf("there is %+v", all)
	}
	if gone, err := m.Remove(t.Context(), all[0]); !gone || err != nil {
		t.Errorf("without a row: %v, %v", gone, err)
	}
}

// endLeases ends all leases.
func endLeases(t *testing.T, s *blobstore.Store) {
	t.Helper()
	for l, err := range s.Leases(t.Context()) {
		must(t, err)
		_, err = s.ReleaseLeases(t.Context(), true, l.ID)
		must(t, err)
	}
}

// What a lease holds from above is in use.
func TestIdleSnapshots(t *testing.T) {
	s := open(t, empty(t))
	m, err := s.Maintain(t.Context())
	must(t, err)
	defer m.Close()
	layer := mustStore(t, s, []byte("layer"))
	n, err := s.NewSnapshot()
	must(t, err)
	snap, err := n.Commit(t.Context(), layer.Digest, db.Snapshot{Chain: layer.Digest, Index: layer.Digest})
	must(t, err)
	must(t, n.Close())
	endLeases(t, s) // of the putting
	lease, err := s.AddLease(t.Context(), "mounted", time.Hour, layer.Digest)
	must(t, err)
	if gone, err := m.Remove(t.Context(), s.IdleSnapshot(snap.Snapshot)); gone || err != nil {
		t.Errorf("in use: %v, %v", gone, err)
	}
	_, err = s.ReleaseLeases(t.Context(), false, lease.ID)
	must(t, err)
	if gone, err := m.Remove(t.Context(), s.IdleSnapshot(snap.Snapshot)); !gone || err != nil {
		t.Errorf("not in use: %v, %v", gone, err)
	}
	if _, err := n.Commit(t.Context(), oci.DigestBytes([]byte("no layer")), db.Snapshot{Chain: layer.Digest, Index: layer.Digest}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("of no layer: %v", err)
	}
}

// A row goes also where somebody has removed its folder, and none comes of a folder that is
// gone.
func TestSnapshotsWhoseFolderIsGone(t *testing.T) {
	s := open(t, empty(t))
	m, err := s.Maintain(t.Context())
	must(t, err)
	defer m.Close()
	layer := mustStore(t, s, []byte("layer"))
	endLeases(t, s)
	row := db.Snapshot{Chain: layer.Digest, Index: layer.Digest}
	n, err := s.NewSnapshot()
	must(t, err)
	must(t, os.RemoveAll(n.Dir()))
	if _, err := n.Commit(t.Context(), layer.Digest, row); !errors.Is(err, content.ErrConflict) {
		t.Errorf("of no folder: %v", err)
	}
	must(t, n.Close())
	n, err = s.NewSnapshot()
	must(t, err)
	snap, err := n.Commit(t.Context(), layer.Digest, row)
	must(t, err)
	must(t, n.Close())
	must(t, os.RemoveAll(snap.Path))
	if gone, err := m.Remove(t.Context(), s.IdleSnapshot(snap.Snapshot)); !gone || err != nil {
		t.Errorf("without its folder: %v, %v", gone, err)
	}
	if _, err := s.Snapshot(t.Context(), row.Chain, row.Owner); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("its row is there: %v", err)
	}
}
