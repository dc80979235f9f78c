package registryserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"dist.example/content"
)

// TLSFiles name what a server shows to its clients, in PEM.
type TLSFiles struct {
	// Cert is the certificate, followed by those between it and its authority; Key is
	// its private key.
	Cert, Key string
	// ClientCA has the authorities that clients' certificates have to come from; ""
	// asks clients for none.
	ClientCA string
}

// Certificates are what TLSFiles name, read anew when the files change. They are safe
// for concurrent use.
type Certificates struct {
	files TLSFiles
	warn  func(string)
	now   func() time.Time

	config  atomic.Pointer[tls.Config]
	reloads atomic.Int64
	failed  atomic.Int64

	mu     sync.Mutex
	looked time.Time     // when the files were last looked at
	seen   []os.FileInfo // what they were when they were last read, nil after a failure
	told   string        // the last warning
}

// lookAgain is how often the files are looked at, when a client comes.
const lookAgain = time.Second

// LoadCertificates reads files. It warns of a certificate that clients will refuse,
// and later of files that can no longer be read, in which case those from before
// stay; warn may be nil.
//
// Errors: ErrInvalid, ErrNotFound, ErrDenied, each with the file.
func LoadCertificates(files TLSFiles, warn func(string)) (*Certificates, error) {
	if warn == nil {
		warn = func(string) {}
	}
	c := &Certificates{files: files, warn: warn, now: time.Now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// forClient is for tls.Config.GetConfigForClient. A client that comes while another
// one looks at the files is shown what there is.
func (c *Certificates) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		if now := c.now(); now.Sub(c.looked) >= lookAgain {
			c.looked = now
			c.refresh()
		}
	}
	return c.config.Load(), nil
}

// refresh reads the files if they have changed. A pair of which one half is still to
// come does not fit, and is read again the next time.
func (c *Certificates) refresh() {
	if !c.changed() {
		return
	}
	err := c.load()
	if err == nil {
		c.reloads.Add(1)
		c.told = ""
		return
	}
	c.failed.Add(1)
	c.seen = nil
	if text := err.Error(); text != c.told {
		c.told = text
		c.warn("the certificate from before stays in use: " + text)
	}
}

func (c *Certificates) paths() []string {
	paths := []string{c.files.Cert, c.files.Key}
	if c.files.ClientCA != "" {
		paths = append(paths, c.files.ClientCA)
	}
	return paths
}

// changed says whether a file is another one than was read. One that cannot be looked
// at has changed.
func (c *Certificates) changed() bool {
	if c.seen == nil {
		return true
	}
	for i, path := range c.paths() {
		info, err := os.Stat(path)
		if err != nil || !os.SameFile(info, c.seen[i]) || info.Size() != c.seen[i].Size() || !info.ModTime().Equal(c.seen[i].ModTime()) {
			return true
		}
	}
	return false
}

// load reads everything and puts it to use, or leaves all as it is.
func (c *Certificates) load() error {
	var seen []os.FileInfo // before they are read: a change in between is seen the next time
	for _, path := range c.paths() {
		info, err := os.Stat(path)
		if err != nil {
			return unreadable(path, err)
		}
		seen = append(seen, info)
	}
	pair, err := c.files.pair()
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
	if c.files.ClientCA != "" {
		if config.ClientCAs, err = c.files.clientCAs(); err != nil {
			return err
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.config.Store(config)
	c.seen = seen
	if now := c.now(); now.After(pair.Leaf.NotAfter) {
		c.warn(fmt.Sprintf("the certificate of %s has expired on %s", c.files.Cert, pair.Leaf.NotAfter.Format(time.DateOnly)))
	} else if now.Before(pair.Leaf.NotBefore) {
		c.warn(fmt.Sprintf("the certificate of %s is valid from %s on", c.files.Cert, pair.Leaf.NotBefore.Format(time.DateOnly)))
	}
	return nil
}

func (f TLSFiles) pair() (tls.Certificate, error) {
	cert, err := os.ReadFile(f.Cert)
	if err != nil {
		return tls.Certificate{}, unreadable(f.Cert, err)
	}
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return tls.Certificate{}, unreadable(f.Key, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("read certificate %s with key %s: %w: %w", f.Cert, f.Key, content.ErrInvalid, err)
	}
	return pair, nil
}

// unreadable is err with its class; the system's own text repeats the path.
func unreadable(path string, err error) error {
	class := content.ErrInvalid
	switch {
	case errors.Is(err, fs.ErrNotExist):
		class = content.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		class = content.ErrDenied
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("read %s for TLS: %w: %w", path, class, err)
}

func (f TLSFiles) clientCAs() (*x509.CertPool, error) {
	data, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, unreadable(f.ClientCA, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read authorities of clients %s: %w: no certificate is in it", f.ClientCA, content.ErrInvalid)
	}
	return pool, nil
}

// metrics writes what /metrics says about certificates.
func (c *Certificates) metrics(e *exposition) {
	e.family("dist_tls_reloads_total", "counter", "Times that changed certificate files were read.")
	e.sample("dist_tls_reloads_total", float64(c.reloads.Load()), "result", "ok")
	e.sample("dist_tls_reloads_total", float64(c.failed.Load()), "result", "failed")
	e.single("dist_tls_certificate_expiry_seconds", "gauge", "When the certificate expires, in seconds since 1970.",
		float64(c.config.Load().Certificates[0].Leaf.NotAfter.Unix()))
}
