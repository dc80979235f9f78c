// Package pages is what people see of a registry in a browser: its repositories,
// their tags, and what each manifest is made of and how to pull it.
//
// Everything is written on the server, from templates that are part of the program:
// there is no script, and nothing is asked of any other host. The pages only read,
// by the contracts of content.Library.
//
//	/                           the repositories, ?q= for some of them
//	/r/<repository>             its tags
//	/r/<repository>:<tag>       the manifest that a tag stands for
//	/r/<repository>@<digest>    a manifest of the repository
//	/sign-in                    has the browser ask for a name and password
//	/assets/…                   style sheet and icon, named by their content
//
// # What is shown to whom
//
// Options.Visit says who a visitor is and which repositories he may see; others are
// answered as what is not there. A digest is shown in a repository that has it, as
// content.RepositoryReader says, and in no other.
//
// # Nothing in a store is trusted
//
// What others wrote is escaped where it stands, bidirectional and other invisible
// characters come out as their numbers, links are http or https or no links, and
// the Content-Security-Policy of every page allows nothing but the style sheet and
// the icon. Documents, values and lists are cut at bounds, and it says so where they
// are.
//
// # What it does not do
//
// It changes nothing and verifies no signature. A repository that no name of the
// store is in has no page. The list of names is at least a second behind.
package pages

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"dist.example/content"
	"dist.example/oci"
)

// Options say what is shown, and to whom.
type Options struct {
	// Prefix is the registry that paths without a host belong to, as in
	// registryserver.Options; "" is docker.io.
	Prefix string
	// URL is how clients reach the server, as http(s)://host[:port]; "" takes what
	// the browser asked for.
	URL string
	// Writable says that the server takes pushes.
	Writable bool
	// Visit says who has sent r, once for each request; nil lets everybody see
	// everything. Errors: ErrDenied for credentials that are nobody's, ErrUnavailable.
	Visit func(r *http.Request) (Visitor, error)
	// Realm is what browsers are asked to sign in to, by HTTP's Basic scheme; "" when
	// there is nothing to sign in to.
	Realm string
}

// Visitor is who looks at the pages.
type Visitor struct {
	Name string // "" for somebody unknown
	// May says whether he may pull from repo; nil lets him see everything. It is called
	// for every repository of the store in one request.
	May func(repo oci.Reference) bool
}

// visitorKey is that of a request's Visitor in its context.
type visitorKey struct{}

// visitorOf is who has sent r, nobody before he was asked.
func visitorOf(r *http.Request) Visitor {
	v, _ := r.Context().Value(visitorKey{}).(Visitor)
	return v
}

// New returns the pages over lib. It is safe for concurrent use.
func New(lib content.Library, o Options) http.Handler {
	if o.Prefix == "" {
		o.Prefix = oci.DockerHub
	}
	return &site{
		lib: lib, o: o, catalog: catalog{lib: lib, prefix: o.Prefix}, documents: documents{lib: lib},
		turns: semaphore.NewWeighted(pagesAtOnce),
	}
}

type site struct {
	lib       content.Library
	o         Options
	catalog   catalog
	documents documents
	turns     *semaphore.Weighted // of pages that are made
}

const (
	// pagesAtOnce bounds the memory that making pages takes: what they are about may
	// have 4 MiB, and more when it is taken apart.
	pagesAtOnce = 4
	// pageWait is how long a request waits for its turn.
	pageWait = 20 * time.Second
)

