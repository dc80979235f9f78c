// Package registrytest is the one registry that tests talk to: registryserver
// over a store in memory, on a loopback port, with a record of every request
// and with faults that can be switched on.
//
//	reg := registrytest.New(t, registrytest.Options{})
//	image := reg.PushImage("app:v1", registrytest.Bytes(1, 5<<20))
//	reg.Inject(registrytest.Match{Kind: registryserver.KindBlob, Times: 1}, registrytest.CutAfter(1<<20))
//	… pull reg.Ref("app:v1") …
//	if got := reg.BlobBytes(); got > … { … }
//
// Faults wait for channels, never for the clock, but for Throttle, which is for
// looking on. Everything may be used by many goroutines at once.
package registrytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// Options say what a Registry is like. The zero value is writable, asks for no
// credentials and speaks plain HTTP.
type Options struct {
	// Store is what is served; nil stands for a fresh one in memory. Two
	// registries can share one, such as a registry and where it redirects to.
	Store content.Store
	// Handler answers instead of registryserver over Store, which is ignored, as is
	// what directs it: such as a proxy, so that another registry's requests are
	// recorded and go wrong. There is nothing to seed then.
	Handler http.Handler
	// ReadOnly refuses pushes.
	ReadOnly bool
	// Prefix is registryserver's.
	Prefix string
	// NoReferrers makes it a registry of before the API for referrers: it does not
	// know that, and answers no push with OCI-Subject.
	NoReferrers bool
	// NoETags leaves out the tags of entities, and ignores conditions on them.
	NoETags bool
	// Auth asks for credentials; nil asks for none.
	Auth *Auth
	// TLS serves HTTPS with the certificate that Certificate returns: TLSCertificate,
	// or one of package httptest's where that is nil.
	TLS            bool
	TLSCertificate *tls.Certificate
	// Log is registryserver's.
	Log *slog.Logger
}

// Registry is a running registry.
type Registry struct {
	// URL is http://127.0.0.1:PORT, Host the part behind the slashes.
	URL  string
	Host string

	t     testing.TB // nil outside of tests
	store *everywhere
	auth  *authority
	inner http.Handler
	srv   *httptest.Server

	mu       sync.Mutex
	requests []*Request
	faults   []*injected
	healed   chan struct{} // closed by the next Heal
	before   func(*http.Request)
}

// New starts a registry that ends with the test.
func New(t testing.TB, o Options) *Registry {
	t.Helper()
	r := start(o)
	r.t = t
	t.Cleanup(r.Close)
	return r
}

// NewServer starts a registry outside of a test function; the caller closes it.
// Its seeding methods panic where those of New's end the test.
func NewServer(o Options) (r *Registry, err error) {
	defer func() {
		if p := recover(); p != nil { // httptest has no other way to say it
			r, err = nil, fmt.Errorf("start registry: %w: %v", content.ErrUnavailable, p)
		}
	}()
	return start(o), nil
}

// Handler is what answers behind the faults, for another address of the same
// registry: see Options.Handler.
func (r *Registry) Handler() http.Handler { return r.inner }

func start(o Options) *Registry {
	if o.Store == nil {
		o.Store = memory.New()
	}
	store, shared := o.Store.(*everywhere)
	if !shared {
		store = &everywhere{Store: o.Store, seeded: map[oci.Digest]bool{}}
	}
	if o.Handler == nil {
		o.Handler = plain(registryserver.New(store, registryserver.Options{Writable: !o.ReadOnly, Prefix: o.Prefix, Log: o.Log}))
	}
	if o.NoReferrers || o.NoETags {
		o.Handler = older(o.Handler, o)
	}
	r := &Registry{store: store, inner: o.Handler, healed: make(chan struct{})}
	if o.Auth != nil {
		r.auth = newAuthority(*o.Auth)
	}
	r.srv = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	if o.TLSCertificate != nil {
		r.srv.TLS = &tls.Config{Certificates: []tls.Certificate{*o.TLSCertificate}}
	}
	if o.TLS {
		r.srv.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
		r.srv.StartTLS()
	} else {
		r.srv.Start()
	}
	r.URL = r.srv.URL
	_, r.Host, _ = strings.Cut(r.URL, "://")
	return r
}

// plain is h as most registries are: whom a mirror is asked for is nothing to them.
func plain(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if q := req.URL.Query(); q.Has("ns") {
			q.Del("ns")
			req.URL.RawQuery = q.Encode()
		}
		h.ServeHTTP(w, req)
	})
}

// older is h as it would be without what o leaves out.
func older(h http.Handler, o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if o.NoReferrers && registryserver.KindOf(req.URL.Path) == registryserver.KindReferrers {
			http.NotFound(w, req)
			return
		}
		if o.NoReferrers {
			w = &headerless{ResponseWriter: w, drop: "OCI-Subject", quiet: true}
		}
		if o.NoETags {
			w = &headerless{ResponseWriter: w, drop: "ETag", quiet: true}
			for _, name := range []string{"If-Match", "If-None-Match"} {
				req.Header.Del(name)
			}
		}
		h.ServeHTTP(w, req)
	})
}

// Close cuts all connections and stops the registry; New does it by itself.
// Closing it again does nothing. It is how a test makes a registry die.
func (r *Registry) Close() {
	r.srv.CloseClientConnections()
	r.srv.Close()
}

// Store is what the registry serves.
func (r *Registry) Store() content.Store { return r.store }

// Certificate is what a registry with TLS shows, nil without.
func (r *Registry) Certificate() *x509.Certificate { return r.srv.Certificate() }

// Client is an HTTP client that trusts the registry's certificate.
func (r *Registry) Client() *http.Client { return r.srv.Client() }

// Ref is the reference by which clients know what is served at path, such as
// app:v1 or team/app@sha256:….
func (r *Registry) Ref(path string) string { return r.Host + "/" + path }

// Before sets what is called at the beginning of each request, nil for nothing.
func (r *Registry) Before(hook func(*http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = hook
}

// serve is the way of each request: recorded, seen by the hook, let in, and
// answered by the registry unless a fault does.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	rec := r.record(w, req)
	r.mu.Lock()
	hook := r.before
	r.mu.Unlock()
	if hook != nil {
		hook(req)
	}
	h := http.Handler(http.HandlerFunc(r.admitted))
	for _, f := range r.due(req) {
		h = f.around(h)
	}
	h.ServeHTTP(rec, req)
}

func (r *Registry) admitted(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	auth := r.auth
	r.mu.Unlock()
	if auth != nil && !auth.admit(r.URL, w, req) {
		return
	}
	r.inner.ServeHTTP(w, req)
}

// ctx is for calls of the store by the seeding methods.
func (r *Registry) ctx() context.Context {
	if r.t != nil {
		return r.t.Context()
	}
	return context.Background()
}

// must ends the test when err is not nil.
func (r *Registry) must(err error) {
	if err == nil {
		return
	}
	if r.t == nil {
		panic(err)
	}
	r.t.Helper()
	r.t.Fatal(err)
}
