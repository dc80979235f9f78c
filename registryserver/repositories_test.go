package registryserver_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
	"dist.example/registryserver"
)

// overStores runs a check over both stores.
func overStores(t *testing.T, check func(r *rig)) {
	t.Run("memory", func(t *testing.T) {
		check(newRigOver(t, memory.New(), registryserver.Options{Writable: true}))
	})
	t.Run("disk", func(t *testing.T) {
		s, err := blobstore.Open(t.Context(), t.TempDir()+"/store", blobstore.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		check(newRigOver(t, s, registryserver.Options{Writable: true}))
	})
}

// own stores data as the store's owner does, in no repository.
func (r *rig) own(mediaType string, data []byte) oci.Descriptor {
	r.Helper()
	return contenttest.Put(r.T, r.store, "", mediaType, data)
}

func (r *rig) ownJSON(mediaType string, v any) oci.Descriptor {
	r.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		r.Fatal(err)
	}
	return r.own(mediaType, data)
}

func (r *rig) name(name string, d oci.Digest) {
	r.Helper()
	ref, err := oci.ParseReference(name)
	if err == nil {
		err = r.store.SetNames(r.Context(), content.NameChange{Reference: ref, Target: d, Why: "tag"})
	}
	if err != nil {
		r.Fatal(err)
	}
}

// ownImage is an image of the owner's, without a name.
func (r *rig) ownImage(seed string) (oci.Manifest, oci.Descriptor) {
	r.Helper()
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest,
		Config:    r.own(oci.MediaTypeImageConfig, []byte(`{"owner":"`+seed+`"}`)),
		Layers:    []oci.Descriptor{r.own(oci.MediaTypeLayer, []byte("own layer "+seed))},
	}
	m.SchemaVersion = 2
	return m, r.ownJSON(oci.MediaTypeManifest, m)
}

func indexOf(manifests ...oci.Descriptor) oci.Index {
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: manifests}
	x.SchemaVersion = 2
	return x
}

// serves checks for each method what a repository answers for a blob and a manifest.
func (r *rig) serves(repo, kind string, d oci.Digest, status int) {
	r.Helper()
	for _, method := range []string{"GET", "HEAD"} {
		if a := r.do(method, "/v2/"+repo+"/"+kind+"/"+d.String(), nil); a.status != status {
			r.Errorf("%s of %s %s in %s gives %d, want %d", method, kind, d, repo, a.status, status)
		}
	}
}

func TestARepositoryServesWhatItHasAlone(t *testing.T) {
	overStores(t, func(r *rig) {
		m := r.imageIn("a", "one")
		r.want(r.pushManifest("/v2/a/manifests/v1", m, oci.MediaTypeManifest), 201)
		owners, desc := r.ownImage("x")
		r.name("quay.io/b/c:v1", desc.Digest)
		tests := []struct {
			repo, kind string
			digest     oci.Digest
			status     int
		}{
			{"a", "blobs", m.Config.Digest, 200},
			{"a", "blobs", m.Layers[0].Digest, 200},
			{"a", "manifests", digestOf(m), 200},
			{"a", "blobs", owners.Layers[0].Digest, 404},
			{"a", "manifests", desc.Digest, 404},
			{"quay.io/b/c", "blobs", owners.Layers[0].Digest, 200},
			{"quay.io/b/c", "blobs", owners.Config.Digest, 200},
			{"quay.io/b/c", "manifests", desc.Digest, 200},
			{"quay.io/b/c", "blobs", m.Layers[0].Digest, 404},
			{"quay.io/b/c", "manifests", digestOf(m), 404},
			{"quay.io/b", "blobs", owners.Layers[0].Digest, 404},
			{"none", "blobs", m.Layers[0].Digest, 404},
			{"none", "manifests", digestOf(m), 404},
		}
		for _, tt := range tests {
			r.serves(tt.repo, tt.kind, tt.digest, tt.status)
		}
		// What is held and what is not are told of in the same words.
		absent := oci.DigestBytes([]byte("absent"))
		for _, kind := range []string{"blobs", "manifests"} {
			held := r.do("GET", "/v2/none/"+kind+"/"+digestOf(m).String(), nil)
			not := r.do("GET", "/v2/none/"+kind+"/"+absent.String(), nil)
			if got, want := strings.ReplaceAll(string(held.body), digestOf(m).String(), absent.String()), string(not.body); got != want {
				r.Errorf("%s, and for what nobody has %s", got, want)
			}
		}
	})
}

