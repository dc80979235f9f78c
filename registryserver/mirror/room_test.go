package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/mirror"
	"dist.example/registryserver/registrytest"
)

// limited is a server whose store takes no more than limit bytes.
func limited(t *testing.T, limit int64, makeRoom func(context.Context, mirror.Want) error) *rig {
	up := registrytest.New(t, registrytest.Options{})
	return withRoom(t, memory.NewLimited(limit), up, &clock{now: time.Now()}, makeRoom)
}

func TestWhatThereIsNoRoomForIsPassedOn(t *testing.T) {
	r := limited(t, 10, nil)
	for i, n := range []int{11, 32 << 10, 32<<10 + 1, 300_000} {
		path, data := r.blob(uint64(i+1), n)
		r.gets(path, data)
		r.gets(path, data)
		a := r.do("GET", path, "Range", "bytes=5-8")
		if a.status != http.StatusPartialContent || !bytes.Equal(a.body, data[5:9]) {
			t.Errorf("of a range of %d bytes came %d, %q, %v", n, a.status, a.body, a.err)
		}
		if _, err := r.store.Info(t.Context(), oci.DigestBytes(data)); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("a blob of %d bytes is held: %v", n, err)
		}
	}
	for part, err := range r.store.Active(t.Context()) {
		t.Errorf("a part is kept: %v, %v", part.Key, err)
	}
}

func TestWhatIsPassedOnIsNotWrongWhole(t *testing.T) {
	for _, where := range []int{0, 1 << 20, 2<<20 - 1} {
		r := limited(t, 10, nil)
		path, data := r.blob(1, 2<<20)
		r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Corrupt(where))
		if a := r.do("GET", path); a.err == nil && len(a.body) == len(data) {
			t.Errorf("all of a blob that is wrong at %d came, with status %d", where, a.status)
		}
	}
}

// Without its size a blob cannot be passed on, and is refused.
func TestOfUnknownSizeNothingIsPassedOn(t *testing.T) {
	r := limited(t, 10, nil)
	path, _ := r.blob(1, 1000)
	r.up.Inject(registrytest.Match{Kind: registryserver.KindBlob}, registrytest.Chunked())
	r.wantStatus("GET", path, http.StatusInsufficientStorage)
}

func TestAnImageThatThereIsNoRoomForCanBePulled(t *testing.T) {
	for _, limit := range []int64{10, 3_500} { // for nothing, for one layer
		r := limited(t, limit, nil)
		image := r.up.PushImage("library/app:v1", registrytest.Bytes(1, 3_000), registrytest.Bytes(2, 200_000))
		if got := r.pull("v1"); got != image.Digest {
			t.Errorf("with room for %d bytes %s came in place of %s", limit, got, image.Digest)
		}
		r.named("v1", "")
	}
}

// Room is asked for once at a time, for what comes with all else that comes, and what
// gathers for a manifest stays when leases end.
func TestRoomIsMadeForWhatComes(t *testing.T) {
	var (
		mu    sync.Mutex
		busy  bool
		wants []int64
		r     *rig
	)
	makeRoom := func(ctx context.Context, want mirror.Want) error {
		mu.Lock()
		if busy {
			t.Error("room is made twice at once")
		}
		busy = true
		wants = append(wants, want.Bytes)
		mu.Unlock()
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			busy = false
		}()
		before := leases(r)
		more, err := want.Shed(ctx)
		if after := leases(r); more || err != nil || len(after) > len(before)+1 {
			t.Errorf("shed says %v, %v, of %d leases came %d", more, err, len(before), len(after))
		}
		return nil
	}
	r = limited(t, 0, makeRoom)
	image := r.up.PushImage("library/app:v1", registrytest.Bytes(1, 1<<20), registrytest.Bytes(2, 2<<20))
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Stall(500, r.up.Healed()))
	edges := r.edges(r.wantStatus("GET", "library/app/manifests/v1", 200))
	var all sync.WaitGroup
	for _, e := range edges {
		all.Go(func() { r.do("GET", "library/app/blobs/"+e.Digest.String()) })
	}
	r.eventually("room was made for all", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(wants) == len(edges)
	})
	r.up.Heal()
	all.Wait()
	r.named("v1", image.Digest)
	if most := slices.Max(wants); most < 3<<20 {
		t.Errorf("room was made for %d, and for no more than %d bytes at once", wants, most)
	}
}

func leases(r *rig) (ids []string) {
	for l, err := range r.store.AllLeases(r.Context()) {
		if err != nil {
			r.Error(err)
		}
		ids = append(ids, l.ID)
	}
	return ids
}

// What came by itself makes room, what gathers for an image stays, until it is there.
func TestWhatIsBeingPulledStays(t *testing.T) {
	store, err := blobstore.Open(t.Context(), t.TempDir(), blobstore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	var blobs []oci.Digest
	makeRoom := func(ctx context.Context, want mirror.Want) error {
		for more := true; more; {
			var err error
			if more, err = want.Shed(ctx); err != nil {
				return err
			}
		}
		for _, d := range blobs { // of those here, what no lease holds goes
			if err := store.Delete(ctx, d); err != nil && !errors.Is(err, content.ErrConflict) {
				return err
			}
		}
		return nil
	}
	up := registrytest.New(t, registrytest.Options{})
	r := withRoom(t, store, up, &clock{now: time.Now()}, makeRoom)
	alone, data := r.blob(1, 100_000)
	blobs = append(blobs, oci.DigestBytes(data))
	r.gets(alone, data)
	image := up.PushImage("library/app:v1", registrytest.Bytes(2, 300_000), registrytest.Bytes(3, 300_001), registrytest.Bytes(4, 300_002))
	for _, e := range r.edges(r.wantStatus("GET", "library/app/manifests/v1", 200)) {
		blobs = append(blobs, e.Digest)
	}
	r.pull("v1")
	r.named("v1", image.Digest)
	r.count("GET", registryserver.KindBlob, 5)
	r.count("GET", registryserver.KindManifest, 1)
	if err := store.Check(t.Context(), image.Digest); err != nil {
		t.Error(err)
	}
	if _, err := store.Info(t.Context(), oci.DigestBytes(data)); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("what nobody pulls any more is still here: %v", err)
	}
}
