package blobstore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// usage counts the regular files below blobs and ingest, and the bytes of packs.
func usage(t *testing.T, s *blobstore.Store) (count int, packed int64) {
	t.Helper()
	for _, dir := range []string{"blobs", "ingest", "packs"} {
		must(t, filepath.WalkDir(filepath.Join(s.Dir(), dir), func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if dir == "packs" {
				packed += info.Size()
			} else {
				count++
			}
			return err
		}))
	}
	return count, packed
}

// writeAgain writes what may be held, and puts it into a repository.
func writeAgain(t *testing.T, to content.Ingester, key, repo string, data []byte) content.Info {
	t.Helper()
	w, err := to.Writer(t.Context(), content.IngestOptions{
		Key: key, Expected: oci.DigestBytes(data), Total: -1, MediaType: oci.MediaTypeOctets, Repository: repo, Again: true,
	})
	must(t, err)
	defer w.Close()
	_, err = w.Write(data)
	must(t, err)
	info, err := w.Commit(t.Context())
	must(t, err)
	return info
}

func inRepository(t *testing.T, s *blobstore.Store, repo string, d oci.Digest) bool {
	t.Helper()
	in, err := s.InRepository(t.Context(), repo, d)
	must(t, err)
	return in[0]
}

func TestWhatIsWrittenAgainLeavesNoSecondCopy(t *testing.T) {
	s := open(t, empty(t))
	small, large := []byte(strings.Repeat("small ", 100)), []byte(strings.Repeat("large noise ", 100_000))
	writeAgain(t, s, "", "r.example/a", small)
	first := writeAgain(t, s, "", "r.example/a", large)
	count, packed := usage(t, s)
	inode, err := os.Stat(filepath.Join(s.Dir(), "blobs", "sha256", first.Digest.Encoded()))
	must(t, err)
	for _, key := range []string{"", "k"} {
		writeAgain(t, s, key, "r.example/b", small)
		writeAgain(t, s, key, "r.example/b", large)
	}
	if n, p := usage(t, s); n != count || p != packed {
		t.Errorf("%d files and %d bytes in packs, had %d and %d", n, p, count, packed)
	}
	again, err := os.Stat(filepath.Join(s.Dir(), "blobs", "sha256", first.Digest.Encoded()))
	must(t, err)
	if !os.SameFile(inode, again) {
		t.Error("another file has taken the blob's place")
	}
	if !inRepository(t, s, "r.example/b", first.Digest) || !inRepository(t, s, "r.example/b", oci.DigestBytes(small)) {
		t.Error("what was proved is not in the repository")
	}
}

// A session queues what it gets: of two copies of one content each has its say.
func TestASessionPutsABlobIntoEachRepository(t *testing.T) {
	s := open(t, empty(t))
	ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "test"})
	must(t, err)
	defer ses.Close()
	data := []byte("content")
	for _, repo := range []string{"r.example/a", "r.example/b"} {
		writeAgain(t, ses, "", repo, data)
	}
	if inRepository(t, s, "r.example/a", oci.DigestBytes(data)) {
		t.Error("it is there before it is committed")
	}
	must(t, ses.Commit(t.Context()))
	for _, repo := range []string{"r.example/a", "r.example/b"} {
		if !inRepository(t, s, repo, oci.DigestBytes(data)) {
			t.Errorf("it is not in %s", repo)
		}
	}
}

// What is damaged is in no repository until its bytes come again, from whoever has
// them; then it is in all that it was in.
func TestDamagedContentIsInNoRepositoryUntilItIsMended(t *testing.T) {
	s := open(t, empty(t))
	data := []byte(strings.Repeat("large noise ", 100_000))
	d := writeAgain(t, s, "", "r.example/a", data).Digest
	name := filepath.Join(s.Dir(), "blobs", "sha256", d.Encoded())
	must(t, os.Chmod(name, 0o600))
	must(t, os.WriteFile(name, append([]byte("X"), data[1:]...), 0o600))
	if s.Check(t.Context(), d) == nil {
		t.Fatal("the damage was not found")
	}
	if inRepository(t, s, "r.example/a", d) {
		t.Error("what is damaged is served")
	}
	writeAgain(t, s, "", "r.example/b", data)
	if !inRepository(t, s, "r.example/a", d) || !inRepository(t, s, "r.example/b", d) {
		t.Error("what was mended is not served")
	}
}
