package blobstore_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

func blobFile(s *blobstore.Store, p []byte) string {
	return filepath.Join(s.Dir(), "blobs", "sha256", oci.DigestBytes(p).Encoded())
}

// damages are what may happen to a blob of 1,000 bytes in the only pack, and to
// one of 400 KiB in a file.
var damages = map[string]struct {
	size   int
	damage func(t *testing.T, s *blobstore.Store, p []byte)
}{
	"a bit of a packed blob": {1000, func(t *testing.T, s *blobstore.Store, _ []byte) { flip(t, packName(s, "2"), -5) }},
	"a pack cut short":       {1000, func(t *testing.T, s *blobstore.Store, _ []byte) { must(t, os.Truncate(packName(s, "2"), 400)) }},
	"a pack that is gone":    {1000, func(t *testing.T, s *blobstore.Store, _ []byte) { must(t, os.Remove(packName(s, "2"))) }},
	"a bit of a loose blob":  {400 << 10, func(t *testing.T, s *blobstore.Store, p []byte) { flip(t, blobFile(s, p), 70000) }},
	"a file cut short":       {400 << 10, func(t *testing.T, s *blobstore.Store, p []byte) { must(t, os.Truncate(blobFile(s, p), 1000)) }},
	"a file that has grown":  {400 << 10, func(t *testing.T, s *blobstore.Store, p []byte) { must(t, os.Truncate(blobFile(s, p), 500<<10)) }},
	"a file that is gone":    {400 << 10, func(t *testing.T, s *blobstore.Store, p []byte) { must(t, os.Remove(blobFile(s, p))) }},
}

// damaged is a store with a blob that is damaged and some that are not; the
// store is opened anew so that nothing is open.
func damaged(t *testing.T, size int, damage func(*testing.T, *blobstore.Store, []byte)) (s *blobstore.Store, p []byte, others [][]byte) {
	t.Helper()
	dir := empty(t)
	p = noise(1, size)
	others = [][]byte{noise(2, 1000), noise(3, 400<<10)}
	func() {
		s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
		must(t, err)
		defer s.Close()
		for _, o := range others {
			mustStore(t, s, o)
		}
		appendTo(t, packName(s, "1"), []byte("junk")) // so that p gets a pack of its own
		mustStore(t, s, p)
	}()
	s = open(t, dir)
	damage(t, s, p)
	return s, p, others
}

func read(s *blobstore.Store, d oci.Descriptor) error {
	r, err := s.Fetch(context.Background(), d)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

func TestDamageIsFoundToldAndHealed(t *testing.T) {
	t.Parallel()
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, others := damaged(t, c.size, c.damage)
			desc := describe(oci.MediaTypeOctets, p)
			for _, d := range []oci.Descriptor{desc, {Digest: desc.Digest, Size: -1}} {
				if err := read(s, d); !errors.Is(err, content.ErrCorrupt) || content.Hint(err) == "" {
					t.Fatalf("Fetch: %v", err)
				}
			}
			info, err := s.Info(t.Context(), desc.Digest)
			if err != nil || info.Place != "damaged" {
				t.Errorf("Info: %+v, %v", info, err)
			}
			_, err = s.ReaderAt(t.Context(), desc)
			want(t, content.ErrCorrupt, err)
			if missing, err := s.Missing(t.Context(), desc.Digest); err != nil || len(missing) != 1 {
				t.Errorf("Missing: %v, %v", missing, err)
			}
			for _, o := range others {
				holds(t, s, o)
			}
			ses := begin(t, s, blobstore.SessionOptions{Note: "heal"})
			if here, err := ses.Exists(t.Context(), desc); here || err != nil {
				t.Errorf("the damaged counts as held: %v", err)
			}
			if _, err := store(s, ingest(p), p); err != nil {
				t.Fatalf("writing it again: %v", err)
			}
			holds(t, s, p)
			if info, err := s.Info(t.Context(), desc.Digest); err != nil || info.Place == "damaged" {
				t.Errorf("Info once it is healed: %+v, %v", info, err)
			}
			sound(t, s)
		})
	}
}

func TestAPutHealsToo(t *testing.T) {
	t.Parallel()
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := damaged(t, c.size, c.damage)
			want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(p)))
			ses := begin(t, s, blobstore.SessionOptions{Note: "heal"})
			put(t, ses, oci.MediaTypeOctets, p)
			must(t, ses.Commit(t.Context()))
			holds(t, s, p)
			sound(t, s)
		})
	}
}

func TestAWrongSizeIsNotDamage(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	for _, size := range []int{1000, 400 << 10} {
		p := noise(1, size)
		desc := mustStore(t, s, p)
		for _, by := range []int64{-1, 1} {
			other := desc
			other.Size += by
			want(t, content.ErrCorrupt, read(s, other))
		}
		holds(t, s, p)
		if info, err := s.Info(t.Context(), desc.Digest); err != nil || info.Place == "damaged" {
			t.Errorf("Info: %+v, %v", info, err)
		}
	}
}

func TestANameDoesNotMoveToWhatIsDamaged(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	layer := noise(1, 400<<10)
	im := newImage(t, layer)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	im.put(t, ses)
	must(t, ses.Flush(t.Context()))
	flip(t, blobFile(s, layer), 100)
	want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(layer)))
	want(t, content.ErrCorrupt, s.Tag(t.Context(), im.manifest(), reference(t, "app:v1")))
	put(t, ses, oci.MediaTypeLayer, layer)
	must(t, ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest}))
	sound(t, s)
}

func TestAnOrphanUnderABlobsNameIsNotTrusted(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 400<<10)
	must(t, os.WriteFile(blobFile(s, p), noise(2, 400<<10), 0o444))
	mustStore(t, s, p)
	holds(t, s, p)
}

func TestAViewThatIsWrongIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 1000)
	d := mustStore(t, s, p).Digest
	for _, spoil := range []func(name string){
		func(string) {},
		func(name string) { flip(t, name, 10) },
		func(name string) { must(t, os.Truncate(name, 10)) },
		func(name string) { must(t, os.Remove(name)) },
	} {
		name, err := s.Path(t.Context(), d)
		must(t, err)
		if got, err := os.ReadFile(name); err != nil || string(got) != string(p) {
			t.Errorf("%s has other bytes: %v", name, err)
		}
		spoil(name)
	}
}
