package client_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// newClient is a client with a store that does not exist yet.
func newClient(t *testing.T, change ...func(*client.Options)) *client.Client {
	t.Helper()
	return clientOf(t, filepath.Join(t.TempDir(), "store"), change...)
}

func clientOf(t *testing.T, dir string, change ...func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{
		Store: dir, Warn: func(m string) { t.Log("warning:", m) },
		Registry: registryclient.Options{
			HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true, PlainHTTP: true, RetryBase: time.Millisecond,
		},
	}
	for _, c := range change {
		c(&o)
	}
	c := client.New(o)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func registry(t *testing.T) *registrytest.Registry {
	t.Helper()
	return registrytest.New(t, registrytest.Options{})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want ends the test unless err is of class.
func want(t *testing.T, class, err error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("got error %v, want one of class %q", err, class)
	}
}

func pull(t *testing.T, c *client.Client, names ...string) client.Summary {
	t.Helper()
	s, err := c.Pull(t.Context(), names, client.PullOptions{})
	must(t, err)
	return s
}

// store is the client's store.
func store(t *testing.T, c *client.Client) *blobstore.Store {
	t.Helper()
	s, err := c.Open(t.Context())
	must(t, err)
	return s
}

// put stores p as octets.
func put(t *testing.T, c *client.Client, p []byte) content.Info {
	t.Helper()
	info, err := c.Put(t.Context(), client.PutOptions{}, bytes.NewReader(p))
	must(t, err)
	return info
}

// get reads an object whole.
func get(t *testing.T, c *client.Client, id string) []byte {
	t.Helper()
	_, r, err := c.Get(t.Context(), id)
	must(t, err)
	defer r.Close()
	p, err := io.ReadAll(r)
	must(t, err)
	return p
}

// manifestOf reads a manifest of the registry.
func manifestOf(t *testing.T, reg *registrytest.Registry, d oci.Descriptor) oci.Manifest {
	t.Helper()
	p, err := content.ReadAll(t.Context(), reg.Store(), d, oci.MaxManifestSize)
	must(t, err)
	m, err := oci.ParseManifest(d.MediaType, p)
	must(t, err)
	return m
}

func indexOf(t *testing.T, reg *registrytest.Registry, d oci.Descriptor) oci.Index {
	t.Helper()
	p, err := content.ReadAll(t.Context(), reg.Store(), d, oci.MaxManifestSize)
	must(t, err)
	x, err := oci.ParseIndex(d.MediaType, p)
	must(t, err)
	return x
}

// names are the full local names.
func names(t *testing.T, c *client.Client) []string {
	t.Helper()
	images, err := c.Images(t.Context(), client.NameFilter{})
	must(t, err)
	var all []string
	for _, im := range images {
		all = append(all, im.Name.String())
	}
	return all
}

func missing(t *testing.T, c *client.Client, d oci.Digest) []oci.Digest {
	t.Helper()
	m, err := store(t, c).Missing(t.Context(), d)
	must(t, err)
	return m
}

func platform(t *testing.T, s string) *oci.Platform {
	t.Helper()
	p, err := oci.ParsePlatform(s)
	must(t, err)
	return &p
}

// damage flips a bit of a loose blob behind the store's back.
func damage(t *testing.T, c *client.Client, d oci.Digest) {
	t.Helper()
	name := filepath.Join(store(t, c).Dir(), "blobs", d.Algorithm().String(), d.Encoded())
	p, err := os.ReadFile(name)
	must(t, err)
	p[len(p)/2] ^= 1
	must(t, os.Remove(name))
	must(t, os.WriteFile(name, p, 0o444))
}

func isClass(err, class error) bool { return errors.Is(err, class) }
