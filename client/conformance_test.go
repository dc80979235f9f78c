package client_test

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"dist.example/blobstore"
	"dist.example/registryserver"
	"dist.example/registryserver/conformance"
)

// The clauses of docs/CONFORMANCE.md, over a store on disk.
func TestConformance(t *testing.T) {
	store, err := blobstore.Open(t.Context(), filepath.Join(t.TempDir(), "store"), blobstore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	writable := httptest.NewServer(registryserver.New(store, registryserver.Options{Writable: true}))
	defer writable.Close()
	readOnly := httptest.NewServer(registryserver.New(store, registryserver.Options{}))
	defer readOnly.Close()
	conformance.Run(t, conformance.Registry{URL: writable.URL, ReadOnly: readOnly.URL})
}
