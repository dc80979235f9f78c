package contenttest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

var keyPromises = []promise{
	{"CloseKeepsTheBytesForTheSameKey", func(f *fixture) {
		for i, n := range []int{200, 1 << 20} {
			data := noise(uint64(i), n)
			opts := content.IngestOptions{Key: fmt.Sprint("key-", n), Expected: oci.DigestBytes(data), Total: int64(n), MediaType: octets}
			w := f.writer(opts)
			f.write(w, data[:n/2])
			f.must(w.Close())
			w = f.writer(opts)
			if off := w.Status().Offset; off != int64(n/2) {
				f.Fatalf("the second writer stands at %d, want %d", off, n/2)
			}
			f.write(w, data[n/2:])
			f.commit(w)
			f.holds(opts.Expected, data)
		}
	}},
	{"ResumingManyTimesGivesTheWhole", func(f *fixture) {
		data := noise(1, 700_000)
		opts := content.IngestOptions{Key: "steps", Total: -1, MediaType: octets}
		for p := range chunks(data, 90_000) {
			w := f.writer(opts)
			f.write(w, p)
			f.must(w.Close())
		}
		f.commit(f.writer(opts))
		f.holds(oci.DigestBytes(data), data)
	}},
	{"CommitEndsTheIngest", func(f *fixture) {
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.write(w, []byte("one"))
		f.commit(w)
		_, err := f.Status(f.Context(), "k")
		f.want(content.ErrNotFound, err)
		w = f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		if off := w.Status().Offset; off != 0 {
			f.Errorf("the key's next ingest stands at %d", off)
		}
	}},
	{"NoKeyIsAFreshKey", func(f *fixture) {
		a := f.writer(content.IngestOptions{Total: -1, MediaType: octets})
		b := f.writer(content.IngestOptions{Total: -1, MediaType: octets})
		ka, kb := a.Status().Key, b.Status().Key
		if ka == "" || kb == "" || ka == kb {
			f.Fatalf("fresh keys are %q and %q", ka, kb)
		}
		f.write(a, []byte("abc"))
		f.write(b, noise(1, 1<<20))
		f.must(a.Close())
		f.must(b.Close())
		for st, err := range f.Active(f.Context()) {
			f.must(err)
			f.Errorf("ingest %s is left, which nobody can resume", st.Key)
		}
	}},
	{"StatusTellsWhereAnIngestStands", func(f *fixture) {
		d := oci.DigestBytes([]byte("expected"))
		w := f.writer(content.IngestOptions{Key: "k", Expected: d, Total: 8, MediaType: octets})
		f.write(w, []byte("expe"))
		f.must(w.Close())
		st, err := f.Status(f.Context(), "k")
		f.must(err)
		if st.Key != "k" || st.Offset != 4 || st.Total != 8 || st.Expected != d {
			f.Errorf("Status is %+v", st)
		}
		if st.StartedAt.IsZero() || st.UpdatedAt.Before(st.StartedAt) {
			f.Errorf("started %v, updated %v", st.StartedAt, st.UpdatedAt)
		}
		_, err = f.Status(f.Context(), "another")
		f.want(content.ErrNotFound, err)
	}},
	{"AnIngestIsLiveWhileAWriterHasIt", func(f *fixture) {
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.write(w, noise(1, 100))
		for range 2 { // looking changes nothing
			f.liveness("k", true)
		}
		if st := w.Status(); !st.Live || st.PID != os.Getpid() {
			f.Errorf("its Writer says %+v", st)
		}
		f.must(w.Close())
		f.liveness("k", false)
		if w.Status().Live {
			f.Error("a closed Writer says that it is live")
		}
		w = f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.liveness("k", true)
		f.commit(w)
	}},
	{"TheRateCountsFromTheOpening", func(f *fixture) {
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.write(w, noise(1, 1<<20))
		f.must(w.Close())
		if st, err := f.Status(f.Context(), "k"); err != nil || st.Rate(time.Now()) != 0 {
			f.Errorf("the rate of an ingest that nobody writes is %d, %v", st.Rate(time.Now()), err)
		}
		w = f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		st, err := f.Status(f.Context(), "k")
		f.must(err)
		if st.Marked != 1<<20 || st.Rate(st.MarkedAt.Add(time.Second)) != 0 {
			f.Errorf("after opening it counts from %d, and says %d B/s", st.Marked, st.Rate(st.MarkedAt.Add(time.Second)))
		}
		f.write(w, noise(2, 8<<20))
		st, err = f.Status(f.Context(), "k")
		f.must(err)
		st.UpdatedAt = st.MarkedAt.Add(2 * time.Second)
		fast, slow := st.Rate(st.MarkedAt.Add(time.Second)), st.Rate(st.MarkedAt.Add(4*time.Second))
		if fast <= 0 || fast != st.Offset-st.Marked || slow <= 0 || slow >= fast || st.Rate(st.MarkedAt) != 0 {
			f.Errorf("after %d bytes the rate is %d at first, then %d", st.Offset-st.Marked, fast, slow)
		}
		if rate := st.Rate(st.UpdatedAt.Add(4 * time.Second)); rate != 0 {
			f.Errorf("with nothing for four seconds the rate is %d", rate)
		}
		f.must(w.Close())
	}},
	{"ActiveListsByKey", func(f *fixture) {
		for _, key := range []string{"b", "a", "c/d", "B"} {
			f.must(f.writer(content.IngestOptions{Key: key, Total: -1}).Close())
		}
		var keys []string
		for st, err := range f.Active(f.Context()) {
			f.must(err)
			keys = append(keys, st.Key)
		}
		if want := []string{"B", "a", "b", "c/d"}; !slices.Equal(keys, want) {
			f.Errorf("Active lists %q, want %q", keys, want)
		}
	}},
	{"AbortDropsAnIngest", func(f *fixture) {
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.write(w, noise(1, 1<<20))
		f.must(w.Close())
		f.must(f.Abort(f.Context(), "k"))
		_, err := f.Status(f.Context(), "k")
		f.want(content.ErrNotFound, err)
		f.want(content.ErrNotFound, f.Abort(f.Context(), "k"))
		if off := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets}).Status().Offset; off != 0 {
			f.Errorf("the key's next ingest stands at %d", off)
		}
	}},
	{"ALiveIngestIsNotAborted", func(f *fixture) {
		w := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.want(content.ErrConflict, f.Abort(f.Context(), "k"))
		f.write(w, []byte("still there"))
		f.commit(w)
		f.holds(oci.DigestBytes([]byte("still there")), []byte("still there"))
	}},
	{"OneLiveWriterForAKey", func(f *fixture) {
		f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		ctx, cancel := context.WithCancel(f.Context())
		got := make(chan error)
		go func() {
			w, err := f.Writer(ctx, content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
			if err == nil {
				_ = w.Close()
			}
			got <- err
		}()
		cancel()
		f.want(context.Canceled, <-got)
	}},
	{"TheNextWriterGoesOnWhereTheLastLeft", func(f *fixture) {
		first := f.writer(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		next := f.background(content.IngestOptions{Key: "k", Total: -1, MediaType: octets})
		f.write(first, []byte("first, "))
		f.must(first.Close())
		got := <-next
		f.must(got.err)
		f.write(got.w, []byte("then next"))
		f.commit(got.w)
		whole := []byte("first, then next")
		f.holds(oci.DigestBytes(whole), whole)
	}},
	{"WhoWaitedForContentGetsErrExists", func(f *fixture) {
		data := noise(1, 1000)
		opts := content.IngestOptions{Key: "k", Expected: oci.DigestBytes(data), Total: 1000, MediaType: octets}
		first := f.writer(opts)
		next := f.background(opts)
		f.write(first, data)
		f.commit(first)
		f.want(content.ErrExists, (<-next).err)
	}},
	{"AnotherDigestForAKeyIsAConflict", func(f *fixture) {
		opts := content.IngestOptions{Key: "k", Expected: oci.DigestBytes([]byte("a")), Total: 1, MediaType: octets}
		f.must(f.writer(opts).Close())
		opts.Expected = oci.DigestBytes([]byte("b"))
		_, err := f.Writer(f.Context(), opts)
		f.want(content.ErrConflict, err)
	}},
	{"AnotherSizeForAKeyIsAConflict", func(f *fixture) {
		opts := content.IngestOptions{Key: "k", Total: 5, MediaType: octets}
		f.must(f.writer(opts).Close())
		opts.Total = 6
		_, err := f.Writer(f.Context(), opts)
		f.want(content.ErrConflict, err)
	}},
	{"DigestAndSizeMayBecomeKnownLater", func(f *fixture) {
		for i, n := range []int{100, 1 << 20} {
			for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
				data := append(noise(uint64(i), n), alg...)
				opts := content.IngestOptions{Key: fmt.Sprint(alg, n), Total: -1, MediaType: octets}
				w := f.writer(opts)
				f.write(w, data)
				f.must(w.Close())
				opts.Expected, opts.Total = alg.FromBytes(data), int64(len(data))
				w = f.writer(opts)
				if st := w.Status(); st.Expected != opts.Expected || st.Total != opts.Total || st.Offset != opts.Total {
					f.Fatalf("Status is %+v", st)
				}
				f.commit(w)
				f.holds(opts.Expected, data)
			}
		}
	}},
}

// liveness checks that the ingest with a key is told to be live, or not.
func (f *fixture) liveness(key string, live bool) {
	f.Helper()
	one, err := f.Status(f.Context(), key)
	f.must(err)
	all := []content.Status{one}
	for st, err := range f.Active(f.Context()) {
		f.must(err)
		if st.Key == key {
			all = append(all, st)
		}
	}
	if len(all) != 2 {
		f.Fatalf("Active lists %q %d times", key, len(all)-1)
	}
	for _, st := range all {
		if st.Live != live || (st.PID == os.Getpid()) != live || !live && st.PID != 0 {
			f.Errorf("live is %v, process %d, want %v", st.Live, st.PID, live)
		}
	}
}

// opened is what Writer returned in another goroutine.
type opened struct {
	w   content.Writer
	err error
}

// background opens a writer in another goroutine, which may have to wait.
func (f *fixture) background(opts content.IngestOptions) <-chan opened {
	got := make(chan opened, 1)
	go func() {
		w, err := f.Writer(f.Context(), opts)
		if err == nil {
			f.Cleanup(func() { _ = w.Close() })
		}
		got <- opened{w, err}
	}()
	return got
}