func TestOnlyWhoHasTheBytesGetsABlobThatIsHeld(t *testing.T) {
	overStores(t, func(r *rig) {
		for _, data := range []string{"small secret", strings.Repeat("large secret ", 100_000)} {
			d := r.pushTo("a", data).Digest
			other := strings.Repeat("x", len(data))
			r.want(r.do("POST", "/v2/b/blobs/uploads/?digest="+d.String(), strings.NewReader(other)), 400, "DIGEST_INVALID")
			r.want(r.do("POST", "/v2/b/blobs/uploads/?digest="+d.String(), nil), 400, "DIGEST_INVALID")
			at := r.do("POST", "/v2/b/blobs/uploads/", nil).header.Get("Location")
			r.want(r.do("PATCH", at, strings.NewReader(other)), 202)
			r.want(r.do("PUT", at+"?digest="+d.String(), nil), 400, "DIGEST_INVALID")
			r.serves("b", "blobs", d, 404)
			r.serves("a", "blobs", d, 200)
			at = r.do("POST", "/v2/b/blobs/uploads/", nil).header.Get("Location")
			r.want(r.do("PATCH", at, strings.NewReader(data[:5])), 202)
			r.want(r.do("PUT", at+"?digest="+d.String(), strings.NewReader(data[5:])), 201)
			r.serves("b", "blobs", d, 200)
			if a := r.do("GET", "/v2/b/blobs/"+d.String(), nil); string(a.body) != data {
				r.Errorf("the blob is %.20q", a.body)
			}
		}
		if n := len(slices.Collect(keys(r.store.Active(r.Context())))); n != 0 {
			r.Errorf("%d ingests are left", n)
		}
	})
}

func TestAManifestIsTakenWithWhatItsRepositoryHas(t *testing.T) {
	overStores(t, func(r *rig) {
		elsewhere := r.imageIn("a", "one")
		r.want(r.pushManifest("/v2/a/manifests/v1", elsewhere, oci.MediaTypeManifest), 201)
		manifest := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digestOf(elsewhere), Size: 1}
		owners, desc := r.ownImage("x")
		r.name("docker.io/library/b:owned", desc.Digest)
		mine := r.imageIn("b", "two")
		mixed, whole, about := mine, mine, mine
		mixed.Layers = elsewhere.Layers
		whole.Layers = owners.Layers
		about.Subject = &manifest
		absent := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes([]byte("absent")), Size: 6}
		tests := map[string]struct {
			mediaType string
			doc       any
			status    int
		}{
			"a layer of another repository":              {oci.MediaTypeManifest, mixed, 400},
			"all of another repository":                  {oci.MediaTypeManifest, elsewhere, 400},
			"what a name of the repository reaches":      {oci.MediaTypeManifest, whole, 201},
			"a subject that is elsewhere":                {oci.MediaTypeManifest, about, 201},
			"an index of what is elsewhere":              {oci.MediaTypeIndex, indexOf(manifest), 201},
			"an index of what is here and what is not":   {oci.MediaTypeIndex, indexOf(desc, absent), 201},
			"an index of what nobody has":                {oci.MediaTypeIndex, indexOf(absent), 201},
			"an index of what is here and what is there": {oci.MediaTypeIndex, indexOf(desc, manifest), 201},
		}
		for name, tt := range tests {
			for _, path := range []string{"/v2/b/manifests/" + tagOf(name), "/v2/b/manifests/" + digestOf(tt.doc).String()} {
				a := r.pushManifest(path, tt.doc, tt.mediaType)
				if a.status != tt.status || a.status == 400 && a.code() != "MANIFEST_BLOB_UNKNOWN" {
					r.Errorf("%s: %d %s, want %d", name, a.status, a.body, tt.status)
				}
			}
		}
		r.serves("b", "blobs", elsewhere.Layers[0].Digest, 404)
		r.serves("b", "manifests", manifest.Digest, 404)
	})
}

