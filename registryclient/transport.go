package registryclient

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"

	"dist.example/budgets"
)

const (
	// connsPerHost bounds connections to one host: a window of ranges for each of
	// a few blobs at once, and not so many that a registry takes offence.
	connsPerHost   = 32
	connectTimeout = 10 * time.Second
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
	proxy, err := c.proxyFor(s)
	if err != nil {
		return nil, err
	}
	dial, handshake := c.connecting(s)
	dialer := &net.Dialer{Timeout: dial, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:                 proxy,
		DialContext:           c.dial(dialer),
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   handshake,
		ResponseHeaderTimeout: c.thinking,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       c.idleTimeout(),
		MaxConnsPerHost:       connsPerHost,
		MaxIdleConnsPerHost:   connsPerHost,
		ForceAttemptHTTP2:     true,
		// Blobs are what their digest says; a transport that unpacks them breaks that.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		ReadBufferSize:         64 << 10,
		WriteBufferSize:        64 << 10,
	}
	if u, err := proxy(&http.Request{URL: s.url}); err == nil && u != nil && u.Scheme == "https" && c.private(conf) {
		t.DialTLSContext = c.dialProxy(conf, t.DialContext, handshake)
	}
	c.transports = append(c.transports, t)
	return t, nil
}

// private says that conf has what is for one host alone: client certificates, or
// that its own is not checked.
func (c *Client) private(conf *tls.Config) bool {
	return len(conf.Certificates) > 0 || conf.InsecureSkipVerify != c.opts.Insecure
}

// public is conf for all other hosts.
func (c *Client) public(conf *tls.Config) *tls.Config {
	conf = conf.Clone()
	conf.Certificates, conf.InsecureSkipVerify = nil, c.opts.Insecure
	return conf
}

// dialProxy connects to a proxy that speaks TLS: conf is about the host behind it,
// and the proxy may get a password.
func (c *Client) dialProxy(conf *tls.Config, dial dialFunc, handshake time.Duration) dialFunc {
	conf = c.public(conf)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		own := conf.Clone()
		own.ServerName = hostname(addr)
		ctx, cancel := context.WithTimeout(ctx, handshake)
		defer cancel()
		secure := tls.Client(conn, own)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// connecting is how long connecting and a TLS handshake may take: with a mirror not
// for long, since somebody else can be asked.
func (c *Client) connecting(s hostSpec) (dial, handshake time.Duration) {
	dial, handshake = connectTimeout, connectTimeout
	if s.mirror {
		dial, handshake = c.opts.MirrorTimeout, c.opts.MirrorTimeout
	}
	if s.dialTimeout > 0 {
		dial = s.dialTimeout
		if s.mirror {
			handshake = dial
		}
	}
	return dial, handshake
}

// foreignFor makes the connections to hosts that an endpoint redirects to: the
// endpoint's own ones where these carry nothing that is meant for it alone.
func (c *Client) foreignFor(rt http.RoundTripper) http.RoundTripper {
	own, ok := rt.(*http.Transport)
	if !ok || own.TLSClientConfig == nil || !c.private(own.TLSClientConfig) {
		return rt
	}
	t := own.Clone()
	t.TLSClientConfig, t.DialTLSContext = c.public(own.TLSClientConfig), nil
	c.transports = append(c.transports, t)
	return t
}

func (c *Client) dial(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := c.Online(); err != nil {
			return nil, err
		}
		slot, err := c.connSlot(ctx, addr)
		if err != nil {
			return nil, err
		}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			slot.Release()
			return nil, err
		}
		return &writeGuard{Conn: conn, stall: c.opts.StallTimeout, slot: slot, metered: c.opts.Budgets.Limits().Rate > 0}, nil
	}
}

// writeGuard fails a write that stands still, and lets files go out by sendfile.
type writeGuard struct {
	net.Conn
	stall   time.Duration
	slot    *budgets.Slot // the right to the connection, given back when it closes
	metered bool          // what is written has to be paid for on its way, so that no file goes out by itself
}

func (g *writeGuard) Close() error {
	defer g.slot.Release()
	return g.Conn.Close()
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
	if !ok || !can || g.metered {
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
