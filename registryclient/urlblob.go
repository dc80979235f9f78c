package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// FetchURL streams the blob at an address of http or https, which need not be a
// registry's. A body that breaks or stalls is taken up again where it stopped, or read
// over from the beginning where the server knows no ranges. No credentials and no
// client certificate are sent, and at most 10 redirects are followed. Plain http is for
// this machine, unless Options.PlainHTTP is set.
//
// The reader reports ErrCorrupt in place of io.EOF when the bytes do not match desc,
// whose size may be -1; it is not for concurrent use. The caller closes it. Errors:
// ErrInvalid for an address that is none, ErrNotFound, ErrDenied, ErrUnavailable,
// ErrOffline.
func (c *Client) FetchURL(ctx context.Context, address string, desc oci.Descriptor) (io.ReadCloser, error) {
	u, err := c.parseAddress(address)
	if err == nil {
		_, err = oci.ParseDigest(desc.Digest.String())
	}
	if err == nil {
		err = c.Online()
	}
	if err != nil {
		return nil, err
	}
	rt, err := c.strangers(u)
	if err != nil {
		return nil, err
	}
	s := &urlStream{
		hop:  hop{client: c, base: u, rt: rt, foreign: rt},
		ctx:  ctx,
		what: fmt.Sprintf("blob %s at %s", desc.Digest, u.Host+u.Path),
		size: desc.Size,
	}
	s.tries = tries{client: c, host: u.Host, what: s.what}
	if err := s.open(); err != nil {
		return nil, err
	}
	return content.VerifyCloser(s, desc), nil
}

// parseAddress reads an address. Messages leave out its query, which may be a secret.
func (c *Client) parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, fmt.Errorf("address %q: %w: want https://HOST/PATH", withoutSecrets(address), content.ErrInvalid)
	case u.User != nil:
		return nil, content.WithHint(fmt.Errorf("address at %s: %w: it has a user's name in it", u.Host, content.ErrInvalid),
			"no credentials are sent to plain addresses")
	case u.Scheme == "http" && !c.opts.PlainHTTP && !isLoopback(u.Hostname()):
		return nil, content.WithHint(fmt.Errorf("address at %s: %w: plain http", u.Host, content.ErrInvalid),
			"use https, or --plain-http")
	}
	u.Fragment = ""
	return u, nil
}

// strangers are the connections to a host that is given nothing of the user's.
func (c *Client) strangers(u *url.URL) (http.RoundTripper, error) {
	key := u.Scheme + "://" + canonicalHost(u) // which is no registry's name
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.shared[key]; known != nil {
		return known.endpoints[0].foreign, nil
	}
	rt, err := c.transportFor(hostSpec{url: &url.URL{Scheme: u.Scheme, Host: u.Host}})
	if err != nil {
		return nil, fmt.Errorf("address at %s: %w", u.Host, err)
	}
	e := &endpoint{base: u, foreign: c.telling(c.foreignFor(rt))}
	c.shared[key] = &route{key: key, endpoints: []*endpoint{e}}
	return e.foreign, nil
}

// urlStream reads what is at an address, in order.
type urlStream struct {
	hop   hop
	ctx   context.Context //nolint:containedctx // a reader's, ended by its Close
	what  string
	off   int64 // the next byte to give out
	size  int64 // -1 when not known
	body  io.ReadCloser
	tries tries
	since int64 // bytes since the last failure
	// noRange says that the server cannot start in the middle, or does it wrongly.
	noRange bool
}

// open asks for what is left, until there is an answer or patience ends.
func (s *urlStream) open() error {
	for {
		err := s.openOnce()
		var f *failure
		if !errors.As(err, &f) {
			return err
		}
		if err := s.pause(f); err != nil {
			return err
		}
	}
}

// pause waits after a failure; it returns the failure's error when there were too
// many, or when trying again is of no use.
func (s *urlStream) pause(f *failure) error {
	s.since = 0
	if !f.transient {
		return f.error
	}
	more, err := s.tries.again(s.ctx, f.cause, f.after)
	if err != nil {
		return fmt.Errorf("%s: %w", s.what, err)
	}
	if !more {
		return f.error
	}
	return nil
}

func (s *urlStream) openOnce() error {
	q := call{what: s.what, method: http.MethodGet, url: s.hop.base}
	if s.off > 0 && !s.noRange {
		q.header = http.Header{"Range": {span{s.off, -1}.header()}}
	}
	resp, _, err := s.hop.follow(s.ctx, q)
	if err != nil {
		return s.broken(err)
	}
	ranged := q.header != nil
	switch {
	case resp.StatusCode == http.StatusOK:
		return s.whole(resp)
	case ranged && s.isRest(resp):
		s.body = resp.Body
		return nil
	case ranged && (resp.StatusCode == http.StatusPartialContent || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable):
		resp.Body.Close()
		s.noRange = true
		return s.openOnce()
	}
	return s.refused(resp)
}

// isRest says whether resp is what was asked for of the middle.
func (s *urlStream) isRest(resp *http.Response) bool {
	_, ok := matches(resp.Header.Get("Content-Range"), span{s.off, -1}, s.size)
	return ok && resp.StatusCode == http.StatusPartialContent
}

// whole takes an answer from the first byte, whatever was asked for.
func (s *urlStream) whole(resp *http.Response) error {
	if s.size < 0 {
		s.size = resp.ContentLength
	}
	if n, err := io.CopyN(io.Discard, resp.Body, s.off); err != nil {
		resp.Body.Close()
		return s.broken(fmt.Errorf("the body ended after %d bytes: %w", n, err))
	}
	s.body = resp.Body
	return nil
}

// refused is the failure of an answer that is none.
func (s *urlStream) refused(resp *http.Response) error {
	class := statusClass(http.MethodGet, resp.StatusCode, nil)
	after := retryAfter(resp.Header, time.Now())
	_, text := readErrorBody(resp)
	if text != "" {
		text = " " + text
	}
	transient := transientStatus(resp.StatusCode)
	return &failure{transient: transient, after: after, error: &content.RemoteError{
		Registry: s.hop.base.Host, Status: resp.StatusCode, Retryable: transient,
		Err: fmt.Errorf("%s: %w: the server answered %d%s", s.what, class, resp.StatusCode, text),
	}}
}

// broken is the failure of an answer that did not come, or not whole.
func (s *urlStream) broken(cause error) error {
	if s.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", s.what, context.Cause(s.ctx))
	}
	return &failure{cause: cause, transient: !fatalConn(cause), error: &content.RemoteError{
		Registry: s.hop.base.Host, Retryable: !fatalConn(cause),
		Err: fmt.Errorf("%s: %w: %w", s.what, content.ErrUnavailable, shorten(cause)),
	}}
}

// Read gives out the bytes, be they right or wrong, and io.EOF at their end. One byte
// more than the size is given out where there is one, so that it is noticed.
func (s *urlStream) Read(p []byte) (int, error) {
	for {
		if s.body == nil {
			if err := s.open(); err != nil {
				return 0, err
			}
		}
		n, err := s.body.Read(p)
		s.off += int64(n)
		if s.since += int64(n); s.since >= progress {
			s.tries.reset()
		}
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF) && (s.size < 0 || s.off >= s.size):
			return n, io.EOF
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		_ = s.Close()
		var f *failure
		if err := s.broken(err); !errors.As(err, &f) {
			return n, err
		}
		if err := s.pause(f); err != nil || n > 0 {
			return n, err
		}
	}
}

// Close gives the connection back, or up.
func (s *urlStream) Close() error {
	if s.body != nil {
		_ = s.body.Close()
		s.body = nil
	}
	return nil
}
