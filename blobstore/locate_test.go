package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// all reads a blob of a provider.
func all(t *testing.T, from content.Provider, d oci.Digest) ([]byte, error) {
	t.Helper()
	ra, err := from.ReaderAt(t.Context(), oci.Descriptor{Digest: d, Size: -1})
	if err != nil {
		return nil, err
	}
	defer ra.Close()
	return io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
}

// What has been located is read once from where it was, without another look at the
// catalog: also what has been given up since, as long as its bytes are there.
func TestWhatIsLocatedIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	for range 20 { // until the machine is not too busy for a second
		s := open(t, empty(t))
		blobs := [][]byte{noise(1, 1000), noise(2, 400<<10)}
		var digests []oci.Digest
		for _, p := range blobs {
			mustStore(t, s, p)
			digests = append(digests, oci.DigestBytes(p))
		}
		begun := time.Now()
		from, err := s.Locate(t.Context(), digests...)
		must(t, err)
		must(t, s.Delete(t.Context(), digests...))
		var missed error
		for i, d := range digests {
			got, err := all(t, from, d)
			if missed = errors.Join(missed, err); err == nil && !bytes.Equal(got, blobs[i]) {
				t.Errorf("%s: %d other bytes", d, len(got))
			}
			for _, again := range []content.Provider{from, s} {
				_, err := all(t, again, d)
				want(t, content.ErrNotFound, err)
			}
		}
		if missed == nil {
			return
		}
		if time.Since(begun) < time.Second {
			t.Fatal(missed)
		}
	}
	t.Error("it has never been read within a second")
}

// Where it was does not count for long: it may have become known to be damaged.
func TestWhereABlobWasDoesNotCountForLong(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 400<<10)
	mustStore(t, s, p)
	d := oci.DigestBytes(p)
	from, err := s.Locate(t.Context(), d)
	must(t, err)
	flip(t, blobFile(s, p), 70000)
	want(t, content.ErrCorrupt, s.Check(t.Context(), d))
	time.Sleep(time.Second)
	_, err = all(t, from, d)
	want(t, content.ErrCorrupt, err)
}

// What has moved, has come, or was not there is looked for when it is read.
func TestWhatHasMovedSinceIsLookedForAnew(t *testing.T) {
	t.Parallel()
	dir, p := onePack(t)
	s := open(t, dir)
	late := noise(7, 1000)
	from, err := s.Locate(t.Context(), oci.DigestBytes(p), oci.DigestBytes(late))
	must(t, err)
	if got := emptied(t, s); got.Kept != "" || got.Bytes == 0 {
		t.Fatalf("%+v", got)
	}
	mustStore(t, s, late)
	for _, w := range [][]byte{p, late} {
		if got, err := all(t, from, oci.DigestBytes(w)); err != nil || !bytes.Equal(got, w) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	_, err = all(t, from, oci.DigestBytes([]byte("of nobody")))
	want(t, content.ErrNotFound, err)
}

// Damage is found and told as it is by the store, whether it was known before or not, and
// healed where somebody does that.
func TestWhatIsLocatedAndDamagedIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := damaged(t, c.size, c.damage)
			d := oci.DigestBytes(p)
			from, err := s.Locate(t.Context(), d)
			must(t, err)
			if name == "a bit of a loose blob" { // which is not found before its bytes are hashed
				want(t, content.ErrCorrupt, s.Check(t.Context(), d))
				from, err = s.Locate(t.Context(), d)
				must(t, err)
			}
			_, err = all(t, from, d)
			want(t, content.ErrCorrupt, err)
			if infos, err := s.Infos(t.Context(), d); err != nil || infos[d].Place != "damaged" {
				t.Errorf("Infos: %+v, %v", infos, err)
			}
			s.HealWith(func(context.Context, oci.Digest) error {
				_, err := store(s, ingest(p), p)
				return err
			})
			if got, err := all(t, from, d); err != nil || !bytes.Equal(got, p) {
				t.Errorf("healed: %d bytes, %v", len(got), err)
			}
		})
	}
}

// Infos says of each what Info says of it, and nothing of what is not here.
func TestInfosAreThoseOfEach(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	here, gone, never := noise(1, 1000), noise(2, 1000), noise(3, 1000)
	mustStore(t, s, here)
	mustStore(t, s, gone)
	must(t, s.Delete(t.Context(), oci.DigestBytes(gone)))
	infos, err := s.Infos(t.Context(), oci.DigestBytes(here), oci.DigestBytes(gone), oci.DigestBytes(never))
	must(t, err)
	one, err := s.Info(t.Context(), oci.DigestBytes(here))
	if err != nil || len(infos) != 1 || infos[one.Digest] != one {
		t.Errorf("%+v in place of %+v, %v", infos, one, err)
	}
	if none, err := s.Infos(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("of none: %+v, %v", none, err)
	}
}
