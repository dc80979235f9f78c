package registryserver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"dist.example/oci"
)

// A page of referrers is an index that clients read as any other: it has at most
// maxReferrers entries and, unless the only one alone is larger, pageBytes of them.
const (
	maxReferrers = 1000
	pageBytes    = oci.MaxManifestSize - 1<<10 // what is around the entries takes less
)

// listReferrers answers with an index of the manifests about a digest that are in
// this repository; a digest that nobody has heard of has none. The entries are in
// order of digest, whatever the store's order is, so that the last one is where the
// next page goes on even if it is deleted before that is asked for.
func (s *server) listReferrers(w http.ResponseWriter, r *http.Request, at route) error {
	q := r.URL.Query()
	body, last, err := s.referrersPage(r.Context(), at, q.Get("artifactType"), q.Get("last"))
	if err != nil {
		return err
	}
	if q.Get("artifactType") != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if last != "" {
		next := url.Values{"last": {last}}
		if t := q.Get("artifactType"); t != "" {
			next.Set("artifactType", t)
		}
		linkNext(w, "/v2/"+at.name+"/referrers/"+at.digest.String(), next)
	}
	writeBody(w, oci.MediaTypeIndex, body)
	return nil
}

// referrersPage is the page after the digest after, and the digest that ends it when
// there is another one. Annotations may have megabytes: pages take turns, but not in
// waiting for another registry or for the client.
func (s *server) referrersPage(ctx context.Context, at route, artifactType, after string) (body []byte, last string, err error) {
	theirs, err := s.upstreamReferrers(ctx, at.name, at.digest)
	if err != nil {
		return nil, "", err
	}
	leave, err := s.lists.take(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	page := referrerPage{after: after, entries: maxReferrers, bytes: pageBytes}
	for d, err := range s.referrers(ctx, at, artifactType, theirs) {
		if err == nil {
			err = page.add(d)
		}
		if err != nil {
			return nil, "", err
		}
	}
	if page.more {
		last = page.last()
	}
	body, err = encode(page.index())
	return body, last, err
}

// referrerPage picks those of a list that come first after some digest, and never
// holds more than one page.
type referrerPage struct {
	after   string // digest that ended the page before, "" for the first
	entries int    // how many there may be
	bytes   int    // and how large

	list []referrer
	size int
	more bool // something that comes later was left out
}

type referrer struct {
	digest string
	json   json.RawMessage
}

// add puts d where it belongs, and drops from the end what is too much.
func (p *referrerPage) add(d oci.Descriptor) error {
	key := d.Digest.String()
	if key <= p.after {
		return nil
	}
	i, _ := slices.BinarySearchFunc(p.list, key, func(r referrer, key string) int { return strings.Compare(r.digest, key) })
	if i == len(p.list) && p.more {
		return nil
	}
	entry, err := encode(d)
	if err != nil {
		return err
	}
	p.list = slices.Insert(p.list, i, referrer{key, entry})
	p.size += len(entry) + 1
	for len(p.list) > 1 && (len(p.list) > p.entries || p.size > p.bytes) {
		end := len(p.list) - 1
		p.size -= len(p.list[end].json) + 1
		p.list, p.more = p.list[:end], true
	}
	return nil
}

func (p *referrerPage) last() string { return p.list[len(p.list)-1].digest }

func (p *referrerPage) index() any {
	manifests := []json.RawMessage{}
	for _, r := range p.list {
		manifests = append(manifests, r.json)
	}
	return struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Manifests     []json.RawMessage `json:"manifests"`
	}{2, oci.MediaTypeIndex, manifests}
}

// encode is v as JSON that is no longer than it has to be: annotations may well
// have angle brackets, and nobody looks at an answer as HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
