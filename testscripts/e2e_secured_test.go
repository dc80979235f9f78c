package testscripts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dist.example/registryserver/registrytest"
)

// TestPeersSecured runs the scripts of the folder e2e/secured twice: $REGISTRY is
// a docker-registry over TLS, with an authority of its own, that asks for a
// password, and then one that sends to a token server for it. $OPEN is another
// one, over plain HTTP, that lets everybody in.
func TestPeersSecured(t *testing.T) {
	meetPeers(t, peers)
	for name, ask := range map[string]asking{"basic": askPassword, "token": askToken} {
		t.Run(name, func(t *testing.T) {
			p := peerParams("e2e/secured", func(env *testscript.Env) error { return startSecured(env, ask) })
			p.Cmds["openstat"] = openstat
			p.Cmds["manytags"] = manyTags
			testscript.Run(t, p)
		})
	}
}

// Who is let in by secured registries.
const (
	securedUser     = "reader"
	securedPassword = "sesame"
	// securedHtpasswd is a line of both.
	securedHtpasswd = "reader:$2y$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n"
)

// asking sets up how a docker-registry asks who is there, in a folder of its own,
// and returns the lines of its configuration for it.
type asking func(env *testscript.Env, dir string, ca *issuer) (auth string, err error)

func askPassword(_ *testscript.Env, dir string, _ *issuer) (string, error) {
	file := filepath.Join(dir, "htpasswd")
	return htpasswdAuth(file), os.WriteFile(file, []byte(securedHtpasswd), 0o644)
}

func startSecured(env *testscript.Env, ask asking) error {
	dir := filepath.Join(env.WorkDir, "secured")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	ca, err := newIssuer()
	if err != nil {
		return err
	}
	cert, err := ca.issue()
	if err != nil {
		return err
	}
	auth, err := ask(env, dir, ca)
	if err != nil {
		return err
	}
	tlsLines, err := writePair(dir, cert)
	if err != nil {
		return err
	}
	address, err := runPeer(filepath.Join(dir, "peer"), peerOptions{auth: auth, tls: tlsLines}, env.Defer)
	if err != nil {
		return err
	}
	trusting := &tls.Config{RootCAs: ca.pool()}
	if err := recorded(env, registrytest.Options{Handler: proxyTo(address, trusting), TLS: true, TLSCertificate: &cert}); err != nil {
		return err
	}
	if err := ca.trusted(env, env.Getenv("REGISTRY")); err != nil {
		return err
	}
	return startOpen(env)
}

// openKey finds a script's open registry among its values.
type openKey struct{}

func startOpen(env *testscript.Env) error {
	address, err := runPeer(filepath.Join(env.WorkDir, "open"), peerOptions{}, env.Defer)
	if err != nil {
		return err
	}
	r, err := registrytest.NewServer(registrytest.Options{Handler: proxyTo(address, nil)})
	if err != nil {
		return err
	}
	env.Defer(r.Close)
	env.Values[openKey{}] = r
	env.Setenv("OPEN", r.Host)
	return nil
}

// openstat is regstat for the open registry.
func openstat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: openstat")
	}
	printStat(ts, ts.Value(openKey{}).(*registrytest.Registry))
}

// manyTags gives a manifest of the open registry N tags more: v1 to vN.
func manyTags(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: manytags REPOSITORY FILE N")
	}
	r := ts.Value(openKey{}).(*registrytest.Registry)
	for i := range number(ts, args[2]) {
		ts.Check(putTag(fmt.Sprintf("%s/v2/%s/manifests/v%d", r.URL, args[0], i+1), ts.MkAbs(args[1])))
	}
	r.Forget()
}

func putTag(address, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	req, err := http.NewRequest(http.MethodPut, address, f)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s: %s", address, resp.Status)
	}
	return nil
}

// issuer is a certificate authority that nobody knows.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &issuer{cert, key}, err
}

// issue makes a certificate for servers on this machine.
func (ca *issuer) issue() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (ca *issuer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// write makes a file of the authority's certificate.
func (ca *issuer) write(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o644)
}

// trusted lets the script's programs trust the authority for a host.
func (ca *issuer) trusted(env *testscript.Env, host string) error {
	return ca.write(filepath.Join(env.Getenv("XDG_CONFIG_HOME"), "containers", "certs.d", host, "ca.crt"))
}

// writePair writes a certificate and its key, and returns the lines of a
// docker-registry's configuration that name them.
func writePair(dir string, cert tls.Certificate) (string, error) {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return "", err
	}
	certFile, keyFile := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600); err != nil {
		return "", err
	}
	return fmt.Sprintf("{certificate: %q, key: %q}", certFile, keyFile), nil
}
