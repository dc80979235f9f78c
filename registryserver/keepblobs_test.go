package registryserver_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// fleeting is a store that gives an object up right after it was said to be here.
type fleeting struct {
	content.Store
	goes oci.Digest
}

func (f *fleeting) InRepository(ctx context.Context, repo string, digests ...oci.Digest) ([]bool, error) {
	in, err := f.Store.InRepository(ctx, repo, digests...)
	if err == nil && f.goes != "" {
		err = f.Delete(ctx, f.goes)
		f.goes = ""
	}
	return in, err
}

// A manifest that is pushed by its digest is not taken when something that it needs is
// given up meanwhile, and holds it from then on when it is taken.
func TestAManifestHoldsWhatItNeeds(t *testing.T) {
	t.Parallel()
	store := &fleeting{Store: memory.New()}
	r := newRigOver(t, store, registryserver.Options{Writable: true})
	config, layer := r.unheld("{}"), r.unheld("a layer")
	config.MediaType = oci.MediaTypeImageConfig
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: config, Layers: []oci.Descriptor{layer}}
	m.SchemaVersion = 2
	path := "/v2/demo/app/manifests/" + digestOf(m).String()
	store.goes = layer.Digest
	r.want(r.pushManifest(path, m, oci.MediaTypeManifest), http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
	r.want(r.do("GET", path, nil), http.StatusNotFound)
	r.unheld("a layer")
	r.want(r.pushManifest(path, m, oci.MediaTypeManifest), http.StatusCreated)
	if err := store.Delete(t.Context(), layer.Digest); !errors.Is(err, content.ErrConflict) {
		t.Errorf("what it needs can go: %v", err)
	}
}

// unheld puts a blob into a repository under no lease: the one that it came under is over.
func (r *rig) unheld(data string) oci.Descriptor {
	r.Helper()
	d := oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes([]byte(data)), Size: int64(len(data))}
	w, err := r.store.Writer(r.Context(), content.IngestOptions{Expected: d.Digest, Total: d.Size, Repository: "docker.io/demo/app"})
	if err == nil {
		_, err = w.Write([]byte(data))
	}
	if err == nil {
		_, err = w.Commit(r.Context())
	}
	if err != nil {
		r.Fatal(err)
	}
	return d
}
