package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver"
	"dist.example/registryserver/mirror"
	"dist.example/registryserver/registrytest"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// rig is a server that stands for a registry.
type rig struct {
	*testing.T
	up     *registrytest.Registry
	store  content.Store
	mirror *mirror.Mirror
	url    string
	clock  *clock
}

func newRig(t *testing.T) *rig {
	return over(t, memory.New(), registrytest.New(t, registrytest.Options{}), &clock{now: time.Now()})
}

// over is a server over store that mirrors up.
func over(t *testing.T, store content.Store, up *registrytest.Registry, c *clock) *rig {
	t.Helper()
	client, err := registryclient.New(registryclient.Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true,
		Retries: 2, RetryBase: time.Millisecond, Servers: map[string]string{"docker.io": up.URL, "quay.io": up.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	m := mirror.New(store, mirror.Options{
		Registries: []string{"docker.io", "quay.io"}, Revalidate: 5 * time.Minute, Now: c.read,
		Open: func(repo oci.Reference) mirror.Repository { return client.Repository(repo) },
	})
	srv := httptest.NewServer(registryserver.New(store, registryserver.Options{Upstream: m}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		m.Close()
		srv.Close()
	})
	return &rig{t, up, store, m, srv.URL, c}
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the body
}

// do asks the mirror. Headers come in pairs.
func (r *rig) do(method, path string, header ...string) answer {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.url+"/v2/"+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body, err}
}

// gets fails unless path has data.
func (r *rig) gets(path string, data []byte) {
	r.Helper()
	a := r.do("GET", path)
	if a.err != nil || a.status != 200 || !bytes.Equal(a.body, data) {
		r.Fatalf("GET %s: status %d, %d bytes, %v; want %d bytes: %.200s", path, a.status, len(a.body), a.err, len(data), a.body)
	}
}

func (r *rig) wantStatus(method, path string, status int) answer {
	r.Helper()
	a := r.do(method, path)
	if a.status != status {
		r.Fatalf("%s %s: status %d (%v), want %d: %.200s", method, path, a.status, a.err, status, a.body)
	}
	return a
}

func (r *rig) blob(seed uint64, n int) (string, []byte) {
	data := registrytest.Bytes(seed, n)
	return "library/app/blobs/" + r.up.PutBlob(oci.MediaTypeLayer, data).Digest.String(), data
}

// pull asks for a tag and all that it leads to, as clients do, and returns the digest.
func (r *rig) pull(path string) oci.Digest {
	r.Helper()
	a := r.wantStatus("GET", "library/app/manifests/"+path, 200)
	for _, e := range r.edges(a) {
		kind := "blobs/"
		if e.Role == oci.RoleManifest {
			r.pull(e.Digest.String())
			continue
		}
		b := r.wantStatus("GET", "library/app/"+kind+e.Digest.String(), 200)
		if b.err != nil || oci.DigestBytes(b.body) != e.Digest {
			r.Fatalf("blob %s came as %d bytes, %v", e.Digest, len(b.body), b.err)
		}
	}
	return oci.Digest(a.header.Get("Docker-Content-Digest"))
}

func (r *rig) edges(a answer) []oci.Edge {
	r.Helper()
	edges, err := oci.Successors(a.header.Get("Content-Type"), a.body)
	if err != nil {
		r.Fatal(err)
	}
	return edges
}

// named fails unless the store's name stands for d; "" for no such name.
func (r *rig) named(tag string, d oci.Digest) {
	r.Helper()
	ref, err := oci.ParseReference("docker.io/library/app:" + tag)
	if err != nil {
		r.Fatal(err)
	}
	got, err := r.store.Resolve(r.Context(), ref)
	if err != nil && !errors.Is(err, content.ErrNotFound) || got.Digest != d {
		r.Errorf("the store's name %s is %q (%v), want %q", tag, got.Digest, err, d)
	}
}

func (r *rig) count(method string, k registryserver.Kind, want int) {
	r.Helper()
	if n := r.up.Count(registrytest.Match{Method: method, Kind: k}); n != want {
		r.Errorf("upstream was asked %d times by %s for %ss, want %d", n, method, k, want)
	}
}

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

// eventually waits until what is true.
func (r *rig) eventually(what string, is func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("it never came to this: %s", what)
		}
	}
}

// What has come is passed on before the rest is there.
func TestABlobIsPassedOnWhileItComes(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 4<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Stall(3<<20, r.up.Healed()))
	resp, err := http.Get(r.url + "/v2/" + path)
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
	if err := rigs[1].store.(*blobstore.Store).Check(t.Context(), image.Digest); err != nil {
		t.Error(err)
	}
}

// A wrong blob is fetched once more. When that is wrong, too, nobody has got it whole,
// and nothing of it is left.
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
		if _, err := r.store.Status(t.Context(), d.String()); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("a part of the wrong blob is kept: %v", err)
		}
		r.up.Heal()
		r.clock.advance(time.Minute)
		r.gets(path, data)
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

