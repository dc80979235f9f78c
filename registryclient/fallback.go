package registryclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// maxEntryTries bounds the tries at an index that others change all the time.
const maxEntryTries = 40

// enter adds a manifest that was pushed to the index of what is about its
// subject, for a registry that keeps no such list. A manifest without a subject
// is left alone.
//
// The index is everybody's, and few registries offer to change it only if nobody
// else has: so it is looked at again afterwards, until it stands still and the
// entry is in it.
func (r *Repository) enter(ctx context.Context, desc oci.Descriptor, data []byte) error {
	entry, subject := oci.ReferrerEntry(desc, data)
	if subject == "" {
		return nil
	}
	tag := oci.ReferrersTag(subject)
	done, err := r.client.turns.take(ctx, r.ref.Name()+":"+tag)
	if err != nil {
		return err
	}
	defer done()
	for range maxEntryTries {
		x, err := r.readEntries(ctx, tag)
		if err != nil {
			return err
		}
		if x.has(entry.Digest) {
			return nil
		}
		err = r.putEntries(ctx, tag, x, entry)
		if err != nil && !errors.Is(err, content.ErrConflict) {
			return err
		}
		if err == nil {
			if kept, err := r.stands(ctx, tag, entry.Digest); err != nil || kept {
				return err
			}
		}
		if err := r.breathe(ctx); err != nil {
			return err
		}
	}
	return r.noIndex(tag, content.ErrConflict, fmt.Sprintf("others change it all the time; %s is pushed, but not entered", desc.Digest))
}

// EnterRequests is how many requests it takes to enter a manifest, when nobody else
// changes the index meanwhile: to get it, to put it, and to see twice that it stands.
const EnterRequests = 4

// Enters says whether manifests about others have to be entered in an index by those
// who push them here, for want of an API for referrers: one request, which changes
// nothing. Errors: ErrDenied, ErrUnavailable.
func (r *Repository) Enters(ctx context.Context, subject oci.Digest) (bool, error) {
	for _, err := range r.eachReferrer(ctx, subject, "") {
		switch {
		case errors.Is(err, errUnlisted):
			return true, nil
		case errors.Is(err, content.ErrNotFound):
			return false, nil // no such repository yet, where there is an API
		}
		return false, err
	}
	return false, nil
}

// stands watches the index until two looks at it agree, and says whether it has
// the entry.
func (r *Repository) stands(ctx context.Context, tag string, d oci.Digest) (bool, error) {
	var last oci.Digest
	for range maxEntryTries {
		x, err := r.readEntries(ctx, tag)
		if err != nil || !x.has(d) {
			return false, err
		}
		if x.digest == last {
			return true, nil
		}
		last = x.digest
		if err := r.breathe(ctx); err != nil {
			return false, err
		}
	}
	return true, nil // it changes all the time, and keeps the entry
}

// breathe is the pause between two looks: different for everybody.
func (r *Repository) breathe(ctx context.Context) error {
	base := r.client.opts.RetryBase
	over := time.NewTimer(base/2 + rand.N(base+1)) //nolint:gosec // jitter
	defer over.Stop()
	select {
	case <-over.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// entries is an index of referrers on its way to be changed: what is not
// understood of it stays.
type entries struct {
	digest    oci.Digest // "" when there is no index yet
	etag      string
	fields    map[string]json.RawMessage
	manifests []json.RawMessage
	held      map[oci.Digest]bool
}

func (x entries) has(d oci.Digest) bool { return x.held[d] }

// readEntries gets the index from where pushes go. Errors: ErrConflict when
// something else has its tag, ErrCorrupt when it is malformed: neither is touched.
func (r *Repository) readEntries(ctx context.Context, tag string) (entries, error) {
	x := entries{fields: map[string]json.RawMessage{}, held: map[oci.Digest]bool{}}
	e, err := r.pushHost()
	if err != nil {
		return x, err
	}
	header, data, err := r.manifestBody(ctx, e, oci.Reference{Tag: tag}, []string{oci.MediaTypeIndex})
	if errors.Is(err, content.ErrNotFound) {
		return x, nil
	}
	if err != nil {
		return x, err
	}
	if t := mediaType(header); t != oci.MediaTypeIndex && !looksLikeIndex(data) {
		return x, content.WithHint(
			r.noIndex(tag, content.ErrConflict, fmt.Sprintf("%q is there in its place", printable(t, 100))),
			"that tag belongs to the list of what is about an image: remove what has it, and push again")
	}
	found, err := parseReferrers(data)
	if err == nil {
		err = json.Unmarshal(data, &x.fields)
	}
	if raw := x.fields["manifests"]; err == nil && raw != nil {
		err = json.Unmarshal(raw, &x.manifests)
	}
	if err != nil {
		return x, r.noIndex(tag, content.ErrCorrupt, err.Error())
	}
	for _, d := range found {
		x.held[d.Digest] = true
	}
	x.digest, x.etag = oci.DigestBytes(data), header.Get("ETag")
	return x, nil
}

// with is the index with one entry more.
func (x entries) with(entry oci.Descriptor) ([]byte, error) {
	raw, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	all, err := json.Marshal(append(x.manifests[:len(x.manifests):len(x.manifests)], raw))
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{
		"schemaVersion": json.RawMessage("2"),
		"mediaType":     json.RawMessage(`"` + oci.MediaTypeIndex + `"`),
	}
	for k, v := range x.fields {
		fields[k] = v
	}
	fields["manifests"] = all
	return json.Marshal(fields)
}

// putEntries puts x with one entry more, on condition that it has not changed
// since, as far as the registry looks at conditions. Errors: ErrConflict when it
// has.
func (r *Repository) putEntries(ctx context.Context, tag string, x entries, entry oci.Descriptor) error {
	data, err := x.with(entry)
	if err != nil {
		return err
	}
	if len(data) > oci.MaxManifestSize {
		return r.noIndex(tag, content.ErrUnsupported, fmt.Sprintf("with %s it would have more than %d bytes", entry.Digest, oci.MaxManifestSize))
	}
	desc := oci.Descriptor{MediaType: oci.MediaTypeIndex, Digest: oci.DigestBytes(data), Size: int64(len(data))}
	condition := http.Header{}
	switch {
	case x.etag != "":
		condition.Set("If-Match", x.etag)
	case x.digest == "":
		condition.Set("If-None-Match", "*")
	}
	_, err = r.putManifest(ctx, desc, data, tag, condition)
	return err
}

// turns lets those who ask for the same key go one after the other.
type turns struct {
	mu   sync.Mutex
	keys map[string]chan struct{}
}

// take waits for the key's turn, until ctx ends. The caller calls done.
func (t *turns) take(ctx context.Context, key string) (done func(), err error) {
	t.mu.Lock()
	if t.keys == nil {
		t.keys = map[string]chan struct{}{}
	}
	turn, ok := t.keys[key]
	if !ok {
		turn = make(chan struct{}, 1)
		t.keys[key] = turn
	}
	t.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
