package registryserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"dist.example/oci"
)

// maxPage bounds a page of tags or repositories, whatever is asked for.
const maxPage = 1000

// listTags answers with a page of a repository's tags, in order of their bytes.
func (s *server) listTags(w http.ResponseWriter, r *http.Request, at route) error {
	n, err := pageSize(r.URL.Query())
	if err != nil {
		return err
	}
	tags, err := s.tags(r, at.name)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		if err := s.untagged(r.Context(), at.name); err != nil {
			return err
		}
	}
	return writeJSON(w, oci.MediaTypeJSON, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{at.name, page(w, r, "/v2/"+at.name+"/tags/list", tags, n)})
}

// page is the part of a list in order that r asks for: n at most of what comes after
// the query's last. w is told where at path the list goes on.
func page(w http.ResponseWriter, r *http.Request, path string, list []string, n int) []string {
	if last := r.URL.Query().Get("last"); last != "" {
		i, found := slices.BinarySearch(list, last)
		if found {
			i++
		}
		list = list[i:]
	}
	if n < len(list) {
		if list = list[:n]; n > 0 {
			linkNext(w, path, url.Values{"n": {strconv.Itoa(n)}, "last": {list[n-1]}})
		}
	}
	return append([]string{}, list...) // never null
}

// includer is a store that knows which repositories it was told of.
type includer interface {
	// AnyIncluded says whether something that is held was included in repo
	// (registry/path).
	AnyIncluded(ctx context.Context, repo string) (bool, error)
}

// untagged refuses a path at which there is nothing. With names by digest, or with
// what was pushed there, it is a repository that has no tags.
func (s *server) untagged(ctx context.Context, path string) error {
	repo, err := s.names.repository(ctx, path)
	if err != nil {
		return err
	}
	found, err := anyName(ctx, s.lib, repo.Name()+"@")
	if x, ok := s.lib.(includer); ok && err == nil && !found {
		found, err = x.AnyIncluded(ctx, repo.Name())
	}
	if err == nil && !found {
		err = refuse(http.StatusNotFound, codeNameUnknown, "no repository %s", path)
	}
	return err
}

func pageSize(q url.Values) (int, error) {
	if !q.Has("n") {
		return maxPage, nil
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		return 0, refuse(http.StatusBadRequest, codeUnsupported, "n=%.20q is no number of entries", q.Get("n"))
	}
	return min(n, maxPage), nil
}

// tagLister is a store that lists tags cheaper than names.
type tagLister interface {
	// Tags lists the tags of a repository (registry/path) by the media type of what
	// they stand for, in no order.
	Tags(ctx context.Context, repo string) (map[string][]string, error)
}

// tags are those of the repository at path that stand for manifests.
func (s *server) tags(r *http.Request, path string) ([]string, error) {
	repo, err := s.names.repository(r.Context(), path)
	if err != nil {
		return nil, err
	}
	if tags, ok := s.upstreamTags(r.Context(), repo); ok {
		return tags, nil
	}
	var tags []string
	if l, ok := s.store.(tagLister); ok {
		byType, err := l.Tags(r.Context(), repo.Name())
		for mediaType, some := range byType {
			if oci.HasSuccessors(mediaType) {
				tags = append(tags, some...)
			}
		}
		slices.Sort(tags)
		return tags, err
	}
	prefix := repo.Name() + ":"
	for n, err := range s.lib.Names(r.Context(), prefix) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(n.Reference.String(), prefix) && oci.HasSuccessors(n.Target.MediaType) {
			tags = append(tags, n.Reference.Tag)
		}
	}
	slices.Sort(tags)
	return tags, nil
}

// linkNext says where the list goes on (RFC 8288). The address is relative, as all
// that the server gives.
func linkNext(w http.ResponseWriter, path string, query url.Values) {
	w.Header().Set("Link", "<"+path+"?"+query.Encode()+`>; rel="next"`)
}

func writeJSON(w http.ResponseWriter, mediaType string, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	writeBody(w, mediaType, body)
	return nil
}

func writeBody(w http.ResponseWriter, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}
