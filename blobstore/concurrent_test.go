package blobstore_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

func TestManyProcessesPutTheSameAndOthers(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	const processes = 10
	errs := make(chan error, processes)
	for i := range processes {
		cmd := child(t, "put", append([]string{s.Dir()}, numbers(i+1)...)...)
		go func() { errs <- cmd.Run() }()
	}
	for range processes {
		must(t, <-errs)
	}
	n := 0
	for _, err := range s.All(t.Context()) {
		must(t, err)
		n++
	}
	if want := 4 * (processes + 1); n != want {
		t.Errorf("%d blobs, want %d", n, want)
	}
	sound(t, s)
	noIngests(t, s)
	if n := files(t, s, "leases"); n != 0 {
		t.Errorf("%d lease files are left", n)
	}
}

// A lease counts while its owner lives, and no longer when it was killed.
func TestALivingProcessKeepsWhatItPut(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	c := start(t, child(t, "hold", append([]string{s.Dir()}, numbers(1)...)...))
	c.ready(t)
	d := oci.DigestBytes(noise(1, 100))
	want(t, content.ErrConflict, s.Delete(t.Context(), d))
	var held *blobstore.HeldError
	if err := s.Delete(t.Context(), d); !errors.As(err, &held) || len(held.Holders) == 0 {
		t.Errorf("who holds it is not told: %v", err)
	}
	c.kill(t)
	must(t, s.Delete(t.Context(), d))
	lacks(t, s, noise(1, 100))
}

func TestGoroutinesShareASession(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	const workers, each = 8, 25
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		told = map[oci.Digest]int{}
	)
	for g := range workers {
		wg.Go(func() {
			for i := range each {
				for _, seed := range []int{i, 1000 + g*each + i} { // the same for all, and its own
					_, err := ses.Put(t.Context(), blobstore.Blob{Data: noise(uint64(seed), 500), Done: func(i content.Info) {
						mu.Lock()
						defer mu.Unlock()
						told[i.Digest]++
					}})
					if err != nil {
						t.Error(err)
					}
				}
				if _, err := store(ses, content.IngestOptions{Total: -1}, noise(uint64(3000+i), 400)); err != nil {
					t.Error(err)
				}
				if r, err := ses.Fetch(t.Context(), describe("", noise(uint64(3000+i), 400))); err != nil {
					t.Error(err)
				} else if got, err := io.ReadAll(r); err != nil || len(got) != 400 {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if i%5 == g%5 {
					if err := ses.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
			large := noise(uint64(5000+g%2), 300<<10)
			if _, err := store(ses, ingest(large), large); err != nil && !errors.Is(err, content.ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	must(t, ses.Commit(t.Context()))
	if len(told) != each+workers*each { // the writers' are told of to nobody
		t.Errorf("%d objects were told of", len(told))
	}
	for i := range each {
		if n := told[oci.DigestBytes(noise(uint64(i), 500))]; n != workers {
			t.Errorf("blob %d was told of %d times", i, n)
		}
	}
	sound(t, s)
	noIngests(t, s)
}

func TestGoroutinesShareAStore(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	stores := []*blobstore.Store{open(t, dir), open(t, dir)}
	blobs := [][]byte{noise(1, 1000), noise(2, 300<<10), bytes.Repeat([]byte("text "), 80<<10)}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			s := stores[g%2]
			for _, p := range append(blobs, noise(uint64(100+g), 700)) {
				o := ingest(p)
				if g%3 == 0 {
					o.Key, o.Expected = "", ""
				}
				if _, err := store(s, o, p); err != nil && !errors.Is(err, content.ErrExists) {
					t.Error(err)
				}
				if err := s.Check(t.Context(), oci.DigestBytes(p)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		sound(t, s)
		noIngests(t, s)
	}
}

func TestPathsAreWholeWhateverHappens(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	stores := []*blobstore.Store{open(t, dir), open(t, dir)}
	p := noise(1, 100<<10)
	d := mustStore(t, stores[0], p).Digest
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 10 {
				name, err := stores[g%2].Path(t.Context(), d)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := os.ReadFile(name); err == nil && !bytes.Equal(got, p) {
					t.Errorf("%s has %d other bytes", name, len(got))
				}
				if g == 0 {
					os.Remove(name) // a collection
				}
			}
		})
	}
	wg.Wait()
	if n := files(t, stores[0], "views", "sha256"); n > 1 {
		t.Errorf("%d views of one blob", n)
	}
}

func TestASessionEndsWhileItsBatchIsOnItsWay(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	for i := range 5 {
		ses := begin(t, s, blobstore.SessionOptions{Note: "test", Keep: time.Hour})
		put(t, ses, oci.MediaTypeOctets, noise(uint64(i), 100))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := ses.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		must(t, ses.Close())
		must(t, ses.Close())
		holds(t, s, noise(uint64(i), 100))
	}
}

// overtaken has somebody else make the store once it was seen that there is none.
type overtaken struct {
	fsys.FS
	others func()
}

func (o *overtaken) Stat(name string) (fs.FileInfo, error) {
	if filepath.Base(name) == "store.json" && o.others != nil {
		others := o.others
		o.others = nil
		others()
	}
	return o.FS.Stat(name)
}

func TestAStoreThatIsMadeMeanwhileIsOpened(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	disk := &overtaken{fsys.OS(), func() { open(t, dir) }}
	openWith(t, dir, blobstore.Options{FS: disk})
	if disk.others != nil {
		t.Error("nobody was asked to make it")
	}
}
