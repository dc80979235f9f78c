// Package registryserver is an OCI distribution registry over any content.Library,
// or over any content.Store to push to as well: an http.Handler, and Serve to run it
// with sound limits.
//
// # Repositories
//
// What is held is served under every repository path that has a name in the
// store (names.go tells how paths and names map), and under no other: a blob or
// manifest is in the repositories that content.RepositoryReader says, and whoever
// asks for it elsewhere is told that there is none. A digest is no key to anything:
// a blob that is held already is uploaded like any other, and only who brings all
// its bytes, or could read it in another repository, gets it into his own. Nothing
// is written unless Options.Writable is set.
//
// # Pushing
//
// An upload session is an ingest of the store, and its id is part of the
// ingest's key; nothing about it is kept in memory, so that a client goes on
// with a session after the server was started again. What has been pushed but
// is not named yet is under a lease of the server, for Options.Keep. A manifest is
// taken when its config and layers are in its repository (but for layers that
// registries need not hold; a subject, or a platform of an index, may be absent
// too), and a tag moves in the one transaction that checks that they are held.
//
// # Deleting
//
// A blob or manifest is taken out of its repository, with the tags that stand for
// it; not when something else there refers to it. The store gives up what is in no
// repository any more, as far as nothing else holds it.
//
// # Users
//
// With Options.Gate every request is judged before anything is looked up, by its
// method and the repository that its path stands for, which may have several paths.
// Who may not pull from a repository is told the same whatever is in it. Who has
// shown nothing, or a token that is no good or not for this, gets 401 and is told
// where tokens are; a user without the right gets 403.
//
// # What it does not do
//
// It speaks no TLS: put it behind something that does, or on loopback. It does not
// hash what it sends, which clients must do in any case, but it never sends more or
// fewer bytes than the blob has.
package registryserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/access"
)

// Options say how a store is served.
type Options struct {
	// Writable allows pushing and deleting, if what is served is a content.Store.
	Writable bool
	// Keep is how long what was pushed is kept while it has no name; 0 is
	// DefaultKeep.
	Keep time.Duration
	// Prefix is the registry that repository paths without a host belong to;
	// "" is docker.io, where a single component is below library/.
	Prefix string
	// Gate says who may do what, and gives tokens; nil lets everybody do everything.
	Gate *access.Gate
	// Log gets one record for each request when it is done, and nil none.
	Log *slog.Logger
}

// New returns the registry over lib. Its methods are safe for concurrent use.
func New(lib content.Library, o Options) http.Handler {
	if o.Prefix == "" {
		o.Prefix = oci.DockerHub
	}
	store, takes := lib.(content.Store)
	o.Writable = o.Writable && takes
	return &server{
		lib:    lib,
		store:  store,
		names:  names{store: lib, prefix: o.Prefix},
		leases: leases{store: store, keep: o.Keep},
		o:      o,
	}
}

type server struct {
	lib    content.Library // for whoever reads
	store  content.Store   // the same for whoever writes, nil where nobody may
	names  names
	leases leases
	o      Options
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.o.Log == nil {
		s.answer(w, r)
		return
	}
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	start := time.Now()
	s.answer(rec, r)
	if r.Method == http.MethodHead {
		rec.sent = 0 // what was written is left out by net/http
	}
	s.o.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.sent),
		slog.Duration("took", time.Since(start)), slog.String("from", r.RemoteAddr))
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		// What is left of a body when the answer begins is read by net/http, so that
		// the connection can be used again: it must not wait for ever for that.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(stall))
	}
	if err := s.dispatch(w, r); err != nil {
		writeError(w, err)
	}
}

// handler answers one request, or returns why it cannot before it has written
// anything.
type handler func(w http.ResponseWriter, r *http.Request, at route) error

func (s *server) dispatch(w http.ResponseWriter, r *http.Request) error {
	if s.o.Gate != nil && r.URL.Path == access.TokenPath {
		s.o.Gate.ServeToken(w, r, s.scopeTarget)
		return nil
	}
	at, err := parseRoute(r.URL.Path)
	if err != nil {
		return err
	}
	methods := s.methods(at.kind)
	h, ok := methods[r.Method]
	if !ok {
		w.Header().Set("Allow", allowed(methods))
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "%s is not possible here", r.Method)
	}
	if r, err = s.admit(w, r, at); err != nil {
		return err
	}
	if !s.o.Writable && writes(r.Method, at.kind) {
		return readOnly(r.Method)
	}
	return h(w, r, at)
}

// methods are what can be done with each kind of path.
func (s *server) methods(k Kind) map[string]handler {
	switch k {
	case KindBase:
		return map[string]handler{http.MethodGet: s.base, http.MethodHead: s.base}
	case KindManifest:
		return map[string]handler{
			http.MethodGet: s.getManifest, http.MethodHead: s.getManifest,
			http.MethodPut: s.putManifest, http.MethodDelete: s.deleteManifest,
		}
	case KindBlob:
		return map[string]handler{http.MethodGet: s.getBlob, http.MethodHead: s.getBlob, http.MethodDelete: s.deleteBlob}
	case KindUploads:
		return map[string]handler{http.MethodPost: s.startUpload}
	case KindUpload:
		return map[string]handler{
			http.MethodGet: s.uploadStatus, http.MethodPatch: s.appendUpload,
			http.MethodPut: s.finishUpload, http.MethodDelete: s.cancelUpload,
		}
	case KindTags:
		return map[string]handler{http.MethodGet: s.listTags, http.MethodHead: s.listTags}
	case KindCatalog:
		return map[string]handler{http.MethodGet: s.listCatalog, http.MethodHead: s.listCatalog}
	case KindReferrers:
		return map[string]handler{http.MethodGet: s.listReferrers, http.MethodHead: s.listReferrers}
	}
	return nil
}

func writes(method string, k Kind) bool {
	return k == KindUpload || (method != http.MethodGet && method != http.MethodHead)
}

// readOnly is the answer to writes where they are not allowed. Distribution-spec
// wants 405 for a deletion that is switched off.
func readOnly(method string) error {
	if method == http.MethodDelete {
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "this registry is read-only")
	}
	return refuse(http.StatusForbidden, codeDenied, "this registry is read-only")
}

func (s *server) base(w http.ResponseWriter, _ *http.Request, _ route) error {
	w.Header().Set("Content-Type", oci.MediaTypeJSON)
	_, _ = io.WriteString(w, "{}")
	return nil
}

// recorder remembers what was answered. It passes ReadFrom on, so that whole
// files still leave by sendfile.
type recorder struct {
	http.ResponseWriter
	status int
	sent   int64
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.sent += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(r.ResponseWriter, src)
	r.sent += n
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	drainTime     = 5 * time.Second
)

// Serve answers requests on ln with h until ctx ends, then lets those under way
// finish for a few seconds and closes ln. It returns nil after ctx has ended.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if srv.Shutdown(drain) != nil {
			_ = srv.Close() // what is cut off can be resumed
		}
	})
	err := srv.Serve(ln)
	if stop() {
		return err // ctx has not ended: the listener broke
	}
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
