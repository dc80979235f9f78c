package registryserver

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"dist.example/oci"
	"dist.example/registryserver/access"
)

// visitorKey is that of a request's visitor in its context.
type visitorKey struct{}

// visitorOf is who has sent r, which has been admitted.
func visitorOf(r *http.Request) access.Visitor {
	v, _ := r.Context().Value(visitorKey{}).(access.Visitor)
	return v
}

// admit finds out who has sent r, and refuses what he may not do. The request that
// it returns knows him, and which repository its path stands for.
func (s *server) admit(w *recorder, r *http.Request, at route) (*http.Request, error) {
	v, err := s.o.Gate.Identify(r)
	if err != nil {
		return r, s.turnAway(w, r, at, err)
	}
	w.user = v.User()
	r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
	switch {
	case s.o.Gate == nil:
		return r, nil
	case at.kind == KindBase && v.Known(), at.kind == KindCatalog && v.MayList():
		return r, nil
	case at.kind == KindBase, at.kind == KindCatalog:
		return r, s.turnAway(w, r, at, shortOf(v))
	}
	return s.admitTo(w, r, at, v)
}

// admitKnown refuses who is no user, where there are users. What is asked for is not of
// the API, and so the password itself is: neither Prometheus nor browsers know tokens.
func (s *server) admitKnown(w *recorder, r *http.Request) error {
	v, err := s.o.Gate.Identify(r)
	if w.user = v.User(); err == nil && (s.o.Gate == nil || w.user != "") {
		return nil
	}
	if errors.Is(err, access.ErrBusy) {
		return refuse(http.StatusTooManyRequests, codeTooManyRequests, "too many log in at once")
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="dist", charset="UTF-8"`)
	return refuse(http.StatusUnauthorized, codeUnauthorized, "log in first")
}

// admitTo judges what v wants of a repository. Who may not do it learns nothing of
// the repository: what is wrong with its name is told to who may pull everything
// that the name could stand for.
func (s *server) admitTo(w http.ResponseWriter, r *http.Request, at route, v access.Visitor) (*http.Request, error) {
	action := actionOf(r.Method, at.kind)
	repo, err := s.names.repository(r.Context(), at.name)
	repos := []oci.Reference{repo}
	if several := (*ambiguous)(nil); errors.As(err, &several) {
		repos = several.between
	} else if err != nil {
		return r, err
	}
	not := func(may func(access.Action, oci.Reference) bool) bool {
		return slices.ContainsFunc(repos, func(repo oci.Reference) bool { return !may(action, repo) })
	}
	switch {
	case !not(v.May):
		return r.WithContext(pinned(r.Context(), at.name, repo)), err
	case v.User() != "" && not(v.Entitled):
		return r, refuse(http.StatusForbidden, codeDenied, "%s may not %s %s", v.User(), action, at.name)
	}
	return r, s.turnAway(w, r, at, shortOf(v))
}

// shortOf says why what v has shown is too little, nil when that is nothing.
func shortOf(v access.Visitor) error {
	if v.ByToken() {
		return access.ErrScope
	}
	return nil
}

// actionOf is what a method does at a path of a repository. Giving up an upload is
// a part of pushing.
func actionOf(method string, k Kind) access.Action {
	switch {
	case k == KindUpload || k == KindUploads:
		return access.Push
	case method == http.MethodGet || method == http.MethodHead:
		return access.Pull
	case method == http.MethodDelete:
		return access.Delete
	}
	return access.Push
}

// turnAway is the answer to who has to show something, or something else: where
// tokens for this request are to be had. why is nil for who has shown nothing.
func (s *server) turnAway(w http.ResponseWriter, r *http.Request, at route, why error) error {
	if errors.Is(why, access.ErrBusy) {
		return refuse(http.StatusTooManyRequests, codeTooManyRequests, "too many log in at once")
	}
	if err := r.Context().Err(); err != nil {
		return err
	}
	challenge, err := s.o.Gate.Challenge(r, scopesOf(r, at), why)
	if err != nil {
		return refuse(http.StatusBadRequest, codeUnsupported, "the Host of the request is malformed")
	}
	w.Header().Set("WWW-Authenticate", challenge)
	switch {
	case errors.Is(why, access.ErrCredentials):
		return refuse(http.StatusUnauthorized, codeUnauthorized, "wrong user name or password")
	case errors.Is(why, access.ErrToken):
		return refuse(http.StatusUnauthorized, codeUnauthorized, "the token is not of this server, or too old")
	case errors.Is(why, access.ErrScope):
		return refuse(http.StatusUnauthorized, codeUnauthorized, "the token is not for this: log in first")
	}
	return refuse(http.StatusUnauthorized, codeUnauthorized, "log in first")
}

// scopesOf are those of a token for r. Who pushes looks before, and so is asked to
// come with a token for both; who mounts reads elsewhere.
func scopesOf(r *http.Request, at route) []string {
	switch at.kind {
	case KindBase:
		return nil
	case KindCatalog:
		return []string{access.Catalog}
	}
	action := actionOf(r.Method, at.kind)
	actions := []access.Action{action}
	if action == access.Push {
		actions = []access.Action{access.Pull, access.Push}
	}
	scopes := []string{access.Scope{Path: at.name, Actions: actions}.String()}
	q := r.URL.Query()
	if from := q.Get("from"); at.kind == KindUploads && q.Has("mount") && validName(from) && from != at.name {
		scopes = append(scopes, access.Scope{Path: from, Actions: []access.Action{access.Pull}}.String())
	}
	return scopes
}

// scopeTarget finds the repository that the path of a scope means.
func (s *server) scopeTarget(ctx context.Context, path string) (oci.Reference, bool, error) {
	if !validName(path) {
		return oci.Reference{}, false, nil
	}
	repo, err := s.names.repository(ctx, path)
	if p := (*problem)(nil); errors.As(err, &p) {
		return oci.Reference{}, false, nil
	}
	return repo, err == nil, err
}
