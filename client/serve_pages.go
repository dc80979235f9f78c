package client

import (
	"errors"
	"fmt"
	"net/http"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/access"
	"dist.example/registryserver/pages"
)

// pagesOver are the pages for people over lib, nil where there are to be none. They
// show what gate lets a visitor pull.
func pagesOver(lib content.Library, gate *access.Gate, o ServeOptions) http.Handler {
	if o.NoPage {
		return nil
	}
	p := pages.Options{Prefix: o.Prefix, Writable: o.Writable, URL: o.Access.URL}
	if gate != nil {
		p.Realm = "dist"
		p.Visit = func(r *http.Request) (pages.Visitor, error) { return visit(gate, r) }
	}
	return pages.New(lib, p)
}

// visit asks gate who has sent r.
func visit(gate *access.Gate, r *http.Request) (pages.Visitor, error) {
	v, err := gate.Identify(r)
	switch {
	case errors.Is(err, access.ErrBusy):
		return pages.Visitor{}, fmt.Errorf("log in: %w", content.ErrUnavailable)
	case err != nil:
		return pages.Visitor{}, fmt.Errorf("log in: %w: %v", content.ErrDenied, err)
	}
	registryserver.NameUser(r, v.User())
	return pages.Visitor{Name: v.User(), May: func(repo oci.Reference) bool { return v.May(access.Pull, repo) }}, nil
}
