package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

const mib = 1 << 20

// sumsOf are the checksums that the catalog has of a blob, nil for none.
func sumsOf(t *testing.T, dir string, p []byte) (sums []byte) {
	t.Helper()
	catalog(t, dir, func(tx *db.Tx) error {
		o, _, err := tx.Object(oci.DigestBytes(p))
		must(t, err)
		b, err := tx.BlockSums(o.ID)
		if errors.Is(err, content.ErrNotFound) {
			return nil
		}
		if err == nil && !b.Fit(int64(len(p))) {
			t.Errorf("%d bytes of checksums of blocks of %d", len(b.Sums), b.BlockSize)
		}
		sums = b.Sums
		return err
	})
	return sums
}

func wantSums(p []byte) (sums []byte) {
	for len(p) > 0 {
		k := min(len(p), mib)
		c := crc32.Checksum(p[:k], crc32.MakeTable(crc32.Castagnoli))
		sums = append(sums, byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
		p = p[k:]
	}
	return sums
}

func TestLargeBlobsHaveChecksumsOfTheirBlocks(t *testing.T) {
	t.Parallel()
	for _, size := range []int{4 * mib, 4*mib + 1, 6 * mib, 6*mib + 12345} {
		dir := empty(t)
		s := open(t, dir)
		p := noise(uint64(size), size)
		mustStore(t, s, p)
		must(t, s.Close())
		got, want := sumsOf(t, dir, p), wantSums(p)
		if size <= 4*mib {
			want = nil
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: checksums are %x, want %x", size, got, want)
		}
	}
}

// An ingest that was begun by somebody else is hashed again from its first byte where
// there is no checkpoint of this boot, and so has checksums; else a check makes them.
func TestAResumedIngestHasThemToo(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	p := noise(1, 70*mib)
	for _, at := range []int{3*mib + 5, 66 * mib} {
		s := open(t, dir)
		w, err := s.Writer(t.Context(), ingest(p))
		must(t, err)
		_, err = w.Write(p[w.Status().Offset:at])
		must(t, err)
		must(t, w.Close())
		must(t, s.Close())
	}
	s := open(t, dir)
	mustStore(t, s, p)
	clean(t, s)
	must(t, s.Close())
	if !bytes.Equal(sumsOf(t, dir, p), wantSums(p)) {
		t.Error("they are wrong, or there are none")
	}
}

func TestCheckMakesChecksumsThatAreMissingOrWrong(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	p := noise(1, 5*mib)
	s := open(t, dir)
	mustStore(t, s, p)
	must(t, s.Close())
	for statement, mended := range map[string]int{
		`DELETE FROM block_sums`:                      0,
		`UPDATE block_sums SET sums = zeroblob(7)`:    0,
		`UPDATE block_sums SET sums = zeroblob(20)`:   1,
		`UPDATE block_sums SET block_size = 99999999`: 0,
	} {
		change(t, dir, statement)
		s := open(t, dir)
		if r := check(t, s); len(r.Mended) != mended || len(r.Damaged) > 0 {
			t.Errorf("%s: %+v", statement, r)
		}
		must(t, s.Close())
		if !bytes.Equal(sumsOf(t, dir, p), wantSums(p)) {
			t.Errorf("%s: they are wrong, or there are none", statement)
		}
	}
	rebuild(t, dir)
	if !bytes.Equal(sumsOf(t, dir, p), wantSums(p)) {
		t.Error("a rebuild did not make them")
	}
}

func TestSalvageTellsGoodBlocksFromBad(t *testing.T) {
	t.Parallel()
	p := noise(1, 6*mib+100)
	for name, c := range map[string]struct {
		damage func(t *testing.T, file string)
		want   []blobstore.Range
	}{
		"nothing":       {func(*testing.T, string) {}, nil},
		"one byte":      {func(t *testing.T, f string) { flip(t, f, 2*mib) }, []blobstore.Range{{Offset: 2 * mib, Length: mib}}},
		"neighbours":    {func(t *testing.T, f string) { flip(t, f, 2*mib); flip(t, f, 3*mib+7) }, []blobstore.Range{{Offset: 2 * mib, Length: 2 * mib}}},
		"two":           {func(t *testing.T, f string) { flip(t, f, 5); flip(t, f, 6*mib+1) }, []blobstore.Range{{Offset: 0, Length: mib}, {Offset: 6 * mib, Length: 100}}},
		"cut":           {func(t *testing.T, f string) { must(t, os.Truncate(f, 4*mib+9)) }, []blobstore.Range{{Offset: 4 * mib, Length: 2*mib + 100}}},
		"too long":      {func(t *testing.T, f string) { must(t, os.Truncate(f, 9*mib)) }, nil},
		"another's":     {func(t *testing.T, f string) { must(t, os.WriteFile(f, noise(2, len(p)), 0o444)) }, []blobstore.Range{{Offset: 0, Length: int64(len(p))}}},
		"nothing in it": {func(t *testing.T, f string) { must(t, os.Truncate(f, 0)) }, []blobstore.Range{{Offset: 0, Length: int64(len(p))}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			mustStore(t, s, p)
			must(t, os.Chmod(blobFile(s, p), 0o644))
			c.damage(t, blobFile(s, p))
			r := check(t, s)
			if name == "nothing" {
				if !r.Clean() {
					t.Errorf("%+v", r)
				}
			} else if len(r.Damaged) != 1 || r.Damaged[0].Known || !equalRanges(r.Damaged[0].Ranges, c.want) {
				t.Errorf("%+v", r.Damaged)
			}
			if r := check(t, s); name != "nothing" && !r.Damaged[0].Known {
				t.Errorf("the second time it is new again: %+v", r.Damaged)
			}
			v, err := s.Salvage(t.Context(), oci.DigestBytes(p))
			must(t, err)
			defer v.Close()
			if !equalRanges(v.Bad, c.want) || v.Size != int64(len(p)) {
				t.Errorf("%+v", v)
			}
		})
	}
}

func equalRanges(a, b []blobstore.Range) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestSalvageWithoutChecksums(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	small, packed := noise(1, mib), noise(2, 1000)
	mustStore(t, s, small)
	mustStore(t, s, packed)
	v, err := s.Salvage(t.Context(), oci.DigestBytes(small))
	must(t, err)
	got, err := io.ReadAll(io.NewSectionReader(v, 0, v.Size))
	if err != nil || !bytes.Equal(got, small) || len(v.Bad) > 0 {
		t.Errorf("%v, %v", v.Bad, err)
	}
	must(t, v.Close())
	flip(t, blobFile(s, small), 9)
	for _, p := range [][]byte{small, packed, noise(3, 5)} {
		_, err := s.Salvage(t.Context(), oci.DigestBytes(p))
		want(t, content.ErrNotFound, err)
	}
}

func TestAQuickCheckReadsNoContent(t *testing.T) {
	t.Parallel()
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := damaged(t, c.size, c.damage)
			r, err := s.CheckAll(t.Context(), blobstore.CheckOptions{Quick: true})
			must(t, err)
			seen := len(r.Damaged) == 1 && r.Damaged[0].Digest == oci.DigestBytes(p) && r.Objects == 0 && r.Bytes == 0
			hidden := r.Clean() && r.Held == 3 && r.Objects == 0 && r.Bytes == 0
			if flipped := name == "a bit of a packed blob" || name == "a bit of a loose blob"; flipped && !hidden || !flipped && !seen {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestASampleIsWhatItsSeedSays(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	for i := range 200 {
		mustStore(t, s, noise(uint64(i), 1000))
	}
	big := noise(999, 40*mib)
	mustStore(t, s, big)
	sample := func(share float64, seed uint64) blobstore.CheckReport {
		r, err := s.CheckAll(context.Background(), blobstore.CheckOptions{Sample: share, Seed: seed})
		must(t, err)
		if !r.Clean() || r.Held != 201 {
			t.Errorf("%+v", r)
		}
		return r
	}
	a, b := sample(0.25, 7), sample(0.25, 7)
	if a.Objects != b.Objects || a.Bytes != b.Bytes {
		t.Errorf("the same seed: %d and %d objects, %d and %d bytes", a.Objects, b.Objects, a.Bytes, b.Bytes)
	}
	if a.Objects < 20 || a.Objects > 90 || a.Bytes < 2*mib || a.Bytes > 20*mib {
		t.Errorf("a quarter of it is %d objects, %d bytes", a.Objects, a.Bytes)
	}
	if all := sample(1, 1); all.Objects != 201 {
		t.Errorf("all of it is %d objects", all.Objects)
	}
	flip(t, blobFile(s, big), 17*mib)
	found := 0
	for seed := range uint64(40) {
		r, err := s.CheckAll(t.Context(), blobstore.CheckOptions{Sample: 0.25, Seed: seed})
		must(t, err)
		if len(r.Damaged) == 1 && !r.Damaged[0].Known {
			found++
			if !equalRanges(r.Damaged[0].Ranges, []blobstore.Range{{Offset: 17 * mib, Length: mib}}) {
				t.Errorf("%+v", r.Damaged)
			}
			break
		}
	}
	if found == 0 {
		t.Error("none of 40 samples found the damage")
	}
}