// tagOf makes a tag of words.
func tagOf(words string) string { return strings.ReplaceAll(words, " ", "-") }

// Who lists a digest that nobody has does not get what comes under it later.
func TestAnIndexOfGuessesGivesNothing(t *testing.T) {
	overStores(t, func(r *rig) {
		m := oci.Manifest{MediaType: oci.MediaTypeManifest}
		m.SchemaVersion = 2
		m.Config = oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: oci.DigestBytes([]byte(`{"seed":"later"}`)), Size: 16}
		m.Layers = []oci.Descriptor{{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes([]byte("layer later")), Size: 11}}
		guess := indexOf(oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digestOf(m), Size: 1})
		r.want(r.pushManifest("/v2/b/manifests/v1", guess, oci.MediaTypeIndex), 201)
		r.want(r.pushManifest("/v2/a/manifests/v1", r.imageIn("a", "later"), oci.MediaTypeManifest), 201)
		r.serves("a", "manifests", digestOf(m), 200)
		r.serves("b", "manifests", digestOf(m), 404)
		r.serves("b", "blobs", m.Layers[0].Digest, 404)
		r.serves("b", "manifests", digestOf(guess), 200)
	})
}

func TestMountsComeFromWhereTheBlobIs(t *testing.T) {
	overStores(t, func(r *rig) {
		pushed := r.pushTo("a", "pushed").Digest
		owners, desc := r.ownImage("x")
		r.name("quay.io/b/c:v1", desc.Digest)
		unnamed := r.own(oci.MediaTypeLayer, []byte("in no repository")).Digest
		tests := []struct {
			digest oci.Digest
			from   string
			status int
		}{
			{pushed, "&from=a", 201},
			{pushed, "&from=b", 202},
			{pushed, "&from=quay.io/b/c", 202},
			{pushed, "&from=" + strings.Repeat("A", 300), 202},
			{pushed, "&from=", 202},
			{pushed, "", 201},
			{owners.Layers[0].Digest, "&from=quay.io/b/c", 201},
			{owners.Layers[0].Digest, "", 201},
			{desc.Digest, "&from=quay.io/b/c", 201},
			{unnamed, "&from=a", 202},
			{unnamed, "", 202},
		}
		for i, tt := range tests {
			repo := fmt.Sprintf("to%d", i)
			a := r.do("POST", "/v2/"+repo+"/blobs/uploads/?mount="+tt.digest.String()+tt.from, nil)
			if a.status != tt.status {
				r.Errorf("mount %s%s gives %d, want %d", tt.digest, tt.from, a.status, tt.status)
			}
			want := 404
			if tt.status == 201 {
				want = 200
			}
			r.serves(repo, "blobs", tt.digest, want)
		}
		r.serves("to8", "blobs", owners.Layers[0].Digest, 404) // a mounted manifest brings nothing
	})
}

