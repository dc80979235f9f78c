package mirror_test

import (
	"encoding/json"
	"testing"
	"time"

	"dist.example/content/contenttest"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// private stores what nobody may have who pulls from the registry that is mirrored.
func (r *rig) private(mediaType string, data []byte) oci.Descriptor {
	r.Helper()
	return contenttest.Put(r.T, r.store, "private.example/app", mediaType, data)
}

// privateImage is an image of one layer that is private.
func (r *rig) privateImage(layer []byte) (oci.Manifest, oci.Descriptor) {
	r.Helper()
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, Config: r.private(oci.MediaTypeImageConfig, []byte("{}")),
		Layers: []oci.Descriptor{r.private(oci.MediaTypeLayer, layer)},
	}
	m.SchemaVersion = 2
	data, err := json.Marshal(m)
	if err != nil {
		r.Fatal(err)
	}
	return m, r.private(oci.MediaTypeManifest, data)
}

// Whoever may push to a repository that is mirrored can have its manifests refer to
// anything. That gives nobody what the store has from elsewhere.
func TestManifestsGiveNothingAwayThatIsHeldElsewhere(t *testing.T) {
	r := newRig(t)
	m, image := r.privateImage([]byte("a private layer"))
	layer, config := m.Layers[0], m.Config

	// The registry takes such manifests, and does not have the layer.
	r.up.PutBlob(oci.MediaTypeLayer, []byte("a private layer"))
	r.up.Inject(registrytest.Match{Digest: layer.Digest}, registrytest.Answer(404))
	real := r.up.PushImage("", registrytest.Bytes(1, 1000))
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{real, image}}
	x.SchemaVersion = 2
	r.up.PutManifest("app:index", oci.MediaTypeIndex, x)
	m.Config = r.up.PutBlob(oci.MediaTypeImageConfig, []byte(`{"os":"linux"}`))
	r.up.PutManifest("app:image", oci.MediaTypeManifest, m)
	m.Layers[0].MediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	r.up.PutManifest("app:foreign", oci.MediaTypeManifest, m)

	nothing := func() {
		t.Helper()
		r.wantStatus("GET", "library/app/manifests/"+image.Digest.String(), 404)
		for _, d := range []oci.Digest{layer.Digest, config.Digest, image.Digest} {
			r.wantStatus("GET", "library/app/blobs/"+d.String(), 404)
		}
	}
	for _, tag := range []string{"index", "image", "foreign"} {
		r.wantStatus("GET", "library/app/manifests/"+tag, 200)
		nothing()
	}
	r.pull(real.Digest.String())
	r.wantStatus("GET", "library/app/blobs/"+m.Config.Digest.String(), 200)
	for _, tag := range []string{"index", "image", "foreign"} {
		r.wantStatus("GET", "library/app/manifests/"+tag, 200)
		nothing()
	}
	// An index that has one platform counts for whole, an image without a layer does not.
	r.named("index", oci.Digest(r.wantStatus("HEAD", "library/app/manifests/index", 200).header.Get("Docker-Content-Digest")))
	r.named("image", "")
}

// A registry that says that it has everything gives nobody what the store has from
// elsewhere: it has to bring the bytes.
func TestTheWordOfARegistryGivesNothingAwayThatIsHeldElsewhere(t *testing.T) {
	r := newRig(t)
	m, image := r.privateImage(registrytest.Bytes(1, 100_000))
	layer, config := m.Layers[0], m.Config

	r.up.PutBlob(oci.MediaTypeLayer, registrytest.Bytes(1, 100_000))
	r.up.PutBlob(oci.MediaTypeImageConfig, []byte("{}"))
	r.up.PutManifest("app:v1", oci.MediaTypeManifest, m)
	for _, d := range []oci.Digest{layer.Digest, config.Digest, image.Digest} {
		r.up.Inject(registrytest.Match{Method: "GET", Digest: d}, registrytest.Answer(404))
	}
	for range 2 {
		for _, d := range []oci.Digest{layer.Digest, config.Digest} {
			r.wantStatus("GET", "library/app/blobs/"+d.String(), 404)
		}
		r.wantStatus("GET", "library/app/manifests/"+image.Digest.String(), 404)
		r.wantStatus("GET", "library/app/manifests/v1", 404)
	}
	r.up.Heal()
	r.clock.advance(time.Minute)
	r.pull("v1")
	r.named("v1", image.Digest)
	r.up.Forget()
	other := "library/other/blobs/" + layer.Digest.String()
	r.gets(other, registrytest.Bytes(1, 100_000))
	r.count("GET", registryserver.KindBlob, 0) // now it is this registry's
}

// A registry that brings a blob slowly, and is wrong about its size, is in nobody's way
// who asks another one for it.
func TestRegistriesAreNotInEachOthersWay(t *testing.T) {
	r := newRig(t)
	path, data := r.blob(1, 2<<20)
	d := oci.DigestBytes(data)
	slow := registrytest.Match{Method: "GET", Path: "library/slow"}
	r.up.Inject(registrytest.Match{Method: "HEAD", Path: slow.Path}, registrytest.SetHeader("Content-Length", "3000000"))
	r.up.Inject(slow, registrytest.Stall(1<<20, r.up.Healed()))
	ended := make(chan answer, 1)
	go func() { ended <- r.do("GET", "quay.io/library/slow/blobs/"+d.String()) }()
	r.eventually("the slow one is at it", func() bool { return r.up.Count(slow) == 1 })
	r.gets(path, data)
	r.up.Heal()
	if a := <-ended; a.err == nil {
		t.Errorf("a blob of another size came whole: %d bytes", len(a.body))
	}
}
