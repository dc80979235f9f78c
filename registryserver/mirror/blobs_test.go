package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

func TestOneFetchesForAllWhoAsk(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 3<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Stall(1<<20, r.up.Healed()))
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if a := r.do("GET", path); a.err != nil || !bytes.Equal(a.body, data) {
				r.Errorf("status %d, %d bytes of %d, %v", a.status, len(a.body), len(data), a.err)
			}
		})
	}
	r.eventually("64 ask", func() bool { return r.up.Count(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}) == 1 })
	r.up.Heal()
	all.Wait()
	r.count("GET", registryserver.KindBlob, 1)
	r.gets(path, data)
	r.count("GET", registryserver.KindBlob, 1)
}

func TestABlobIsPassedOnWhileItComes(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 4<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Stall(3<<20, r.up.Healed()))
	resp, err := (&http.Client{Transport: transport}).Get(r.url + "/v2/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ContentLength != int64(len(data)) {
		t.Errorf("the length is %d, want %d", resp.ContentLength, len(data))
	}
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(resp.Body, head); err != nil || !bytes.Equal(head, data[:len(head)]) {
		t.Fatalf("the first part did not come: %v", err)
	}
	a := r.do("GET", path, "Range", "bytes=1000-1999")
	if a.status != 206 || !bytes.Equal(a.body, data[1000:2000]) {
		t.Errorf("a range of what has come: status %d, %d bytes", a.status, len(a.body))
	}
	r.up.Heal()
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(rest, data[len(head):]) {
		t.Errorf("the rest came as %d bytes, %v", len(rest), err)
	}
	r.count("GET", registryserver.KindBlob, 1)
}

func TestTwoServersOverOneStoreFetchOnce(t *testing.T) {
	up := registrytest.New(t, registrytest.Options{})
	dir, c := t.TempDir(), &clock{now: time.Now()}
	var rigs []*rig
	for range 2 {
		s, err := blobstore.Open(t.Context(), dir, blobstore.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		rigs = append(rigs, over(t, s, up, c))
	}
	path, data := rigs[0].blob(1, 3<<20)
	image := up.PushImage("app:v1", registrytest.Bytes(2, 1000))
	up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob, Times: 1}, registrytest.Stall(1<<20, up.Healed()))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { rigs[i%2].gets(path, data) })
	}
	rigs[0].eventually("both ask", func() bool {
		return up.Count(registrytest.Match{Method: "HEAD", Kind: registryserver.KindBlob}) == 2 &&
			up.Count(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}) == 1
	})
	up.Heal()
	all.Wait()
	rigs[0].count("GET", registryserver.KindBlob, 1)
	for _, r := range rigs {
		if d := r.pull("v1"); d != image.Digest {
			t.Errorf("v1 is %s, want %s", d, image.Digest)
		}
		r.named("v1", image.Digest)
	}
	rigs[0].count("GET", registryserver.KindManifest, 1)
	rigs[0].count("HEAD", registryserver.KindManifest, 1)
	if err := rigs[1].store.(*blobstore.Store).Check(t.Context(), image.Digest); err != nil {
		t.Error(err)
	}
}

func TestNobodyGetsAWrongBlobWhole(t *testing.T) {
	for _, where := range []int{0, 1 << 20, 2<<20 - 1} {
		r := newRig(t)
		path, data := r.blob(1, 2<<20)
		d := oci.DigestBytes(data)
		r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Corrupt(where))
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if a := r.do("GET", path); a.err == nil && len(a.body) == len(data) {
					r.Errorf("all of a wrong blob came, with status %d", a.status)
				}
			})
		}
		all.Wait()
		if _, err := r.store.Info(t.Context(), d); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("the wrong blob is held: %v", err)
		}
		for part, err := range r.store.Active(t.Context()) {
			t.Errorf("a part of the wrong blob is kept: %v, %v", part.Key, err)
		}
		r.up.Heal()
		r.clock.advance(time.Minute)
		r.gets(path, data)
	}
}

