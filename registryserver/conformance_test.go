package registryserver_test

import (
	"net/http/httptest"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/registryserver"
	"dist.example/registryserver/conformance"
)

// The clauses of docs/CONFORMANCE.md, over the store in memory. Package client runs
// the same over one on disk.
func TestConformance(t *testing.T) {
	store := memory.New()
	writable := httptest.NewServer(registryserver.New(store, registryserver.Options{Writable: true}))
	defer writable.Close()
	readOnly := httptest.NewServer(registryserver.New(store, registryserver.Options{}))
	defer readOnly.Close()
	conformance.Run(t, conformance.Registry{URL: writable.URL, ReadOnly: readOnly.URL})
}
