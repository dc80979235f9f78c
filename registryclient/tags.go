package registryclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// maxTagPage caps one page: registries that do not paginate send everything.
	maxTagPage = 16 << 20
	// maxPages ends a list that never does.
	maxPages = 100_000
	// tagsPerPage is what is asked for; registries give fewer where they like.
	tagsPerPage = "1000"
)

// Tags lists the repository's tags in the registry's order, page by page as they
// are consumed. A failure is yielded once and ends the list. Errors: ErrNotFound,
// ErrDenied, ErrUnavailable; a registry whose pages lead in a circle is
// ErrUnavailable too.
func (r *Repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		type first struct {
			host *endpoint
			page tagPage
		}
		p, err := eachHost(ctx, r, canPull|canResolve, func(e *endpoint) (first, error) {
			page, err := r.tagPage(ctx, e, r.at(e, "/tags/list", url.Values{"n": {tagsPerPage}}))
			return first{e, page}, err
		})
		page := p.page
		seen := map[string]bool{}
		for err == nil {
			for _, t := range page.Tags {
				if !yield(t, nil) {
					return
				}
			}
			if page.next == nil {
				return
			}
			if seen[page.next.String()] || len(seen) >= maxPages {
				err = r.circle(p.host)
				break
			}
			seen[page.next.String()] = true
			page, err = r.tagPage(ctx, p.host, page.next)
		}
		yield("", err)
	}
}

func (r *Repository) circle(e *endpoint) error {
	return &content.RemoteError{
		Registry: e.host(), Status: http.StatusOK,
		Err: fmt.Errorf("tags of %s: %w: the pages of %s lead in a circle", r.ref.Name(), content.ErrUnavailable, e.host()),
	}
}

// tagPage is one page and where the next one is, nil after the last.
type tagPage struct {
	Tags []string `json:"tags"`
	next *url.URL
}

// tagPage gets one page. One that is no list, as when its end is missing, is
// asked for once more.
func (r *Repository) tagPage(ctx context.Context, e *endpoint, u *url.URL) (tagPage, error) {
	page, err := r.tagPageOnce(ctx, e, u)
	if errors.Is(err, errNoList) {
		page, err = r.tagPageOnce(ctx, e, u)
	}
	return page, err
}

var errNoList = errors.New("no list of tags")

func (r *Repository) tagPageOnce(ctx context.Context, e *endpoint, u *url.URL) (tagPage, error) {
	header, data, err := r.read(ctx, e, call{
		what: "tags", method: http.MethodGet, url: u,
		header: http.Header{"Accept": {oci.MediaTypeJSON}},
		scopes: r.scope("pull"), ok: []int{http.StatusOK},
	}, maxTagPage)
	var page tagPage
	if err != nil {
		return page, err
	}
	if data == nil {
		return page, fmt.Errorf("tags of %s: %w: a page of more than %d bytes", r.ref.Name(), content.ErrUnsupported, maxTagPage)
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return page, fmt.Errorf("tags of %s: %w: the answer of %s is %w", r.ref.Name(), content.ErrUnsupported, e.host(), errNoList)
	}
	if link := nextLink(header.Values("Link")); link != "" {
		if page.next, err = resolveURL(u, link); err != nil {
			return page, fmt.Errorf("tags of %s: %w: next page: %w", r.ref.Name(), content.ErrUnsupported, err)
		}
		if page.next.String() == u.String() {
			return page, r.circle(e)
		}
	}
	return page, nil
}

// nextLink finds the target of rel="next" in Link headers (RFC 8288), "" when
// there is none.
func nextLink(headers []string) string {
	for _, h := range headers {
		for h != "" {
			_, rest, ok := strings.Cut(h, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			// The next link's "<" ends the parameters: those that are read here hold none.
			params, _, _ = strings.Cut(params, "<")
			if isNext(params) {
				return target
			}
			h = rest[len(target)+1:]
		}
	}
	return ""
}

func isNext(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.Trim(p, " \t,"), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