// What is short enough to be verified first ends in an answer, not in a cut, nor in
// nothing at all for the whole.
func TestAShortBlobThatIsWrongIsRefused(t *testing.T) {
	for _, told := range []string{"0", "10"} {
		r := newRig(t)
		path, _ := r.blob(1, 1000)
		get := registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}
		r.up.Inject(registrytest.Match{Method: "HEAD"}, registrytest.SetHeader("Content-Length", told))
		r.up.Inject(get, registrytest.Stall(500, r.up.Healed()))
		ended := make(chan answer, 1)
		go func() { ended <- r.do("GET", path) }()
		r.eventually("the blob is on its way", func() bool { return r.up.Count(get) == 1 || len(ended) == 1 })
		r.up.Heal()
		if a := <-ended; a.status != http.StatusBadGateway || a.err != nil {
			t.Errorf("of a blob of 1000 bytes that was said to have %s came %d, %d bytes, %v", told, a.status, len(a.body), a.err)
		}
	}
}

func TestABlobThatIsRightTheSecondTimeIsStored(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 2<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob, Times: 1}, registrytest.Corrupt(100))
	if a := r.do("GET", path); a.err == nil && len(a.body) == len(data) && !bytes.Equal(a.body, data) {
		t.Error("all of a wrong blob came")
	}
	r.gets(path, data)
}

func TestABlobThatBreaksOffGoesOn(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 2<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob, Times: 1}, registrytest.CutAfter(1<<20))
	r.gets(path, data)
	if n := r.up.BlobBytes(""); n > int64(len(data))+256<<10 {
		t.Errorf("upstream sent %d bytes of a blob of %d", n, len(data))
	}
}

func TestTheNextServerGoesOn(t *testing.T) {
	up := registrytest.New(t, registrytest.Options{})
	store, c := memory.New(), &clock{now: time.Now()}
	first := over(t, store, up, c)
	path, data := first.blob(1, 4<<20)
	up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob, Times: 1}, registrytest.Stall(3<<20, up.Healed()))
	ended := make(chan answer, 1)
	go func() { ended <- first.do("GET", path) }()
	key := "mirror-docker.io@" + oci.DigestBytes(data).String()
	first.eventually("half of it is here", func() bool {
		st, err := store.Status(context.Background(), key)
		return err == nil && st.Offset >= 2<<20
	})
	if err := first.mirror.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-ended; a.err == nil && len(a.body) == len(data) {
		t.Error("all of it came")
	}
	up.Forget()
	over(t, store, up, c).gets(path, data)
	if n := up.BlobBytes(""); n > 2<<20 {
		t.Errorf("%d bytes were sent again", n)
	}
}

func TestBlobsOfEverySizeCome(t *testing.T) {
	r := newRig(t)
	for _, told := range []bool{true, false} {
		for i, n := range []int{0, 1, 32 << 10, 32<<10 + 1, 300_000} {
			path, data := r.blob(uint64(i+10), n+map[bool]int{false: 2}[told])
			r.gets(path, data)
			r.gets(path, data)
		}
		r.up.Inject(registrytest.Match{Kind: registryserver.KindBlob}, registrytest.Chunked())
	}
}

func TestAFetchGoesOnWithoutItsAsker(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 4<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Stall(3<<20, r.up.Healed()))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	resp.Body.Close()
	r.up.Heal()
	r.eventually("the blob is here", func() bool {
		_, err := r.store.Info(t.Context(), oci.DigestBytes(data))
		return err == nil
	})
	r.gets(path, data)
	r.count("GET", registryserver.KindBlob, 1)
}

func TestABlobIsInTheRepositoriesThatHaveIt(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 1000)
	r.gets(path, data)
	r.up.Forget()
	other := "library/other/blobs/" + oci.DigestBytes(data).String()
	r.up.Inject(registrytest.Match{Path: "library/other"}, registrytest.Answer(404))
	r.wantStatus("GET", other, 404)
	r.wantStatus("HEAD", other, 404)
	r.up.Heal()
	r.clock.advance(time.Minute)
	r.gets(other, data)
	r.count("GET", registryserver.KindBlob, 0)
}

func TestHeadGetsNothing(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 1<<20)
	a := r.wantStatus("HEAD", path, 200)
	if a.header.Get("Content-Length") != fmt.Sprint(len(data)) || a.header.Get("Docker-Content-Digest") != oci.DigestBytes(data).String() {
		t.Errorf("HEAD tells of %v", a.header)
	}
	if a := r.do("HEAD", path, "If-None-Match", a.header.Get("ETag")); a.status != http.StatusNotModified {
		t.Errorf("to who has it HEAD answers %d", a.status)
	}
	r.count("GET", "", 0)
}