// policy lets a page have our style sheet, our icon and our search form.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		s.problem(w, r, refuse(http.StatusMethodNotAllowed, "These pages can only be read."))
		return
	}
	if serveAsset(w, r) {
		return
	}
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization")
	if s.o.Visit != nil {
		v, err := s.o.Visit(r)
		if err != nil {
			s.problem(w, r, unwelcome(err))
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
	}
	body, err := s.page(r)
	if err != nil {
		s.problem(w, r, err)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("ETag", `"`+oci.DigestBytes(body).Encoded()[:32]+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// unwelcome has the browser ask again where the credentials were wrong.
func unwelcome(err error) error {
	if errors.Is(err, content.ErrDenied) {
		return refuse(http.StatusUnauthorized, "This user name and password are nobody's here.")
	}
	return err
}

// page finds and writes the page that r asks for, when it is its turn.
func (s *site) page(r *http.Request) ([]byte, error) {
	wait, cancel := context.WithTimeout(r.Context(), pageWait)
	defer cancel()
	if s.turns.Acquire(wait, 1) != nil {
		return nil, cmp.Or(context.Cause(r.Context()), fmt.Errorf("page: %w: too many are asked for at once", content.ErrUnavailable))
	}
	defer s.turns.Release(1)
	v, err := s.view(r)
	if err != nil {
		return nil, err
	}
	return s.render(r, v)
}

// view is what one page shows: a template and what it is filled with.
type view struct {
	template string
	title    string
	query    string // what stands in the search box
	data     any
}

// view finds the page of a path.
func (s *site) view(r *http.Request) (view, error) {
	path := r.URL.Path
	if path == "/" {
		return s.overview(r)
	}
	if path == "/sign-in" && s.o.Realm != "" {
		return s.signIn(r)
	}
	if name, ok := strings.CutPrefix(path, "/r/"); ok {
		return s.below(r, name)
	}
	return view{}, refuse(http.StatusNotFound, "There is no such page.")
}

// below is the page of a repository or of a manifest in it.
func (s *site) below(r *http.Request, name string) (view, error) {
	path, digest, byDigest := strings.Cut(name, "@")
	path, tag, byTag := strings.Cut(path, ":")
	repo, err := s.find(r, path)
	if err != nil {
		return view{}, err
	}
	switch {
	case byDigest && byTag:
		return view{}, refuse(http.StatusNotFound, "There is no such page.")
	case byDigest:
		return s.byDigest(r, repo, digest)
	case byTag:
		return s.byTag(r, repo, tag)
	}
	return s.repositoryPage(r, repo)
}

// find looks up a repository that the visitor may see.
func (s *site) find(r *http.Request, path string) (*repository, error) {
	all, err := s.catalog.snapshot(r.Context())
	if err != nil {
		return nil, err
	}
	var seen []*repository
	for _, repo := range all.paths[path] {
		if may(r, repo) {
			seen = append(seen, repo)
		}
	}
	switch len(seen) {
	case 0:
		return nil, refuse(http.StatusNotFound, "There is no repository %s here, or you may not see it.", clip(path))
	case 1:
		return seen[0], nil
	}
	return nil, refuse(http.StatusConflict, "%s stands for both %s and %s, so that nothing can be pulled by this name.",
		path, seen[0].ref.Name(), seen[1].ref.Name())
}

// may says whether who sends r may see repo.
func may(r *http.Request, repo *repository) bool {
	v := visitorOf(r)
	return v.May == nil || v.May(repo.ref)
}

// signIn asks for credentials until they are somebody's; the browser then sends
// them with every request.
func (s *site) signIn(r *http.Request) (view, error) {
	who := visitorOf(r).Name
	if who == "" {
		return view{}, refuse(http.StatusUnauthorized, "This page wants to know who you are.")
	}
	return view{template: "signed-in", title: "Signed in", data: who}, nil
}

// problem is an answer that is an error, in words for people.
type problem struct {
	status  int
	message string
}

func (p *problem) Error() string { return p.message }

func refuse(status int, format string, args ...any) error {
	return &problem{status, fmt.Sprintf(format, args...)}
}

// explain finds the answer for err. The text of other errors may name files: it is
// not shown.
func explain(err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, content.ErrNotFound):
		return &problem{http.StatusNotFound, "This is not here any more."}
	case errors.Is(err, content.ErrDenied):
		return &problem{http.StatusForbidden, "The store refuses access."}
	case errors.Is(err, content.ErrCorrupt):
		return &problem{http.StatusInternalServerError, "This is damaged: its bytes are not what its digest says. Pushing or pulling it again mends it."}
	case errors.Is(err, content.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{http.StatusServiceUnavailable, "The store is busy. Please try again in a moment."}
	}
	return &problem{http.StatusInternalServerError, "Something went wrong here."}
}

// problem answers with a page that says what is wrong.
func (s *site) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := explain(err)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	switch p.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", s.o.Realm))
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	body, err := s.render(r, view{template: "problem", title: http.StatusText(p.status), data: map[string]any{
		"Status": p.status, "Message": p.message,
	}})
	if err != nil {
		body = []byte(p.message) // the templates are ours: cannot be
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body)
}
