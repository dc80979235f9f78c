package registryclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// tlsConfig adds the authorities and client certificates of hosts.toml and of
// the certificate folders to those of the system.
func (c *Client) tlsConfig(s hostSpec) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.opts.Insecure || s.skipVerify}
	cas, pairs, err := c.certFiles(s)
	if err != nil {
		return nil, err
	}
	if err := addAuthorities(conf, cas); err != nil {
		return nil, err
	}
	for _, p := range pairs {
		cert, err := tls.LoadX509KeyPair(p[0], p[1])
		if err != nil {
			return nil, fmt.Errorf("client certificate %s: %w: %w", p[0], content.ErrInvalid, err)
		}
		conf.Certificates = append(conf.Certificates, cert)
	}
	return conf, nil
}

// unchecked says, once for each host, that nothing vouches for it.
type unchecked struct {
	http.RoundTripper
	client *Client
}

func (u *unchecked) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.RoundTripper.RoundTrip(req)
	if err == nil && resp.TLS != nil {
		u.client.once("certificate of "+req.URL.Host, "the certificate of %s is not checked", req.URL.Host)
	}
	return resp, err
}

// telling is rt, with a warning where it takes any certificate.
func (c *Client) telling(rt http.RoundTripper) http.RoundTripper {
	if t, ok := rt.(*http.Transport); ok && t.TLSClientConfig != nil && t.TLSClientConfig.InsecureSkipVerify {
		return &unchecked{rt, c}
	}
	return rt
}

// certFiles are the authorities and the client certificates for a host, beside
// the system's: those of hosts.toml, then those of its certificate folder.
func (c *Client) certFiles(s hostSpec) (cas []string, pairs [][2]string, err error) {
	cas, pairs = s.ca, s.client
	dir := c.certDir(s.url.Host)
	if dir == "" && s.url.Host == dialHost(oci.DockerHub) {
		dir = c.certDir(oci.DockerHub)
	}
	if dir != "" {
		moreCAs, morePairs, err := readCertDir(dir)
		if err != nil {
			return nil, nil, err
		}
		cas, pairs = append(cas, moreCAs...), append(pairs, morePairs...)
	}
	return cas, pairs, nil
}

func addAuthorities(conf *tls.Config, files []string) error {
	if len(files) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, f := range files {
		pem, err := fsys.ReadCapped(f, maxConfigBytes)
		if err != nil {
			return fmt.Errorf("certificate authority: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("certificate authority %s: %w: no PEM certificate", f, content.ErrInvalid)
		}
	}
	conf.RootCAs = pool
	return nil
}

// certDir is the folder with certificates for a host, "" when there is none. As
// with containerd, a folder for a hosts.toml that has none may hold them too.
func (c *Client) certDir(host string) string {
	for _, dir := range c.opts.CertDirs {
		for _, name := range hostDirNames(host) {
			if d := filepath.Join(dir, name); isDir(d) {
				return d
			}
		}
	}
	for _, dir := range c.opts.HostsDirs {
		for _, name := range hostDirNames(host) {
			d := filepath.Join(dir, name)
			if _, err := os.Lstat(filepath.Join(d, "hosts.toml")); isDir(d) && errors.Is(err, fs.ErrNotExist) {
				return d
			}
		}
	}
	return ""
}

func isDir(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// readCertDir finds *.crt, and *.cert with the *.key of the same name.
func readCertDir(dir string) (cas []string, pairs [][2]string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("certificates: %w", err)
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		stem, ext := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), filepath.Ext(e.Name())
		switch {
		case ext == ".crt":
			cas = append(cas, path)
		case ext == ".cert" && !there[stem+".key"]:
			return nil, nil, fmt.Errorf("client certificate %s: %w: its key, %s.key, is not beside it", path, content.ErrInvalid, stem)
		case ext == ".key" && !there[stem+".cert"]:
			return nil, nil, fmt.Errorf("client key %s: %w: its certificate, %s.cert, is not beside it", path, content.ErrInvalid, stem)
		case ext == ".cert":
			pairs = append(pairs, [2]string{path, filepath.Join(dir, stem+".key")})
		}
	}
	return cas, pairs, nil
}
