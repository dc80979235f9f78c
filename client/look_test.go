package client_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// An index that says nothing, or is of something else, is made anew.
func TestAnIndexThatIsNone(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	one, two := layerFile(t, "etc/", "etc/a=1"), layerFile(t, "etc/b=2")
	packAs(t, c, "app", client.PackOptions{}, one, two)
	s, err := c.Open(t.Context())
	must(t, err)
	var digests []oci.Digest
	for _, name := range []string{one, two} {
		p, err := os.ReadFile(name)
		must(t, err)
		digests = append(digests, oci.DigestBytes(p))
	}
	list := func() (paths string) {
		t.Helper()
		files, err := c.ListFiles(t.Context(), "app", "/", nil, true)
		must(t, err)
		for _, f := range files {
			paths += f.Path + " "
		}
		return paths
	}
	const want = "/etc /etc/a /etc/b "
	if got := list(); got != want {
		t.Fatalf("it has %s", got)
	}
	first, err := s.LayerIndex(t.Context(), digests[0])
	must(t, err)
	for name, data := range map[string][]byte{"nothing": {}, "noise": []byte("noise"), "another's": first} {
		must(t, s.PutLayerIndexes(t.Context(), map[oci.Digest][]byte{digests[1]: data}))
		if got := list(); got != want {
			t.Errorf("%s: it has %s", name, got)
		}
		if now, err := s.LayerIndex(t.Context(), digests[1]); err != nil || bytes.Equal(now, data) {
			t.Errorf("%s stayed: %v", name, err)
		}
	}
	if _, err := s.LayerIndex(t.Context(), oci.DigestBytes(nil)); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("of what is not here: %v", err)
	}
	must(t, s.PutLayerIndexes(t.Context(), map[oci.Digest][]byte{oci.DigestBytes(nil): first}))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.PutLayerIndexes(ended, map[oci.Digest][]byte{digests[1]: first}); !errors.Is(err, context.Canceled) {
		t.Errorf("of one that gave up: %v", err)
	}
}
