package contenttest

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

var readPromises = []promise{
	{"WhatIsNotHeldIsNotFound", func(f *fixture) {
		f.lacks(oci.DigestBytes([]byte("nobody put this")))
		f.lacks(oci.SHA512.FromString("nor this"))
	}},
	{"OnlyTheDigestMattersToReaderAt", func(f *fixture) {
		desc := f.put(octets, []byte("hello"))
		desc.Size, desc.MediaType = 17, "text/plain"
		ra, err := f.ReaderAt(f.Context(), desc)
		f.must(err)
		defer ra.Close()
		if ra.Size() != 5 {
			f.Errorf("Size is %d, want 5", ra.Size())
		}
	}},
	{"AFalseSizeIsCorrupt", func(f *fixture) {
		for i, n := range []int{1, 1000, 1 << 20} {
			desc := f.put(octets, noise(uint64(i), n))
			for _, size := range []int64{0, desc.Size - 1, desc.Size + 1} {
				if size == desc.Size {
					continue
				}
				wrong := desc
				wrong.Size = size
				f.want(content.ErrCorrupt, f.fetchError(wrong))
			}
			desc.Size = -1
			f.must(f.fetchError(desc))
		}
	}},
	{"ReadAtKeepsToTheBounds", func(f *fixture) {
		for i, n := range []int{0, 10, 1 << 20} {
			data := noise(uint64(i), n)
			ra, err := f.ReaderAt(f.Context(), f.put(octets, data))
			f.must(err)
			f.readAtBounds(ra, data)
			f.must(ra.Close())
			f.must(ra.Close())
		}
	}},
	{"ReadAtServesManyAtOnce", func(f *fixture) {
		data := noise(1, 1<<20)
		for _, n := range []int{5000, len(data)} {
			ra, err := f.ReaderAt(f.Context(), f.put(octets, data[:n]))
			f.must(err)
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					p := make([]byte, 500)
					for off := g * 100; off+len(p) <= n; off += n / 20 {
						if _, err := ra.ReadAt(p, int64(off)); err != nil && !errors.Is(err, io.EOF) {
							f.Errorf("ReadAt %d: %v", off, err)
						} else if !bytes.Equal(p, data[off:off+len(p)]) {
							f.Errorf("ReadAt %d gives other bytes", off)
						}
					}
				})
			}
			wg.Wait()
			f.must(ra.Close())
		}
	}},
	{"AllListsWhatIsHeld", func(f *fixture) {
		if all := f.all(); len(all) != 0 {
			f.Fatalf("a fresh store lists %+v", all)
		}
		want := map[oci.Digest]oci.Descriptor{}
		for i, n := range []int{0, 1, 1000, 1 << 20} {
			d := f.put(octets, noise(uint64(i), n))
			want[d.Digest] = d
		}
		for _, info := range f.all() {
			d, ok := want[info.Digest]
			if !ok || info.Size != d.Size || info.MediaType != d.MediaType {
				f.Errorf("All lists %+v", info)
			}
			delete(want, info.Digest)
		}
		if len(want) != 0 {
			f.Errorf("All leaves out %v", want)
		}
	}},
	{"AListCanBeLeftEarly", func(f *fixture) {
		for i := range 5 {
			f.put(octets, noise(uint64(i), 10))
		}
		for range f.All(f.Context()) {
			break
		}
		// A list that is left early holds nothing up.
		f.put(octets, noise(9, 10))
	}},
}

// fetchError is what reading desc to its end comes to.
func (f *fixture) fetchError(desc oci.Descriptor) error {
	f.Helper()
	rc, err := f.Fetch(f.Context(), desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, rc)
	return err
}

func (f *fixture) readAtBounds(ra content.ReaderAt, data []byte) {
	f.Helper()
	size := int64(len(data))
	if ra.Size() != size {
		f.Fatalf("Size is %d, want %d", ra.Size(), size)
	}
	if n, err := ra.ReadAt(make([]byte, 5), size); n != 0 || !errors.Is(err, io.EOF) {
		f.Errorf("ReadAt at the end gives %d, %v", n, err)
	}
	if n, err := ra.ReadAt(make([]byte, 5), size+100); n != 0 || !errors.Is(err, io.EOF) {
		f.Errorf("ReadAt past the end gives %d, %v", n, err)
	}
	if _, err := ra.ReadAt(make([]byte, 5), -1); err == nil {
		f.Error("ReadAt before the beginning succeeds")
	}
	if size < 10 {
		return
	}
	p := make([]byte, 8)
	if n, err := ra.ReadAt(p, size-3); n != 3 || !errors.Is(err, io.EOF) || !bytes.Equal(p[:3], data[size-3:]) {
		f.Errorf("ReadAt over the end gives %d, %v", n, err)
	}
	if n, err := ra.ReadAt(p, size-8); n != 8 || (err != nil && !errors.Is(err, io.EOF)) || !bytes.Equal(p, data[size-8:]) {
		f.Errorf("ReadAt up to the end gives %d, %v", n, err)
	}
	if n, err := ra.ReadAt(p, 1); n != 8 || (err != nil && size > 9) || !bytes.Equal(p, data[1:9]) {
		f.Errorf("ReadAt inside gives %d, %v", n, err)
	}
}
