package registryclient

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/oci"
)

// Messages about addresses that are none show neither a password nor a query.
func TestMessagesKeepSecretsOfAddresses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("certs.d/one.example/hosts.toml", `[host."https://ann:secret@mirror.example"]`)
	conf := write("registries.conf", "[[registry]]\nlocation = \"ann:secret@two.example\"\n")
	c := testClient(t, func(o *Options) {
		o.HostsDirs, o.RegistriesConf = []string{filepath.Join(dir, "certs.d")}, []string{conf}
	})
	d := oci.DigestBytes([]byte("x"))
	said := func(err error, want string) {
		t.Helper()
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
	for _, address := range []string{
		"ftp://ann:secret@host.example/x?sig=secret", "https://host.example/%zz?sig=secret",
		"https://ann:secret@host.example:x/y", "https://ann:sec@ret:secret@host.example /y?secret",
	} {
		_, err := c.FetchURL(t.Context(), address, oci.Descriptor{Digest: d, Size: -1})
		said(err, "host.example")
	}
	for _, registry := range []string{"one.example", "two.example"} {
		_, err := c.Explain(t.Context(), oci.Reference{Registry: registry})
		said(err, ".example")
	}
	f := newFake(t)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Location", "s3://ann:secret@bucket.example/x?sig=secret")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	_, err := f.repository(t, nil).Resolve(t.Context(), oci.Reference{Tag: "v1"})
	said(err, "bucket.example")
}
