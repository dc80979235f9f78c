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
// An upload session is an ingest of the store from its first byte on, and its id
// is part of the ingest's key, so that a client goes on with it after the server
// was started again, or at another one over the same store. A session that has got
// nothing yet is in the memory of the server that began it, and gone with that:
// the client begins another one. What has been pushed but is not named yet is under
// a lease of the server, for Options.Keep. A manifest is taken when its config and
// layers are in its repository (but for layers that registries need not hold; a
// subject, or a platform of an index, may be absent too), and a tag moves in the one
// transaction that checks that they are held.
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
// It does not hash what it sends, which clients must do in any case, but it never
// sends more or fewer bytes than the blob has.
package registryserver

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
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
	// SetNames lets tags name a manifest that was pushed, in place of the store's own
	// method, which it is like: an error of the class content.ErrUntrusted refuses the
	// tags, and the manifest stays without. What is about it has to be there by then.
	// Nil means the store's.
	SetNames func(ctx context.Context, manifest oci.Descriptor, changes ...content.NameChange) error
	// Upstream is asked for what the store does not have; nil for nobody. Nothing can be
	// pushed to the repositories that it mirrors.
	Upstream Upstream
	// Pages answers every path that is not the API's nor one of the server's own, nil
	// none of them. The gate is for it to ask, and NameUser to be told of its answer.
	Pages http.Handler
	// Log gets one record for each request when it is done, and nil none.
	Log *slog.Logger
	// Warn is told, in a text, of faults of the server where there is no Log; nil is
	// fine.
	Warn func(string)
	// Limits bound what clients can take.
	Limits Limits
	// Certificates are those of Serve, nil for none: /metrics tells of them.
	Certificates *Certificates
	// Version is the program's, for /metrics.
	Version string
}

// New returns the registry over lib. Its methods are safe for concurrent use.
func New(lib content.Library, o Options) http.Handler {
	if o.Prefix == "" {
		o.Prefix = oci.DockerHub
	}
	o.Limits = o.Limits.withDefaults()
	store, takes := lib.(content.Store)
	o.Writable = o.Writable && takes
	s := &server{
		lib:     lib,
		store:   store,
		names:   names{store: lib, prefix: o.Prefix, upstream: o.Upstream},
		leases:  leases{store: store, keep: o.Keep},
		o:       o,
		metrics: metrics{started: time.Now()},
		health:  health{store: lib},
		foreign: http.NewCrossOriginProtection(),
		large:   newBulky(),
		lists:   newBulky(),
		ids:     requestIDs{process: strings.ToLower(rand.Text()[:8]) + "-"},
	}
	_, kept := s.leases.times()
	s.sessions = sessions{store: store, fresh: &s.fresh, limit: o.Limits.Uploads, forgotten: kept}
	return s
}

type server struct {
	lib    content.Library // for whoever reads
	store  content.Store   // the same for whoever writes, nil where nobody may
	names  names
	leases leases
	o      Options

	manifests manifestCache
	fresh     freshSessions
	queues    sessionQueues
	large     bulky // manifests that are pushed
	lists     bulky // of referrers and repositories
	metrics   metrics
	health    health
	sessions  sessions
	ids       requestIDs
	draining  atomic.Bool
	foreign   *http.CrossOriginProtection
}

// ServeHTTP implements http.Handler: around every answer there are a count, a line of
// the log, the limits, and what catches faults.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec, r := newRecorder(w, r)
	kind := kindOf(r.URL.Path)
	if s.o.Log != nil {
		rec.id = s.ids.next()
		w.Header().Set("X-Request-Id", rec.id)
	}
	defer s.leave()
	defer rec.close()
	defer s.done(rec, r, kind)
	defer s.recovered(rec, r)
	if err := s.enter(kind); err != nil {
		s.fail(rec, r, err)
		return
	}
	if s.foreign.Check(r) != nil {
		// A browser adds the password that it was given for the pages to whatever a page
		// of another site has it send. Other clients say nothing of where they come from.
		s.fail(rec, r, refuse(http.StatusForbidden, codeDenied, "a page of another site may not write here"))
		return
	}
	switch kind {
	case kindHealth:
		onlyGet(rec, r, s.healthz)
	case kindMetrics:
		if err := s.admitKnown(rec, r); err != nil {
			s.fail(rec, r, err)
			return
		}
		onlyGet(rec, r, s.writeMetrics)
	default:
		s.answer(rec, r)
	}
}

// onlyGet calls h unless r wants something else than to read.
func onlyGet(w *recorder, r *http.Request, h func(*recorder, *http.Request)) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeError(w, refuse(http.StatusMethodNotAllowed, codeUnsupported, "%s is not possible here", r.Method))
		return
	}
	h(w, r)
}

func (s *server) answer(w *recorder, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		// What is left of a body when the answer begins is read by net/http, so that
		// the connection can be used again: it must not wait for ever for that.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(stall))
	}
	if err := s.dispatch(w, r); err != nil {
		s.fail(w, r, err)
	}
}

// fail answers with err. The log is told the cause that the client is not, and that a
// client has gone away is no fault of the server.
func (s *server) fail(w *recorder, r *http.Request, err error) {
	writeError(w, err)
	if w.status < http.StatusInternalServerError {
		return
	}
	w.cause = err
	if r.Context().Err() != nil && !s.draining.Load() {
		w.status = statusGone
	}
}

// statusGone stands in the log and the metrics for a request whose client did not
// wait for its answer.
const statusGone = 499

// inAPI says whether a path is distribution-spec's, known or not.
func inAPI(path string) bool { return path == "/v2" || strings.HasPrefix(path, "/v2/") }

// handler answers one request, or returns why it cannot before it has written
// anything.
type handler func(w http.ResponseWriter, r *http.Request, at route) error

func (s *server) dispatch(w *recorder, r *http.Request) error {
	if s.o.Gate != nil && r.URL.Path == access.TokenPath {
		w.user = s.o.Gate.ServeToken(w, r, s.scopeTarget)
		return nil
	}
	if s.o.Pages != nil && !inAPI(r.URL.Path) {
		s.o.Pages.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, &w.user)))
		return nil
	}
	at, err := parseRoute(r.URL.Path)
	if err != nil {
		return err
	}
	ns := r.URL.Query().Get("ns")
	if ns != "" && at.name != "" {
		if at.name, err = s.names.below(ns, at.name); err != nil {
			return err
		}
		w.Header().Set("OCI-Namespace", ns)
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
	if err := s.takes(r, at); err != nil {
		return err
	}
	if ns != "" {
		if err := s.names.knows(r.Context(), ns); err != nil {
			return err
		}
	}
	if done, err := s.fromUpstream(w, r, at); done || err != nil {
		return err
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

// takes refuses writes where there are none. A repository of a registry that is stood
// for takes no pushes: a tag there is what that registry says, and so one that was
// pushed here would be gone, or be an image of whoever has the name there.
func (s *server) takes(r *http.Request, at route) error {
	switch {
	case !writes(r.Method, at.kind):
		return nil
	case !s.o.Writable:
		return readOnly(r.Method)
	case s.o.Upstream == nil || actionOf(r.Method, at.kind) != access.Push:
		return nil
	}
	repo, err := s.names.repository(r.Context(), at.name)
	if err == nil && s.mirrored(repo) {
		err = refuse(http.StatusForbidden, codeDenied, "%s is mirrored here, and nothing can be pushed to its repositories", repo.Registry)
	}
	return err
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
