package client

import (
	"errors"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func FuzzParseMirrors(f *testing.F) {
	for _, s := range []string{"docker.io", "quay.io=https://mirror.example.com/quay", "docker.io=", "docker.io/library", "=", "a:b:c", "localhost:5000=http://x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		servers, err := parseMirrors([]string{s, s})
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if len(servers) != 1 {
			t.Errorf("%q gives %d servers", s, len(servers))
		}
		for host, address := range servers {
			if ref, err := oci.ParseRepository(host + "/a/b"); err != nil || ref.Registry != host {
				t.Errorf("%q gives the host %q, below which nothing can be: %v", s, host, err)
			}
			if address != "" && !strings.HasSuffix(s, "="+address) {
				t.Errorf("%q gives the address %q", s, address)
			}
		}
	})
}

func TestARegistryHasOneAddress(t *testing.T) {
	if _, err := parseMirrors([]string{"docker.io", "docker.io=https://example.com"}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("two addresses for one registry give %v", err)
	}
}
