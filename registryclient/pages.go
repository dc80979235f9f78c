package registryclient

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	"dist.example/content"
)

// listing is a list that a registry gives page by page.
type listing[T any] struct {
	what  string // for messages: "tags of host/team/app"
	path  string // of the first page
	query url.Values
	pages int // at most
	read  func(ctx context.Context, e *endpoint, u *url.URL) (page[T], error)
}

// page is one of them; the header tells where the next one is.
type page[T any] struct {
	items  []T
	header http.Header
}

// all reads the pages as they are consumed. The first host that gives the first
// page gives all of them. A failure is yielded once and ends the list.
func (l listing[T]) all(ctx context.Context, r *Repository) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var (
			host *endpoint
			at   *url.URL
			none T
		)
		p, err := eachHost(ctx, r, canPull|canResolve, func(e *endpoint) (page[T], error) {
			host, at = e, r.at(e, l.path, l.query)
			return l.read(ctx, e, at)
		})
		// Addresses may be long, and pages many.
		seen := map[[sha256.Size]byte]bool{}
		for err == nil {
			for _, item := range p.items {
				if !yield(item, nil) {
					return
				}
			}
			seen[sha256.Sum256([]byte(at.String()))] = true
			link := nextLink(p.header.Values("Link"))
			if link == "" {
				return
			}
			if at, err = resolveURL(at, link); err != nil {
				err = fmt.Errorf("%s: %w: next page: %w", l.what, content.ErrUnsupported, err)
				break
			}
			if seen[sha256.Sum256([]byte(at.String()))] || len(seen) >= l.pages {
				err = l.circle(host)
				break
			}
			p, err = l.read(ctx, host, at)
		}
		yield(none, err)
	}
}

func (l listing[T]) circle(e *endpoint) error {
	return &content.RemoteError{
		Registry: e.host(), Status: http.StatusOK,
		Err: fmt.Errorf("%s: %w: the pages of %s lead in a circle", l.what, content.ErrUnavailable, e.host()),
	}
}
