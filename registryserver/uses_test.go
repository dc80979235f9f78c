package registryserver_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// noting is a store that is told what is used.
type noting struct {
	content.Store
	mu   sync.Mutex
	used []string
}

func (n *noting) NoteUse(name oci.Reference) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.used = append(n.used, name.String())
}

func TestTagsThatAreAskedForAreUsed(t *testing.T) {
	t.Parallel()
	store := &noting{Store: memory.New()}
	r := newRigOver(t, store, registryserver.Options{Writable: true})
	m := r.image("one")
	r.want(r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest), 201)
	if len(store.used) > 0 {
		t.Errorf("a push used %q", store.used)
	}
	r.want(r.do("GET", "/v2/app/manifests/v1", nil), 200)
	r.want(r.do("GET", "/v2/app/manifests/"+digestOf(m).String(), nil), 200)
	r.want(r.do("GET", "/v2/app/manifests/v2", nil), 404)
	if want := []string{"docker.io/library/app:v1"}; !slices.Equal(store.used, want) {
		t.Errorf("used %q, want %q", store.used, want)
	}
}

// talking is an upstream that has one manifest.
type talking struct {
	registryserver.Upstream
	has registryserver.Manifest
}

func (talking) Mirrors(string) bool { return true }

func (u talking) Manifest(_ context.Context, ref oci.Reference) (registryserver.Manifest, error) {
	if ref.Tag == "v2" {
		return registryserver.Manifest{}, content.ErrNotFound
	}
	return u.has, nil
}

func TestTagsOfAMirrorThatAreAskedForAreUsed(t *testing.T) {
	t.Parallel()
	data := []byte("{}")
	d := oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.DigestBytes(data), Size: int64(len(data))}
	store := &noting{Store: memory.New()}
	r := newRigOver(t, store, registryserver.Options{Upstream: talking{has: registryserver.Manifest{Descriptor: d, Data: data}}})
	r.want(r.do("GET", "/v2/quay.io/a/b/manifests/v1", nil), 200)
	r.want(r.do("HEAD", "/v2/team/app/manifests/v1", nil), 200)
	r.want(r.do("GET", "/v2/quay.io/a/b/manifests/"+d.Digest.String(), nil), 200)
	r.want(r.do("GET", "/v2/quay.io/a/b/manifests/v2", nil), 404)
	if want := []string{"quay.io/a/b:v1", "docker.io/team/app:v1"}; !slices.Equal(store.used, want) {
		t.Errorf("used %q, want %q", store.used, want)
	}
}