func TestReferrersAreThoseOfTheRepository(t *testing.T) {
	overStores(t, func(r *rig) {
		m := r.imageIn("a", "one")
		r.want(r.pushManifest("/v2/a/manifests/v1", m, oci.MediaTypeManifest), 201)
		r.imageIn("b", "one")
		r.want(r.pushManifest("/v2/b/manifests/v1", m, oci.MediaTypeManifest), 201)
		subject := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: digestOf(m), Size: 1}
		about := func(note string) oci.Manifest {
			about := m
			about.Subject, about.Annotations = &subject, map[string]string{"note": note}
			return about
		}
		pushed := about("pushed")
		r.want(r.pushManifest("/v2/a/manifests/"+digestOf(pushed).String(), pushed, oci.MediaTypeManifest), 201)
		owners := r.ownJSON(oci.MediaTypeManifest, about("of the owner"))
		list := func(repo string) (found []oci.Digest) {
			a := r.do("GET", "/v2/"+repo+"/referrers/"+subject.Digest.String(), nil)
			r.want(a, 200)
			x, err := oci.ParseIndex(oci.MediaTypeIndex, a.body)
			if err != nil {
				r.Fatal(err)
			}
			for _, d := range x.Manifests {
				found = append(found, d.Digest)
			}
			return found
		}
		both := []oci.Digest{digestOf(pushed), owners.Digest}
		slices.Sort(both)
		if got := list("a"); !slices.Equal(got, both) {
			r.Errorf("a lists %v, want %v", got, both)
		}
		if got := list("b"); !slices.Equal(got, []oci.Digest{owners.Digest}) {
			r.Errorf("b lists %v, want what the owner made", got)
		}
		if got := list("c"); len(got) != 0 {
			r.Errorf("c lists %v", got)
		}
		// One that the owner made can be taken out of one repository.
		r.want(r.do("DELETE", "/v2/b/manifests/"+owners.Digest.String(), nil), 202)
		r.serves("b", "manifests", owners.Digest, 404)
		r.serves("a", "manifests", owners.Digest, 200)
		if got := list("b"); len(got) != 0 {
			r.Errorf("b lists %v", got)
		}
		// Many of them, more than are asked about at once, half of them elsewhere.
		for i := range 50 {
			repo := []string{"a", "b"}[i%2]
			one := about(fmt.Sprint(i))
			r.want(r.pushManifest("/v2/"+repo+"/manifests/"+digestOf(one).String(), one, oci.MediaTypeManifest), 201)
		}
		if a, b := len(list("a")), len(list("b")); a != 27 || b != 25 {
			r.Errorf("%d and %d, want 27 and 25", a, b)
		}
	})
}

func TestADeletionIsOfOneRepository(t *testing.T) {
	overStores(t, func(r *rig) {
		m := r.imageIn("a", "one")
		r.imageIn("b", "one")
		layer, d := m.Layers[0].Digest, digestOf(m)
		for _, path := range []string{"/v2/a/manifests/v1", "/v2/a/manifests/v2", "/v2/b/manifests/" + d.String()} {
			r.want(r.pushManifest(path, m, oci.MediaTypeManifest), 201)
		}
		x := indexOf(oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: d, Size: 1})
		r.want(r.pushManifest("/v2/a/manifests/all", x, oci.MediaTypeIndex), 201)

		r.want(r.do("DELETE", "/v2/c/blobs/"+layer.String(), nil), 404, "BLOB_UNKNOWN")
		r.want(r.do("DELETE", "/v2/c/manifests/"+d.String(), nil), 404, "MANIFEST_UNKNOWN")
		r.want(r.do("DELETE", "/v2/a/blobs/"+layer.String(), nil), 405, "DENIED")
		r.want(r.do("DELETE", "/v2/a/manifests/"+d.String(), nil), 405, "DENIED")
		r.want(r.do("HEAD", "/v2/a/manifests/v1", nil), 200) // nothing has changed
		r.want(r.do("DELETE", "/v2/a/manifests/all", nil), 202)
		// A tag is gone, the index stays until it is deleted, and holds nothing.
		r.serves("a", "manifests", digestOf(x), 200)
		r.want(r.do("DELETE", "/v2/a/manifests/"+d.String(), nil), 202)
		for _, path := range []string{d.String(), "v1", "v2"} {
			r.want(r.do("HEAD", "/v2/a/manifests/"+path, nil), 404)
		}
		r.serves("b", "manifests", d, 200)
		r.serves("a", "blobs", layer, 200)
		r.want(r.do("DELETE", "/v2/a/blobs/"+layer.String(), nil), 202)
		r.serves("a", "blobs", layer, 404)
		r.serves("b", "blobs", layer, 200)
		// In b it is a manifest's without a tag.
		r.want(r.do("DELETE", "/v2/b/blobs/"+layer.String(), nil), 202)
		r.serves("b", "blobs", layer, 404)
		r.pushTo("a", "layer one")
		r.serves("a", "blobs", layer, 200)
		r.serves("b", "blobs", layer, 404)
	})
}

