package registryclient

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// tlsFake is a fake that speaks TLS; setup, if any, changes how.
func tlsFake(t *testing.T, setup func(*tls.Config)) *fake {
	t.Helper()
	f := emptyFake()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if setup != nil {
		setup(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	f.url, _ = url.Parse(s.URL)
	f.authority = pemOf("CERTIFICATE", s.Certificate().Raw)
	return f
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// clientCert makes a client certificate that signs itself.
func clientCert(t *testing.T) (cert *x509.Certificate, certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ann"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pemOf("CERTIFICATE", der), pemOf("EC PRIVATE KEY", keyDER)
}

// demand lets a server take only clients with that certificate.
func demand(cert *x509.Certificate) func(*tls.Config) {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool }
}

func TestClientCertificate(t *testing.T) {
	cert, certPEM, keyPEM := clientCert(t)
	f := tlsFake(t, demand(cert))
	a := f.addBlob(1000)
	host := f.url.Host
	certs, both, hosts := t.TempDir(), t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(certs, host, "ca.crt"), f.authority)
	writeFile(t, filepath.Join(certs, host, "client.cert"), certPEM)
	writeFile(t, filepath.Join(certs, host, "client.key"), keyPEM)
	port := f.url.Port()
	writeFile(t, filepath.Join(hosts, "127.0.0.1_"+port+"_", "ca.crt"), f.authority)
	writeFile(t, filepath.Join(hosts, "127.0.0.1_"+port+"_", "client.cert"), certPEM)
	writeFile(t, filepath.Join(hosts, "127.0.0.1_"+port+"_", "client.key"), keyPEM)
	for i, client := range []string{`"both.pem"`, `["both.pem"]`, `[["client.pem", "client.key"]]`, `[["both.pem", ""]]`} {
		dir := filepath.Join(both, fmt.Sprint(i), host)
		writeFile(t, filepath.Join(dir, "hosts.toml"), fmt.Sprintf("server = %q\nca = [\"ca.pem\"]\nclient = %s\n", f.url, client))
		writeFile(t, filepath.Join(dir, "ca.pem"), f.authority)
		writeFile(t, filepath.Join(dir, "both.pem"), certPEM+keyPEM)
		writeFile(t, filepath.Join(dir, "client.pem"), certPEM)
		writeFile(t, filepath.Join(dir, "client.key"), keyPEM)
	}
	for name, o := range map[string]func(*Options){
		"certificate folder":             func(o *Options) { o.CertDirs = []string{certs} },
		"hosts folder without the file":  func(o *Options) { o.HostsDirs = []string{hosts} },
		"hosts.toml, a file":             func(o *Options) { o.HostsDirs = []string{filepath.Join(both, "0")} },
		"hosts.toml, a list of files":    func(o *Options) { o.HostsDirs = []string{filepath.Join(both, "1")} },
		"hosts.toml, a pair":             func(o *Options) { o.HostsDirs = []string{filepath.Join(both, "2")} },
		"hosts.toml, a pair without key": func(o *Options) { o.HostsDirs = []string{filepath.Join(both, "3")} },
	} {
		t.Run(name, func(t *testing.T) { mustFetch(t, f, f.repository(t, o), a) })
	}
	without := t.TempDir()
	writeFile(t, filepath.Join(without, host, "ca.crt"), f.authority)
	if _, err := fetchAll(f.repository(t, func(o *Options) { o.CertDirs, o.Retries = []string{without}, -1 }), a); err == nil {
		t.Fatal("the registry takes anybody, which proves nothing")
	}
}

// A host that a registry redirects to sees neither its client certificate nor a
// client that takes any certificate, not even where only the port is another.
func TestTLSOfAHostEndsThere(t *testing.T) {
	cert, certPEM, keyPEM := clientCert(t)
	var seen []int
	elsewhere := tlsFake(t, func(c *tls.Config) {
		c.ClientAuth = tls.RequestClientCert
		c.VerifyConnection = func(s tls.ConnectionState) error {
			seen = append(seen, len(s.PeerCertificates))
			return nil
		}
	})
	f := tlsFake(t, demand(cert))
	a := elsewhere.addBlob(1000)
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		http.Redirect(w, r, elsewhere.url.String()+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, f.url.Host)
	writeFile(t, filepath.Join(folder, "both.pem"), certPEM+keyPEM)
	writeFile(t, filepath.Join(folder, "ca.pem"), f.authority+elsewhere.authority)
	hosts := fmt.Sprintf("server = %q\nclient = \"both.pem\"\n", f.url)

	writeFile(t, filepath.Join(folder, "hosts.toml"), hosts+"skip_verify = true\n")
	_, err := fetchAll(f.repository(t, func(o *Options) { o.HostsDirs = []string{dir} }), a)
	wantClass(t, err, content.ErrUnavailable)
	if !strings.Contains(content.Hint(err), "authority") {
		t.Errorf("%v, hint %q", err, content.Hint(err))
	}
	seen = nil
	writeFile(t, filepath.Join(folder, "hosts.toml"), hosts+"ca = \"ca.pem\"\n")
	mustFetch(t, elsewhere, f.repository(t, func(o *Options) { o.HostsDirs = []string{dir} }), a)
	if !slices.Equal(seen, []int{0}) {
		t.Errorf("client certificates seen elsewhere: %v", seen)
	}
}

func TestPairsThatAreNoPairs(t *testing.T) {
	for name, want := range map[string]string{"client.cert": "client.key", "client.key": "client.cert"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "r.test:5000", name), "x")
		c := testClient(t, func(o *Options) { o.CertDirs = []string{dir} })
		_, err := c.route(oci.Reference{Registry: "r.test:5000", Repository: "a"})
		wantClass(t, err, content.ErrInvalid)
		if !strings.Contains(err.Error(), filepath.Join("r.test:5000", name)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
		if _, err := c.route(oci.Reference{Registry: "r.test", Repository: "a"}); err != nil {
			t.Errorf("another port: %v", err)
		}
	}
}

