package blobstore_test

import (
	"os"
	"path/filepath"
	"testing"
)

// A folder that somebody has made within the store is left alone.
func TestFoldersOfOthersAreNoGarbage(t *testing.T) {
	dir := empty(t)
	s := open(t, dir)
	for _, name := range []string{"blobs/sha256/theirs", "packs/99.pack", "ingest/theirs", "leases/theirs"} {
		must(t, os.MkdirAll(filepath.Join(dir, name, "within"), 0o755))
	}
	for g, err := range s.Garbage(t.Context()) {
		must(t, err)
		t.Errorf("%+v", g)
	}
}