// A server that ends in the middle leaves what it has to the next one.
func TestTheNextServerGoesOn(t *testing.T) {
	up := registrytest.New(t, registrytest.Options{})
	store, c := memory.New(), &clock{now: time.Now()}
	first := over(t, store, up, c)
	path, data := first.blob(1, 4<<20)
	up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob, Times: 1}, registrytest.Stall(3<<20, up.Healed()))
	ended := make(chan answer, 1)
	go func() { ended <- first.do("GET", path) }()
	key := oci.DigestBytes(data).String()
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

func TestWhatWasPulledIsThereWithoutUpstream(t *testing.T) {
	r := newRig(t)
	index := r.up.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	arm := r.edges(r.wantStatus("GET", "library/app/manifests/v1", 200))[1].Digest
	r.named("v1", "")
	r.pull(arm.String())
	r.named("v1", index.Digest)
	amd := r.edges(r.wantStatus("GET", "library/app/manifests/v1", 200))[0].Digest
	r.up.Close()
	if d := oci.Digest(r.wantStatus("HEAD", "library/app/manifests/v1", 200).header.Get("Docker-Content-Digest")); d != index.Digest {
		t.Errorf("v1 is %s, want %s", d, index.Digest)
	}
	r.pull(arm.String())
	r.wantStatus("GET", "library/app/manifests/"+amd.String(), 503)
	r.clock.advance(time.Hour)
	a := r.wantStatus("GET", "library/app/manifests/v1", 200)
	if a.header.Get("Warning") == "" {
		t.Error("nothing warns that the tag may have moved")
	}
	r.pull(arm.String())
	if a := r.wantStatus("GET", "library/app/tags/list", 200); !bytes.Contains(a.body, []byte(`"v1"`)) {
		t.Errorf("the tags are %s", a.body)
	}
}

// Blobs of every size come whole, also where their size is told by nobody.
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

// Who asked first may go: the others get it all the same, and so does who comes next.
func TestAFetchGoesOnWithoutItsAsker(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 4<<20)
	r.up.Inject(registrytest.Match{Method: "GET", Kind: registryserver.KindBlob}, registrytest.Stall(3<<20, r.up.Healed()))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
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

// A manifest whose blobs have not come is served, but the store does not count it.
func TestAManifestWithoutItsBlobsIsNoObject(t *testing.T) {
	r := newRig(t)
	image := r.up.PushDockerImage("app:v1", registrytest.Bytes(1, 100_000))
	for range 2 {
		a := r.wantStatus("GET", "library/app/manifests/v1", 200)
		if a.header.Get("Content-Type") != oci.MediaTypeDockerManifest || oci.DigestBytes(a.body) != image.Digest {
			t.Errorf("it came as %s %s", a.header.Get("Content-Type"), oci.DigestBytes(a.body))
		}
		r.wantStatus("HEAD", "library/app/manifests/"+image.Digest.String(), 200)
	}
	r.count("GET", registryserver.KindManifest, 1)
	r.count("GET", registryserver.KindBlob, 0)
	if _, err := r.store.Info(t.Context(), image.Digest); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("the store has it: %v", err)
	}
	r.pull("v1")
	if _, err := r.store.Info(t.Context(), image.Digest); err != nil {
		t.Errorf("the store does not have it: %v", err)
	}
	r.named("v1", image.Digest)
}

func TestATagIsAskedForWhenItIsOld(t *testing.T) {
	r := newRig(t)
	one := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.pull("v1")
	two := r.up.PushImage("app:v1", registrytest.Bytes(2, 1000))
	r.clock.advance(4 * time.Minute)
	r.up.Forget()
	if d := r.pull("v1"); d != one.Digest {
		t.Errorf("within the time v1 is %s, want %s", d, one.Digest)
	}
	r.count("", "", 0)
	r.clock.advance(2 * time.Minute)
	if d := r.pull("v1"); d != two.Digest {
		t.Errorf("after the time v1 is %s, want %s", d, two.Digest)
	}
	r.named("v1", two.Digest)
	// One look is all that it costs when it stands for what it stood for, or for what
	// is here.
	for _, image := range []oci.Descriptor{two, one} {
		r.up.Tag("app:v1", image.Digest)
		r.clock.advance(6 * time.Minute)
		r.up.Forget()
		if d := r.pull("v1"); d != image.Digest {
			t.Errorf("v1 is %s, want %s", d, image.Digest)
		}
		r.named("v1", image.Digest)
		r.count("HEAD", registryserver.KindManifest, 1)
		r.count("GET", "", 0)
	}
}

