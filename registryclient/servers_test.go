package registryclient_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// A registry with a server of its own is asked there, whatever the files of this
// machine say of it, and its repositories leave nothing behind.
func TestAServerIsAskedForItsRegistry(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{Prefix: "example.com"})
	image := reg.PushImage("example.com/app:v1", registrytest.Bytes(1, 100))
	dir := t.TempDir()
	hosts := filepath.Join(dir, "example.com")
	if err := os.MkdirAll(hosts, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hosts, "hosts.toml"), []byte("[host.\"http://127.0.0.1:1\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := registryclient.New(registryclient.Options{
		HostsDirs: []string{dir}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true, Retries: -1,
		Servers: map[string]string{"example.com": reg.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := oci.ParseReference("example.com/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	desc, err := c.Repository(ref).Resolve(t.Context(), ref)
	if err != nil || desc.Digest != image.Digest {
		t.Fatalf("Resolve gives %s, %v, want %s", desc.Digest, err, image.Digest)
	}
	if q := reg.Requests()[0].Query; q != "ns=example.com" {
		t.Errorf("the query is %q, want the name of the registry in it", q)
	}
	if _, err := c.Repository(ref).ForPush().Resolve(t.Context(), ref); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("a push gives %v, want that it is not supported", err)
	}
}

func TestAServerNeedsAnAddress(t *testing.T) {
	for _, address := range []string{"ftp://example.com", "https://", "https://user:secret@example.com", "https://example.com?x=1"} {
		_, err := registryclient.New(registryclient.Options{Servers: map[string]string{"example.com": address}})
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s gives %v, want that it is malformed", address, err)
		}
	}
}
