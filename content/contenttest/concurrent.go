package contenttest

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const workers = 8

var concurrentPromises = []promise{
	{"ManyPutTheSameContent", func(f *fixture) {
		for i, n := range []int{1000, 1 << 20} {
			data := noise(uint64(i), n)
			f.together(func(int) error { return f.tryPut("", data) })
			f.holds(oci.DigestBytes(data), data)
		}
		if all := f.all(); len(all) != 2 {
			f.Errorf("All lists %d objects, want 2", len(all))
		}
	}},
	{"ManyPutTheSameContentUnderOneKey", func(f *fixture) {
		data := noise(1, 400_000)
		f.together(func(int) error { return f.tryPut("key", data) })
		f.holds(oci.DigestBytes(data), data)
		_, err := f.Status(f.Context(), "key")
		f.want(content.ErrNotFound, err)
	}},
	{"ManyPutDifferentContent", func(f *fixture) {
		blob := func(g, i int) []byte { return noise(uint64(g*100+i), 500+i*40_000) }
		f.together(func(g int) error {
			for i := range 10 {
				if err := f.tryPut(fmt.Sprint(g, "-", i), blob(g, i)); err != nil {
					return err
				}
			}
			return nil
		})
		for g := range workers {
			for i := range 10 {
				f.holds(oci.DigestBytes(blob(g, i)), blob(g, i))
			}
		}
	}},
	{"ManyReadWhileOthersWrite", func(f *fixture) {
		desc := f.put(octets, noise(1, 300_000))
		f.together(func(g int) error {
			if g%2 == 0 {
				return f.tryPut("", noise(uint64(g+2), 300_000))
			}
			rc, err := f.Fetch(f.Context(), desc)
			if err != nil {
				return err
			}
			defer rc.Close()
			_, err = io.Copy(io.Discard, rc)
			return err
		})
	}},
	{"EveryNameOfManyIsThere", func(f *fixture) {
		desc, _ := f.image(1)
		f.together(func(g int) error { return f.setName(fmt.Sprintf("example.com/a:v%d", g), desc.Digest) })
		if n := len(f.names("")); n != workers {
			f.Errorf("%d names, want %d", n, workers)
		}
	}},
	{"OneWinsACompareAndSet", func(f *fixture) {
		one, _ := f.image(1)
		nothing := oci.Digest("")
		var won atomic.Int64
		ref := f.ref("example.com/a:v1")
		f.together(func(int) error {
			err := f.SetNames(f.Context(), content.NameChange{Reference: ref, Target: one.Digest, Expect: &nothing})
			if errors.Is(err, content.ErrConflict) {
				return nil
			}
			won.Add(1)
			return err
		})
		if won.Load() != 1 {
			f.Errorf("%d won, want 1", won.Load())
		}
	}},
	{"NamesAndDeletesNeverMeetHalfway", func(f *fixture) {
		desc, blobs := f.image(1)
		set := []oci.Digest{desc.Digest}
		for _, b := range blobs {
			set = append(set, b.Digest)
		}
		f.together(func(g int) error {
			if g%2 == 0 {
				return f.Store.Delete(f.Context(), set...)
			}
			err := f.setName(fmt.Sprintf("example.com/a:v%d", g), desc.Digest)
			if errors.Is(err, content.ErrNotFound) {
				return nil
			}
			return err
		})
		for _, n := range f.names("") {
			f.Errorf("%s is at %s, which is gone", n.Reference, n.Target.Digest)
		}
	}},
	{"LeasesComeAndGo", func(f *fixture) {
		f.together(func(g int) error {
			l, err := f.Acquire(f.Context(), fmt.Sprint(g), time.Hour)
			if err != nil {
				return err
			}
			if _, err := f.Renew(f.Context(), l.ID, 2*time.Hour); err != nil {
				return err
			}
			return f.Release(f.Context(), l.ID)
		})
		if got := f.leaseList(); len(got) != 0 {
			f.Errorf("leases are left: %+v", got)
		}
	}},
}

// together runs work in many goroutines at once and reports their errors.
func (f *fixture) together(work func(g int) error) {
	f.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range workers {
		wg.Go(func() {
			<-start
			if err := work(g); err != nil {
				f.Errorf("worker %d: %v", g, err)
			}
		})
	}
	close(start)
	wg.Wait()
	if f.Failed() {
		f.FailNow()
	}
}

// tryPut stores data as a pull does: held already is as good as stored.
func (f *fixture) tryPut(key string, data []byte) error {
	w, err := f.Writer(f.Context(), content.IngestOptions{Key: key, Expected: oci.DigestBytes(data), Total: int64(len(data)), MediaType: octets})
	if errors.Is(err, content.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(data[w.Status().Offset:]); err != nil {
		return err
	}
	_, err = w.Commit(f.Context())
	return err
}
