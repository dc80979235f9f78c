package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"dist.example/client"
	"dist.example/content"
)

func TestRegistryNeedsNoStore(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "registries.conf")
	must(t, os.WriteFile(conf, []byte("[[registry]]\nprefix=\"r.test/a\"\nlocation=\"s.test\"\n"), 0o644))
	c := newClient(t, func(o *client.Options) { o.Registry.RegistriesConf, o.Registry.PlainHTTP = []string{conf}, false })
	for name, want := range map[string]string{
		"r.test": "https://r.test/v2", "r.test/a/b": "https://s.test/v2", "r.test/a/b:v1": "https://s.test/v2",
		"docker.io": "https://registry-1.docker.io/v2", "team/app": "https://registry-1.docker.io/v2", "localhost:5000": "http://localhost:5000/v2",
	} {
		route, err := c.Registry(t.Context(), name)
		if err != nil || len(route.Endpoints) != 1 || route.Endpoints[0].URL != want {
			t.Errorf("%s: %+v, %v", name, route, err)
		}
	}
	for _, bad := range []string{"redis", "", "r.test/UPPER", "r.test/"} {
		_, err := c.Registry(t.Context(), bad)
		want(t, content.ErrInvalid, err)
	}
}
