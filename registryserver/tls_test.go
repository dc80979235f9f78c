package registryserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dist.example/content"
)

// keyPair is a certificate that vouches for itself, with its key, in PEM.
type keyPair struct{ cert, key []byte }

func newKeyPair(t *testing.T, serial int64, until time.Time) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	}
}

func (p keyPair) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.cert)
	return pool
}

// tlsRig is a server with certificate files, and a clock.
type tlsRig struct {
	*testing.T
	files  TLSFiles
	certs  *Certificates
	addr   string
	now    time.Time
	warned []string
}

func (r *tlsRig) write(path string, data []byte) {
	r.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		r.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.Fatal(err)
	}
}

func newTLSRig(t *testing.T, p keyPair, clients []byte) *tlsRig {
	dir := t.TempDir()
	r := &tlsRig{T: t, files: TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}, now: time.Now()}
	r.write(r.files.Cert, p.cert)
	r.write(r.files.Key, p.key)
	if clients != nil {
		r.files.ClientCA = filepath.Join(dir, "clients.crt")
		r.write(r.files.ClientCA, clients)
	}
	var err error
	if r.certs, err = LoadCertificates(r.files, func(s string) { r.warned = append(r.warned, s) }); err != nil {
		t.Fatal(err)
	}
	r.certs.now = func() time.Time { return r.now }
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	go func() { ended <- Serve(ctx, ln, h, Run{Certificates: r.certs, Drain: -1}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// serial is that of the certificate which a new connection is shown.
func (r *tlsRig) serial() int64 {
	r.Helper()
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		r.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func (r *tlsRig) want(why string, serial int64, warnings int) {
	r.Helper()
	if got := r.serial(); got != serial {
		r.Errorf("%s: certificate %d, want %d", why, got, serial)
	}
	if len(r.warned) != warnings {
		r.Errorf("%s: warned of %q", why, r.warned)
	}
}

func TestCertificatesAreReadAnewWhenTheyChange(t *testing.T) {
	later := time.Now().Add(time.Hour)
	first, second, third := newKeyPair(t, 1, later), newKeyPair(t, 2, later), newKeyPair(t, 3, later)
	r := newTLSRig(t, first, nil)
	pass := func() { r.now = r.now.Add(lookAgain) }
	pass()
	r.want("at first", 1, 0)
	r.write(r.files.Cert, second.cert)
	r.want("within a second nobody looks", 1, 0)
	pass()
	r.want("half a pair", 1, 1)
	pass()
	r.want("half a pair a second later", 1, 1)
	r.write(r.files.Key, second.key)
	pass()
	r.want("the whole pair", 2, 1)
	if err := os.Remove(r.files.Key); err != nil {
		t.Fatal(err)
	}
	pass()
	r.want("a key that is gone", 2, 2)
	r.write(r.files.Cert, third.cert)
	r.write(r.files.Key, third.key)
	pass()
	r.want("another pair", 3, 2)
	if ok, failed := r.certs.reloads.Load(), r.certs.failed.Load(); ok != 2 || failed != 3 {
		t.Errorf("%d reloads and %d failures, want 2 and 3", ok, failed)
	}
}

func TestHTTP2IsSpokenOverTLS(t *testing.T) {
	p := newKeyPair(t, 1, time.Now().Add(time.Hour))
	r := newTLSRig(t, p, nil)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.pool()}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	resp, err := client.Get("https://" + r.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "HTTP/2.0" {
		t.Errorf("the server has seen %s", body)
	}
	plain, err := client.Get("http://" + r.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if body, _ := io.ReadAll(plain.Body); plain.StatusCode != 400 || !strings.Contains(string(body), "HTTPS") {
		t.Errorf("a client without TLS is told %d %s", plain.StatusCode, body)
	}
	old, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err == nil {
		old.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

func TestOnlyClientsWithCertificates(t *testing.T) {
	later := time.Now().Add(time.Hour)
	p, known, unknown := newKeyPair(t, 1, later), newKeyPair(t, 2, later), newKeyPair(t, 3, later)
	r := newTLSRig(t, p, known.cert)
	get := func(mine ...keyPair) error {
		config := &tls.Config{RootCAs: p.pool()}
		for _, m := range mine {
			pair, err := tls.X509KeyPair(m.cert, m.key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = append(config.Certificates, pair)
		}
		tr := &http.Transport{TLSClientConfig: config}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get("https://" + r.addr + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(known); err != nil {
		t.Error(err)
	}
	if get() == nil || get(unknown) == nil {
		t.Error("a client without a certificate that counts is let in")
	}
	r.write(r.files.ClientCA, unknown.cert)
	r.now = r.now.Add(lookAgain)
	if err := get(unknown); err != nil || get(known) == nil {
		t.Errorf("other authorities do not count: %v", err)
	}
}

func TestCertificatesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	later := time.Now().Add(time.Hour)
	one, two, old := newKeyPair(t, 1, later), newKeyPair(t, 2, later), newKeyPair(t, 3, time.Now().Add(-time.Hour))
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := file("one.crt", one.cert), file("one.key", one.key)
	for _, tt := range []struct {
		files TLSFiles
		class error
		words string
	}{
		{TLSFiles{Cert: cert, Key: file("two.key", two.key)}, content.ErrInvalid, "one.crt with key"},
		{TLSFiles{Cert: file("empty.crt", nil), Key: key}, content.ErrInvalid, "empty.crt"},
		{TLSFiles{Cert: cert, Key: cert}, content.ErrInvalid, "one.crt"},
		{TLSFiles{Cert: filepath.Join(dir, "none.crt"), Key: key}, content.ErrNotFound, "none.crt"},
		{TLSFiles{Cert: cert, Key: filepath.Join(dir, "none.key")}, content.ErrNotFound, "none.key"},
		{TLSFiles{Cert: cert, Key: key, ClientCA: file("ca.crt", []byte("no certificate"))}, content.ErrInvalid, "ca.crt"},
		{TLSFiles{Cert: dir, Key: key}, content.ErrInvalid, dir},
	} {
		_, err := LoadCertificates(tt.files, nil)
		if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%v gives %v", tt.files, err)
		}
	}
	var warned []string
	warn := func(s string) { warned = append(warned, s) }
	if _, err := LoadCertificates(TLSFiles{Cert: file("old.crt", old.cert), Key: file("old.key", old.key)}, warn); err != nil {
		t.Error(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "old.crt has expired") {
		t.Errorf("warned of %q", warned)
	}
}
