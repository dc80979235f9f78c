package registryclient

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"dist.example/oci"
)

// That a registry's certificate is not checked says nothing of its proxy's, who may
// get a password.
func TestSkipVerifyEndsAtTheProxy(t *testing.T) {
	f := tlsFake(t, nil)
	f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	var passwords atomic.Int32
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			passwords.Add(1)
		}
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		to, err := net.Dial("tcp", f.url.Host)
		if err != nil {
			t.Error(err)
			return
		}
		defer to.Close()
		from, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(to, buf) }()
		_, _ = io.Copy(from, to)
	}))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.StartTLS()
	defer proxy.Close()
	address := strings.Replace(proxy.URL, "https://", "https://ann:secret@", 1)
	for _, known := range []bool{false, true} {
		dir := t.TempDir()
		text := "server = \"https://reg.example\"\nskip_verify = true\nproxy = \"" + address + "\"\n"
		if known {
			writeFile(t, filepath.Join(dir, "proxy.crt"), pemOf("CERTIFICATE", proxy.Certificate().Raw))
			text += "ca = \"" + filepath.Join(dir, "proxy.crt") + "\"\n"
		}
		writeFile(t, filepath.Join(dir, "reg.example", "hosts.toml"), text)
		passwords.Store(0)
		c := testClient(t, func(o *Options) { o.HostsDirs, o.Retries = []string{dir}, -1 })
		_, err := c.Repository(oci.Reference{Registry: "reg.example", Repository: "team/app"}).Resolve(t.Context(), oci.Reference{Tag: "v1"})
		if known != (err == nil) || known != (passwords.Load() > 0) {
			t.Errorf("known is %t: got %v, and %d passwords went to the proxy", known, err, passwords.Load())
		}
	}
}
