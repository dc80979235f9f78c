package contenttest

import (
	"bytes"
	"context"
	"fmt"

	"dist.example/content"
	"dist.example/oci"
)

// Sizes at which implementations change their ways.
var sizes = []int{0, 1, 255, 4096, 256<<10 - 1, 256 << 10, 256<<10 + 1, 5<<20 + 3}

var ingestPromises = []promise{
	{"ContentOfEverySizeComesBack", func(f *fixture) {
		for i, n := range sizes {
			data := noise(uint64(i), n)
			w := f.writer(content.IngestOptions{Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets})
			f.write(w, data)
			info := f.commit(w)
			if info.Digest != oci.DigestBytes(data) || info.Size != int64(n) || info.MediaType != octets {
				f.Fatalf("Commit of %d bytes tells of %+v", n, info)
			}
			f.holds(info.Digest, data)
		}
	}},
	{"DigestAndSizeNeedNotBeKnown", func(f *fixture) {
		for i, n := range sizes {
			data := noise(uint64(i), n)
			w := f.writer(content.IngestOptions{Total: -1, MediaType: octets})
			if st := w.Status(); st.Total != -1 || st.Expected != "" {
				f.Fatalf("Status of what is not known is %+v", st)
			}
			for p := range chunks(data, 100_000) {
				f.write(w, p)
			}
			info := f.commit(w)
			if info.Digest != oci.DigestBytes(data) || info.Size != int64(n) {
				f.Fatalf("Commit of %d bytes tells of %+v", n, info)
			}
			f.holds(info.Digest, data)
		}
	}},
	{"TextComesBack", func(f *fixture) {
		for _, n := range []int{10, 10_000, 1 << 20, 5 << 20} {
			data := bytes.Repeat([]byte(`{"again":"and again"}`+"\n"), n/22+1)
			f.holds(f.put(oci.MediaTypeJSON, data).Digest, data)
		}
	}},
	{"InfoIsWhatCommitReturned", func(f *fixture) {
		w := f.writer(content.IngestOptions{Total: -1, MediaType: "text/plain"})
		f.write(w, []byte("hello"))
		info := f.commit(w)
		if info.MediaType != "text/plain" || info.Place == "" || info.Committed.IsZero() {
			f.Fatalf("Commit tells of %+v", info)
		}
		again, err := f.Info(f.Context(), info.Digest)
		f.must(err)
		if !again.Committed.Equal(info.Committed) {
			f.Errorf("Committed is %v, then %v", info.Committed, again.Committed)
		}
		again.Committed = info.Committed
		if again != info {
			f.Errorf("Commit returned %+v, Info says %+v", info, again)
		}
		if d := info.Descriptor(); d.MediaType != "text/plain" || d.Digest != info.Digest || d.Size != 5 {
			f.Errorf("Descriptor is %+v", d)
		}
	}},
	{"NothingIsVisibleBeforeCommit", func(f *fixture) {
		for i, n := range []int{10, 1 << 20} {
			data := noise(uint64(i), n)
			w := f.writer(content.IngestOptions{Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets})
			f.write(w, data)
			f.lacks(oci.DigestBytes(data))
			f.must(w.Close())
			f.lacks(oci.DigestBytes(data))
		}
	}},
	{"Sha512IsADigestLikeAnother", func(f *fixture) {
		for i, n := range []int{0, 100, 1 << 20} {
			data := noise(uint64(i), n)
			d := oci.SHA512.FromBytes(data)
			w := f.writer(content.IngestOptions{Expected: d, Total: int64(n), MediaType: octets})
			f.write(w, data)
			if info := f.commit(w); info.Digest != d {
				f.Fatalf("Commit tells of %s, want %s", info.Digest, d)
			}
			f.holds(d, data)
			f.lacks(oci.SHA512.FromString("something else"))
		}
	}},
	{"AnotherDigestIsCorrupt", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data, want := noise(uint64(i), n), oci.DigestBytes(noise(99, n))
			w := f.writer(content.IngestOptions{Expected: want, Total: int64(n), MediaType: octets})
			f.write(w, data)
			_, err := w.Commit(f.Context())
			f.want(content.ErrCorrupt, err)
			f.lacks(want)
			f.lacks(oci.DigestBytes(data))
		}
	}},
	{"TooShortIsCorrupt", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			w := f.writer(content.IngestOptions{Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets})
			f.write(w, data[:n-1])
			_, err := w.Commit(f.Context())
			f.want(content.ErrCorrupt, err)
			f.lacks(oci.DigestBytes(data))
			f.lacks(oci.DigestBytes(data[:n-1]))
		}
	}},
	{"TooLongIsCorrupt", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			w := f.writer(content.IngestOptions{Total: int64(n - 1), MediaType: octets})
			_, err := w.Write(data)
			f.want(content.ErrCorrupt, err)
			f.must(w.Close())
			f.lacks(oci.DigestBytes(data))
		}
	}},
	{"AFailedCommitLeavesAnIngestToGoOnWith", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			opts := content.IngestOptions{Key: fmt.Sprint("short-", n), Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets}
			w := f.writer(opts)
			f.write(w, data[:n-10])
			_, err := w.Commit(f.Context())
			f.want(content.ErrCorrupt, err)
			f.must(w.Close())
			w = f.writer(opts)
			f.write(w, data[w.Status().Offset:])
			f.commit(w)
			f.holds(opts.Expected, data)
		}
	}},
	{"AFailedCommitCanBeStartedOver", func(f *fixture) {
		data := noise(1, 1000)
		opts := content.IngestOptions{Key: "k", Expected: oci.DigestBytes(data), Total: 1000, MediaType: octets}
		w := f.writer(opts)
		f.write(w, noise(2, 1000))
		_, err := w.Commit(f.Context())
		f.want(content.ErrCorrupt, err)
		f.must(w.Close())
		w = f.writer(opts)
		f.must(w.Reset())
		f.write(w, data)
		f.commit(w)
		f.holds(opts.Expected, data)
	}},
	{"ResetThrowsTheBytesAway", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			w := f.writer(content.IngestOptions{Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets})
			f.write(w, noise(77, n))
			f.must(w.Reset())
			if off := w.Status().Offset; off != 0 {
				f.Fatalf("Offset is %d after Reset", off)
			}
			f.write(w, data)
			f.commit(w)
			f.holds(oci.DigestBytes(data), data)
		}
	}},
	{"CommittingWhatIsThereIsNoError", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			data := noise(uint64(i), n)
			a := f.writer(content.IngestOptions{Total: -1, MediaType: octets})
			b := f.writer(content.IngestOptions{Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets})
			f.write(a, data)
			f.write(b, data)
			f.commit(a)
			if info := f.commit(b); info.Digest != oci.DigestBytes(data) || info.Size != int64(n) {
				f.Fatalf("the second Commit tells of %+v", info)
			}
			f.holds(oci.DigestBytes(data), data)
		}
	}},
	{"HeldContentNeedsNoIngest", func(f *fixture) {
		for i, n := range []int{0, 100, 1 << 20} {
			desc := f.put(octets, noise(uint64(i), n))
			_, err := f.Writer(f.Context(), content.IngestOptions{Key: "k", Expected: desc.Digest, Total: desc.Size})
			f.want(content.ErrExists, err)
			_, err = f.Status(f.Context(), "k")
			f.want(content.ErrNotFound, err)
		}
	}},
	{"NothingGoesOnAfterTheEnd", func(f *fixture) {
		w := f.writer(content.IngestOptions{Total: -1, MediaType: octets})
		f.write(w, []byte("x"))
		f.commit(w)
		f.must(w.Close())
		f.must(w.Close())
		if _, err := w.Write([]byte("y")); err == nil {
			f.Error("Write after Commit succeeds")
		}
		f.holds(oci.DigestBytes([]byte("x")), []byte("x"))
		w = f.writer(content.IngestOptions{Total: -1, MediaType: octets})
		f.must(w.Close())
		f.must(w.Close())
		if _, err := w.Write([]byte("y")); err == nil {
			f.Error("Write after Close succeeds")
		}
	}},
	{"ACommitCutShortIsAllOrNothing", func(f *fixture) {
		data := noise(1, 1<<20)
		opts := content.IngestOptions{Key: "k", Expected: oci.DigestBytes(data), Total: int64(len(data)), MediaType: octets}
		w := f.writer(opts)
		f.write(w, data)
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		if _, err := w.Commit(ctx); err != nil {
			f.lacks(opts.Expected)
			f.must(w.Close())
			w = f.writer(opts)
			f.write(w, data[w.Status().Offset:])
			f.commit(w)
		}
		f.holds(opts.Expected, data)
	}},
}

// chunks cuts p into pieces of at most n bytes.
func chunks(p []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			m := min(n, len(p))
			if !yield(p[:m]) {
				return
			}
			p = p[m:]
		}
	}
}
