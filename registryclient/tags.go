package registryclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
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
// are consumed. A failure is yielded once and ends the list. What can be no tag is
// left out, with a warning. Errors: ErrNotFound, ErrDenied, ErrUnavailable; a
// registry whose pages lead in a circle is ErrUnavailable too.
func (r *Repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	return listing[string]{
		what: "tags of " + r.ref.Name(), path: "/tags/list", query: url.Values{"n": {tagsPerPage}},
		pages: maxPages, read: r.tagPage,
	}.all(ctx, r)
}

// proper are the tags that nobody could mistake for something else.
func (r *Repository) proper(tags []string) []string {
	return slices.DeleteFunc(tags, func(tag string) bool {
		if !isTag(tag) {
			r.client.once("tags of "+r.ref.Name(), "%s lists what can be no tag, and that is left out: %q", r.ref.Name(), printable(tag, 100))
			return true
		}
		return false
	})
}

// isTag says whether s is a tag (distribution-spec, Pulling manifests).
func isTag(s string) bool {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return s != "" && len(s) <= 128 && strings.IndexByte(word, s[0]) >= 0 && strings.Trim(s, word+".-") == ""
}

// tagPage gets one page. One that is no list, as when its end is missing, is
// asked for once more.
func (r *Repository) tagPage(ctx context.Context, e *endpoint, u *url.URL) (page[string], error) {
	got, err := r.tagPageOnce(ctx, e, u)
	if errors.Is(err, errNoList) {
		got, err = r.tagPageOnce(ctx, e, u)
	}
	return got, err
}

var errNoList = errors.New("no list of tags")

func (r *Repository) tagPageOnce(ctx context.Context, e *endpoint, u *url.URL) (page[string], error) {
	var got page[string]
	header, data, err := r.read(ctx, e, call{
		what: "tags", method: http.MethodGet, url: u,
		header: http.Header{"Accept": {oci.MediaTypeJSON}},
		scopes: r.scope("pull"), ok: []int{http.StatusOK},
	}, maxTagPage)
	if err != nil {
		return got, err
	}
	if data == nil {
		return got, fmt.Errorf("tags of %s: %w: a page of more than %d bytes", r.ref.Name(), content.ErrUnsupported, maxTagPage)
	}
	var body struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return got, fmt.Errorf("tags of %s: %w: the answer of %s is %w", r.ref.Name(), content.ErrUnsupported, e.host(), errNoList)
	}
	return page[string]{r.proper(body.Tags), header}, nil
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