func TestWhatNobodyElseHasIsGivenUp(t *testing.T) {
	overStores(t, func(r *rig) {
		one, two := r.pushTo("a", "only here").Digest, r.pushTo("a", "there too").Digest
		r.pushTo("b", "there too")
		for _, d := range []oci.Digest{one, two} {
			r.want(r.do("DELETE", "/v2/a/blobs/"+d.String(), nil), 202)
		}
		if _, err := r.store.Info(r.Context(), one); err == nil {
			r.Error("what was in one repository is still held")
		}
		// What another client is about to name is as safe as before.
		if err := r.store.Delete(r.Context(), two); err == nil {
			r.Error("the deletion in one repository took the protection in another")
		}
		r.want(r.do("DELETE", "/v2/b/blobs/"+two.String(), nil), 202)
		if _, err := r.store.Info(r.Context(), two); err == nil {
			r.Error("what is in no repository is still held")
		}
		// The name of another repository is no matter of this one's.
		m := r.imageIn("a", "one")
		r.want(r.pushManifest("/v2/a/manifests/v1", m, oci.MediaTypeManifest), 201)
		r.name("example.com/kept:v1", digestOf(m))
		r.want(r.do("DELETE", "/v2/a/manifests/"+digestOf(m).String(), nil), 202)
		r.want(r.do("HEAD", "/v2/example.com/kept/manifests/v1", nil), 200)
	})
}

// Many pushes under way share the server's leases; deleting leaves theirs alone.
func TestADeletionLeavesOtherPushesProtected(t *testing.T) {
	overStores(t, func(r *rig) {
		waiting := r.pushTo("b", "waits for its manifest").Digest
		r.want(r.do("DELETE", "/v2/a/blobs/"+r.pushTo("a", "unwanted").Digest.String(), nil), 202)
		if err := r.store.Delete(r.Context(), waiting); err == nil {
			r.Error("what waits for its manifest can be deleted")
		}
	})
}

func TestWhatIsPushedIsKeptForItsTime(t *testing.T) {
	for keep, want := range map[time.Duration]time.Duration{0: 8 * 24 * time.Hour, 7 * time.Hour: 8 * time.Hour} {
		r := newRig(t, registryserver.Options{Writable: true, Keep: keep})
		r.push("x")
		for l, err := range r.store.AllLeases(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if lasts := l.ExpiresAt.Sub(l.CreatedAt); lasts.Round(time.Minute) != want {
				t.Errorf("the lease lasts for %v, want %v", lasts, want)
			}
		}
	}
}

// reader is a store as a library, which takes nothing.
type reader struct{ content.Library }

func TestALibraryIsServedToRead(t *testing.T) {
	store := memory.New()
	owner := &rig{t, store, ""}
	m, desc := owner.ownImage("x")
	owner.name("example.com/app:v1", desc.Digest)
	srv := httptest.NewServer(registryserver.New(reader{store}, registryserver.Options{Writable: true}))
	t.Cleanup(srv.Close)
	r := &rig{t, nil, srv.URL}
	r.serves("example.com/app", "manifests", desc.Digest, 200)
	r.serves("example.com/app", "blobs", m.Layers[0].Digest, 200)
	r.serves("other", "blobs", m.Layers[0].Digest, 404)
	r.want(r.do("GET", "/v2/example.com/app/manifests/v1", nil), 200)
	r.want(r.do("GET", "/v2/example.com/app/tags/list", nil), 200)
	r.want(r.do("GET", "/v2/example.com/app/referrers/"+desc.Digest.String(), nil), 200)
	r.want(r.do("POST", "/v2/example.com/app/blobs/uploads/", nil), 403, "DENIED")
	r.want(r.do("DELETE", "/v2/example.com/app/manifests/v1", nil), 405, "UNSUPPORTED")
}
