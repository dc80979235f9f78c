package mirror_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

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

func TestAnImageThatIsHereFromElsewhereGetsItsName(t *testing.T) {
	r := newRig(t)
	r.up.PushImage("other:v1", registrytest.Bytes(1, 1000))
	image := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.wantStatus("GET", "library/other/manifests/v1", 200)
	for _, e := range r.edges(r.wantStatus("GET", "library/other/manifests/v1", 200)) {
		r.wantStatus("GET", "library/other/blobs/"+e.Digest.String(), 200)
	}
	r.eventually("the image is held", func() bool {
		_, err := r.store.Info(t.Context(), image.Digest)
		return err == nil
	})
	r.pull("v1")
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
	// The name moves a minute after the tag was asked for: that is how long blobs take.
	r := over(t, memory.New(), registrytest.New(t, registrytest.Options{}), &clock{now: time.Now().Add(-time.Minute)})
	image := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	r.pull("v1")
	ref, _ := oci.ParseReference("docker.io/library/app:v1")
	if err := r.up.Store().SetNames(t.Context(), content.NameChange{Reference: ref}); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(5*time.Minute + time.Second)
	for range 3 {
		r.wantStatus("GET", "library/app/manifests/v1", 404)
		r.clock.advance(10 * time.Second)
	}
	r.pull(image.Digest.String())
	r.named("v1", image.Digest)
}

func TestAnIndexWithOnePlatformAsksForNoOther(t *testing.T) {
	r := newRig(t)
	here := r.up.PushImage("app:here", registrytest.Bytes(1, 1000))
	r.pull("here")
	elsewhere := r.up.PushImage("", registrytest.Bytes(2, 1000))
	for _, e := range r.edges(r.wantStatus("GET", "library/other/manifests/"+elsewhere.Digest.String(), 200)) {
		r.wantStatus("GET", "library/other/blobs/"+e.Digest.String(), 200)
	}
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{here, elsewhere}}
	x.SchemaVersion = 2
	index := r.up.PutManifest("app:v1", oci.MediaTypeIndex, x)
	r.up.Forget()
	r.wantStatus("GET", "library/app/manifests/v1", 200)
	r.named("v1", index.Digest)
	r.count("HEAD", registryserver.KindManifest, 1) // what the tag stands for
}

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

// What was pulled on this machine is no word of the registry's on the tag.
func TestANameThatWasNeverAskedForServesOnlyWithoutAnAnswer(t *testing.T) {
	r := newRig(t)
	one := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	two := r.up.PushImage("app:v2", registrytest.Bytes(2, 1000))
	r.pull(one.Digest.String())
	ref, _ := oci.ParseReference("docker.io/library/app:v2")
	if err := r.store.SetNames(t.Context(), content.NameChange{Reference: ref, Target: one.Digest, Why: "pull"}); err != nil {
		t.Fatal(err)
	}
	r.up.Inject(registrytest.Match{}, registrytest.Reset())
	if d := r.pull("v2"); d != one.Digest {
		t.Errorf("without an answer v2 is %s, want %s", d, one.Digest)
	}
	r.up.Heal()
	r.clock.advance(10 * time.Second)
	if d := r.pull("v2"); d != two.Digest {
		t.Errorf("v2 is %s, want %s", d, two.Digest)
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

// Who may push to a registry that is mirrored has no say in how much memory its lists
// take here.
func TestAListIsBounded(t *testing.T) {
	r := newRig(t)
	image := r.up.PushImage("app:v1", registrytest.Bytes(1, 1000))
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, ArtifactType: "application/x", Subject: &image, Layers: []oci.Descriptor{}}
	m.SchemaVersion = 2
	m.Config = r.up.PutBlob(oci.MediaTypeEmpty, []byte("{}"))
	for i := range 6 {
		m.Annotations = map[string]string{"n": strings.Repeat(strconv.Itoa(i), 3<<20)}
		r.up.PutManifest("", oci.MediaTypeManifest, m)
	}
	repo, err := oci.ParseRepository("docker.io/library/app")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := r.mirror.Referrers(t.Context(), repo, image.Digest); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("%d referrers with 3 MiB each are held: %v", len(all), err)
	}
	r.wantStatus("GET", "library/app/referrers/"+image.Digest.String(), 200)
}

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
