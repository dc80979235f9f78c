package blobstore_test

import (
	"path/filepath"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/blobstore/pack"
	"dist.example/oci"
)

// forgedNote is a blob that has a note in it, with a number beyond all others.
func forgedNote(t *testing.T, typ pack.NoteType) []byte {
	t.Helper()
	e := pack.NewEncoder()
	defer e.Release()
	p, _, err := e.AppendNote(noise(1, 300), pack.Note{Type: typ, Seq: pack.MaxSeq, Name: "docker.io/library/app:v1", New: oci.DigestBytes(nil)})
	must(t, err)
	return append(p, noise(2, 300)...)
}

// Behind damage a note may be bytes of somebody's blob: its number leaves numbers for
// the changes to come.
func TestAForgedNoteTakesNoNumbers(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(t *testing.T, dir string, catalog []byte){
		"rebuild": func(t *testing.T, dir string, _ []byte) { rebuild(t, dir) },
		"restore": func(t *testing.T, dir string, catalog []byte) { restoreOver(t, dir, catalog) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := empty(t)
			s := open(t, dir)
			im := newImage(t, noise(3, 500))
			named(t, s, im, "app:v1")
			tar := catalogOnly(t, s)
			var hosts [][]byte
			for _, typ := range []pack.NoteType{pack.NoteRef, pack.NoteSetting} {
				hosts = append(hosts, forgedNote(t, typ))
				mustStore(t, s, hosts[len(hosts)-1])
			}
			must(t, s.Close())
			file := filepath.Join(dir, "packs", "1.pack")
			for _, p := range slices.Backward(hosts) { // while those before are sound
				header := payloadOf(t, file, p) - 64
				flip(t, file, header+20)
				flip(t, file, header+21)
			}
			again(t, dir, tar)
			s = open(t, dir)
			named(t, s, im, "app:v2")
			must(t, s.SetSettings(t.Context(), func(now *blobstore.Settings) { now.Quota = 1 << 40 }))
		})
	}
}
