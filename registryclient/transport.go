package registryclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dist.example/content"
)

const (
	// connsPerHost bounds connections to one host: a window of ranges for each of
	// a few blobs at once, and not so many that a registry takes offence.
	connsPerHost = 32
	// answerTimeout bounds how long a registry may think about a body that it has
	// received whole: it may be hashing and moving gigabytes.
	answerTimeout = 5 * time.Minute
	// writeChunk is how much has to get out within one stall timeout.
	writeChunk = 256 << 10
)

// transportFor makes the connections for s. Callers hold c.mu.
func (c *Client) transportFor(s hostSpec) (http.RoundTripper, error) {
	if c.opts.Transport != nil {
		return c.opts.Transport, nil
	}
	conf, err := c.tlsConfig(s)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if s.dialTimeout > 0 {
		dialer.Timeout = s.dialTimeout
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           c.dial(dialer),
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: c.thinking,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxConnsPerHost:       connsPerHost,
		MaxIdleConnsPerHost:   connsPerHost,
		ForceAttemptHTTP2:     true,
		// Blobs are what their digest says; a transport that unpacks them breaks that.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        64 << 10,
	}
	c.transports = append(c.transports, t)
	return t, nil
}

// foreignFor makes the connections to hosts that an endpoint redirects to: the
// endpoint's own ones where these carry nothing that is meant for it alone.
func (c *Client) foreignFor(rt http.RoundTripper) http.RoundTripper {
	own, ok := rt.(*http.Transport)
	if !ok || own.TLSClientConfig == nil || (len(own.TLSClientConfig.Certificates) == 0 && own.TLSClientConfig.InsecureSkipVerify == c.opts.Insecure) {
		return rt
	}
	t := own.Clone()
	t.TLSClientConfig.Certificates = nil
	t.TLSClientConfig.InsecureSkipVerify = c.opts.Insecure
	c.transports = append(c.transports, t)
	return t
}

func (c *Client) dial(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := c.Online(); err != nil {
			return nil, err
		}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &writeGuard{Conn: conn, stall: c.opts.StallTimeout}, nil
	}
}

// writeGuard fails a write that stands still, and lets files go out by sendfile.
type writeGuard struct {
	net.Conn
	stall time.Duration
}

func (g *writeGuard) Write(p []byte) (int, error) {
	if err := g.SetWriteDeadline(time.Now().Add(g.stall)); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

// ReadFrom hands r to the kernel in chunks, each with its own deadline.
func (g *writeGuard) ReadFrom(r io.Reader) (int64, error) {
	lr, ok := r.(*io.LimitedReader)
	rf, can := g.Conn.(io.ReaderFrom)
	if !ok || !can {
		return io.Copy(struct{ io.Writer }{g}, r)
	}
	var sent int64
	for lr.N > 0 {
		if err := g.SetWriteDeadline(time.Now().Add(g.stall)); err != nil {
			return sent, err
		}
		chunk := &io.LimitedReader{R: lr.R, N: min(lr.N, writeChunk)}
		n, err := rf.ReadFrom(chunk)
		sent += n
		lr.N -= n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}

// tlsConfig adds the authorities and client certificates of hosts.toml and of
// the certificate folders to those of the system.
func (c *Client) tlsConfig(s hostSpec) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.opts.Insecure || s.skipVerify}
	cas, pairs := s.ca, s.client
	if dir := c.certDir(s.url.Host); dir != "" {
		moreCAs, morePairs, err := readCertDir(dir)
		if err != nil {
			return nil, err
		}
		cas, pairs = append(cas, moreCAs...), append(pairs, morePairs...)
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

func addAuthorities(conf *tls.Config, files []string) error {
	if len(files) == 0 {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, f := range files {
		pem, err := readCapped(f, maxConfigBytes)
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

// certDir is the folder with certificates for a host, "" when there is none.
func (c *Client) certDir(host string) string {
	for _, dir := range c.opts.CertDirs {
		d := filepath.Join(dir, host)
		if fi, err := os.Stat(d); err == nil && fi.IsDir() {
			return d
		}
	}
	return ""
}

func readCertDir(dir string) (cas []string, pairs [][2]string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("certificates: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(e.Name()) {
		case ".crt":
			cas = append(cas, path)
		case ".cert":
			pairs = append(pairs, [2]string{path, strings.TrimSuffix(path, ".cert") + ".key"})
		}
	}
	return cas, pairs, nil
}