func TestATagThatIsGoneIsGone(t *testing.T) {
	r := newRig(t)
	image := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.pull("v1")
	ref, _ := oci.ParseReference("docker.io/library/app:v1")
	if err := r.up.Store().SetNames(t.Context(), content.NameChange{Reference: ref}); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Hour)
	r.wantStatus("GET", "library/app/manifests/v1", 404)
	r.pull(image.Digest.String())
	r.named("v1", image.Digest)
}

// What the owner of the store has named counts from then on.
func TestTheOwnersNameCounts(t *testing.T) {
	r := newRig(t)
	r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	mine := r.up.PushImage("app:v2", registrytest.Bytes(2, 1000))
	r.pull("v1")
	r.pull("v2")
	ref, _ := oci.ParseReference("docker.io/library/app:v1")
	if err := r.store.SetNames(t.Context(), content.NameChange{Reference: ref, Target: mine.Digest, Why: "tag"}); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(time.Minute)
	if d := r.pull("v1"); d != mine.Digest {
		t.Errorf("v1 is %s, want %s", d, mine.Digest)
	}
}

func TestARefusalIsRememberedForAWhile(t *testing.T) {
	r := newRig(t)
	none := oci.DigestBytes([]byte("none")).String()
	paths := []string{"library/app/manifests/v1", "library/app/manifests/" + none, "library/app/blobs/" + none}
	for _, path := range paths {
		r.wantStatus("GET", path, 404)
	}
	r.up.Forget()
	for _, path := range paths {
		r.wantStatus("GET", path, 404)
	}
	r.count("", "", 0)
	for st, err := range r.store.Active(t.Context()) {
		t.Errorf("ingest %s is left, %v", st.Key, err)
	}
	r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.clock.advance(time.Minute)
	r.pull("v1")
}

func TestWhatUpstreamSaysStaysHere(t *testing.T) {
	for status, want := range map[int]int{401: 404, 403: 404, 404: 404, 429: 503, 500: 503, 502: 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := newRig(t)
			r.up.Inject(registrytest.Match{}, registrytest.Answer(status))
			for _, path := range []string{"manifests/v1", "blobs/" + oci.DigestBytes(nil).String()} {
				a := r.wantStatus("GET", "library/app/"+path, want)
				if bytes.Contains(a.body, []byte("the test asked for this")) || bytes.Contains(a.body, []byte(r.up.Host)) {
					t.Errorf("the answer is %s", a.body)
				}
				if want == 503 && a.header.Get("Retry-After") == "" {
					t.Error("nothing says when to try again")
				}
			}
		})
	}
}

// What one repository has is in no other before its registry says so.
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
	r.count("GET", "", 0)
}

func TestReferrersAreThoseOfBoth(t *testing.T) {
	r := newRig(t)
	image := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.pull("v1")
	sig := oci.Manifest{MediaType: oci.MediaTypeManifest, ArtifactType: "application/x-sig", Subject: &image, Layers: []oci.Descriptor{}}
	sig.SchemaVersion = 2
	sig.Config = r.up.PutBlob(oci.MediaTypeEmpty, []byte("{}"))
	about := r.up.PutManifest("", oci.MediaTypeManifest, sig)
	list := func() (ds []oci.Digest) {
		t.Helper()
		var x oci.Index
		a := r.wantStatus("GET", "library/app/referrers/"+image.Digest.String(), 200)
		if err := json.Unmarshal(a.body, &x); err != nil {
			t.Fatal(err)
		}
		for _, d := range x.Manifests {
			ds = append(ds, d.Digest)
		}
		return ds
	}
	if got := list(); len(got) != 1 || got[0] != about.Digest {
		t.Fatalf("the referrers are %v, want %s", got, about.Digest)
	}
	r.pull(about.Digest.String())
	r.up.Close()
	r.clock.advance(time.Hour)
	if got := list(); len(got) != 1 || got[0] != about.Digest {
		t.Errorf("without upstream the referrers are %v, want %s", got, about.Digest)
	}
}

// ns says which registry a path is below, and only those that are known count.
func TestNsIsTheHost(t *testing.T) {
	r := newRig(t)
	r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.wantStatus("GET", "library/app/manifests/v1?ns=docker.io", 200)
	r.wantStatus("GET", "docker.io/library/app/manifests/v1", 200)
	r.wantStatus("GET", "app/manifests/v1?ns=quay.io", 200)
	quay := r.up.Matching(registrytest.Match{Path: "/v2/app/"})
	if len(quay) == 0 || quay[0].Query != "ns=quay.io" {
		t.Errorf("of quay.io upstream was asked %v", quay)
	}
	r.wantStatus("GET", "quay.io/app/manifests/v1", 200)
	r.wantStatus("GET", "library/app/manifests/v1?ns=ghcr.io", 404)
	r.wantStatus("GET", "library/app/manifests/v1?ns=..", 400)
}
