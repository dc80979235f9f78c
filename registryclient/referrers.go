package registryclient

import (
	"context"
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
	subjectHeader = "OCI-Subject"
	filtersHeader = "OCI-Filters-Applied"

	// maxReferrers and maxReferrerPages end a list that never does.
	maxReferrers     = 10_000
	maxReferrerPages = 1000
)

// errUnlisted says that a registry has no API for referrers. It is answered by
// looking at the index that stands in for it.
var errUnlisted = fmt.Errorf("%w: no API for referrers", content.ErrNotFound)

// Referrers implements content.ReferrerLister by the API for it, page by page as
// the list is consumed, or, where the registry has none, by the index at the
// fallback tag. A registry is asked for an API that it lacks once in the life of
// a Client.
//
// Errors: ErrDenied, ErrUnavailable, also for a list without end; ErrCorrupt for
// an index that is malformed; ErrUnsupported when something else than an index
// has the fallback tag.
func (r *Repository) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		n := 0
		for d, err := range r.eachReferrer(ctx, subject, artifactType) {
			switch {
			case n == 0 && errors.Is(err, errUnlisted):
				r.fallbackReferrers(ctx, subject, artifactType, yield)
				return
			case err == nil && n == maxReferrers:
				err = fmt.Errorf("referrers of %s in %s: %w: more than %d", subject, r.ref.Name(), content.ErrUnavailable, maxReferrers)
			}
			n++
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// eachReferrer lists by the API; errUnlisted where there is none.
func (r *Repository) eachReferrer(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	var query url.Values
	if artifactType != "" {
		query = url.Values{"artifactType": {artifactType}}
	}
	return listing[oci.Descriptor]{
		what: fmt.Sprintf("referrers of %s in %s", subject, r.ref.Name()),
		path: "/referrers/" + subject.String(), query: query,
		pages: maxReferrerPages,
		read: func(ctx context.Context, e *endpoint, u *url.URL) (page[oci.Descriptor], error) {
			return r.referrerPage(ctx, e, u, subject, artifactType)
		},
	}.all(ctx, r)
}

func (r *Repository) referrerPage(ctx context.Context, e *endpoint, u *url.URL, subject oci.Digest, artifactType string) (page[oci.Descriptor], error) {
	var got page[oci.Descriptor]
	if !e.lists.Load() { // one asks first, and the others learn from that
		done, err := r.client.turns.take(ctx, "referrers at "+e.base.String())
		if err != nil {
			return got, err
		}
		defer done()
	}
	if e.unlisted.Load() {
		return got, errUnlisted
	}
	what := "referrers of " + subject.String()
	header, data, err := r.read(ctx, e, call{
		what: what, method: http.MethodGet, url: u,
		header: http.Header{"Accept": {oci.MediaTypeIndex}},
		scopes: r.scope("pull"), ok: []int{http.StatusOK},
	}, oci.MaxManifestSize)
	if status := unspoken(err); status != 0 {
		// A bad request may be about this digest.
		e.unlisted.Store(status != http.StatusBadRequest)
		return got, errUnlisted
	}
	if err != nil {
		return got, err
	}
	if data == nil {
		return got, r.badList(e, what, content.ErrUnavailable, fmt.Sprintf("an answer of more than %d bytes", oci.MaxManifestSize))
	}
	if mediaType(header) != oci.MediaTypeIndex && !looksLikeIndex(data) {
		e.unlisted.Store(true) // a page for people, in answer to whatever it does not know
		return got, errUnlisted
	}
	got.header = header
	got.items, err = parseReferrers(data)
	if err != nil {
		return got, r.badList(e, what, content.ErrCorrupt, err.Error())
	}
	e.lists.Store(true)
	if !applied(header) {
		got.items = ofType(got.items, artifactType)
	}
	return got, nil
}

func (r *Repository) badList(e *endpoint, what string, class error, text string) error {
	return &content.RemoteError{
		Registry: e.host(), Status: http.StatusOK,
		Err: fmt.Errorf("%s in %s: %w: %s: %s", what, r.ref.Name(), class, e.host(), text),
	}
}

// unspoken is the status of an answer by somebody who does not know what he was
// asked, 0 for all other errors. (Who lists referrers answers with an empty list
// when there are none.)
func unspoken(err error) int {
	var remote *content.RemoteError
	if !errors.As(err, &remote) {
		return 0
	}
	switch remote.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusGone, http.StatusNotImplemented:
		return remote.Status
	}
	return 0
}

// looksLikeIndex is for answers with a Content-Type that is not an index's.
func looksLikeIndex(data []byte) bool { return oci.DetectManifest(data) == oci.MediaTypeIndex }

// parseReferrers reads an index of referrers. Errors: ErrInvalid.
func parseReferrers(data []byte) ([]oci.Descriptor, error) {
	x, err := oci.ParseIndex(oci.MediaTypeIndex, data)
	return x.Manifests, err
}

// applied says whether the registry has left out what is of another artifact
// type; it need not.
func applied(h http.Header) bool {
	for _, v := range h.Values(filtersHeader) {
		for f := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(f), "artifactType") {
				return true
			}
		}
	}
	return false
}

func ofType(ds []oci.Descriptor, artifactType string) []oci.Descriptor {
	if artifactType == "" {
		return ds
	}
	return slices.DeleteFunc(ds, func(d oci.Descriptor) bool { return d.ArtifactType != artifactType })
}

// fallbackReferrers lists from the index at the fallback tag.
func (r *Repository) fallbackReferrers(ctx context.Context, subject oci.Digest, artifactType string, yield func(oci.Descriptor, error) bool) {
	ref := oci.Reference{Tag: oci.ReferrersTag(subject)}
	desc, data, err := r.FetchManifest(ctx, ref, oci.MediaTypeIndex)
	if errors.Is(err, content.ErrNotFound) {
		return
	}
	if err == nil && desc.MediaType != oci.MediaTypeIndex {
		err = r.noIndex(ref.Tag, content.ErrUnsupported, "is "+printable(desc.MediaType, 100))
	}
	var found []oci.Descriptor
	if err == nil {
		if found, err = parseReferrers(data); err != nil {
			err = r.noIndex(ref.Tag, content.ErrCorrupt, err.Error())
		}
	}
	if err != nil {
		yield(oci.Descriptor{}, err)
		return
	}
	for _, d := range ofType(found, artifactType) {
		if !yield(d, nil) {
			return
		}
	}
}

func (r *Repository) noIndex(tag string, class error, text string) error {
	return fmt.Errorf("index of referrers %s:%s: %w: %s", r.ref.Name(), tag, class, text)
}
