package registryclient

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dist.example/oci"
)

// network.
func TestExplainRunsNoHelperOffline(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "ran")
	script := "#!/bin/sh\ntouch " + mark + "\n"
	auth := filepath.Join(dir, "config.json")
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "docker-credential-x"), []byte(script), 0o755), //nolint:gosec // a program
		os.WriteFile(auth, []byte(`{"credsStore":"x","auths":{"two.example":{"auth":"YTpi"}},"credHelpers":{"two.example":""}}`), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	var warned []string
	c := testClient(t, func(o *Options) {
		o.AuthFile, o.Offline = auth, true
		o.Warn = func(m string) { warned = append(warned, m) }
	})
	for registry, want := range map[string]string{"one.example": "", "two.example": auth} {
		route, err := c.Explain(t.Context(), oci.Reference{Registry: registry})
		if err != nil || route.Endpoints[0].Credentials != want {
			t.Errorf("%s: %+v, %v", registry, route.Endpoints, err)
		}
	}
	if _, err := os.Stat(mark); err == nil || len(warned) != 1 {
		t.Errorf("the helper ran: %v; warned %q", err == nil, warned)
	}
}