func TestInsecureIsSaidOnceForEachHost(t *testing.T) {
	f := tlsFake(t, nil)
	dir := hostsDir(t, map[string]string{"r.test": fmt.Sprintf("server = %q\n", f.url)})
	var warned []string
	r := repositoryAt(t, "r.test", func(o *Options) {
		o.HostsDirs, o.Insecure = []string{dir}, true
		o.Warn = func(m string) { warned = append(warned, m) }
	})
	for _, size := range []int{1000, 2000} {
		mustFetch(t, f, r, f.addBlob(size))
		r.client.CloseIdle()
	}
	if !slices.Equal(warned, []string{"the certificate of " + f.url.Host + " is not checked"}) {
		t.Errorf("warned %q", warned)
	}
}

// The system's authorities are read once in a process, so that this needs one of
// its own.
func TestAuthoritiesOfTheEnvironment(t *testing.T) {
	if url := os.Getenv("DIST_TEST_TLS_REGISTRY"); url != "" {
		host := strings.TrimPrefix(url, "https://")
		dir := hostsDir(t, map[string]string{host: fmt.Sprintf("server = %q\n", url)})
		r := testClient(t, func(o *Options) { o.HostsDirs = []string{dir} }).Repository(oci.Reference{Registry: host, Repository: "team/app"})
		if _, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
		return
	}
	f := tlsFake(t, nil)
	f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, f.authority)
	for _, tc := range []struct {
		file string
		ok   bool
	}{{ca, true}, {os.DevNull, false}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAuthoritiesOfTheEnvironment$")
		cmd.Env = append(os.Environ(), "DIST_TEST_TLS_REGISTRY="+f.url.String(), "SSL_CERT_FILE="+tc.file, "SSL_CERT_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if (err == nil) != tc.ok || (!tc.ok && !bytes.Contains(out, []byte("certificate"))) {
			t.Errorf("SSL_CERT_FILE=%s: %v\n%s", tc.file, err, out)
		}
	}
}
