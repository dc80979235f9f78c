package registryserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// crowded is a store whose lock other processes can hold for too long.
type crowded struct {
	content.Store
	held bool
}

func (c *crowded) busy() error {
	if !c.held {
		return nil
	}
	return fmt.Errorf("write to the store: %w: process 1 has held its lock", content.ErrBusy)
}

func (c *crowded) Writer(ctx context.Context, o content.IngestOptions) (content.Writer, error) {
	w, err := c.Store.Writer(ctx, o)
	return &crowdedWriter{w, c}, err
}

func (c *crowded) SetNames(ctx context.Context, changes ...content.NameChange) error {
	if err := c.busy(); err != nil {
		return err
	}
	return c.Store.SetNames(ctx, changes...)
}

func (c *crowded) Exclude(ctx context.Context, repo string, digests ...oci.Digest) error {
	if err := c.busy(); err != nil {
		return err
	}
	return c.Store.Exclude(ctx, repo, digests...)
}

type crowdedWriter struct {
	content.Writer
	store *crowded
}

func (w *crowdedWriter) Commit(ctx context.Context) (content.Info, error) {
	if err := w.store.busy(); err != nil {
		return content.Info{}, err
	}
	return w.Writer.Commit(ctx)
}

// A store that others are at work on says nothing of what a client has sent, nor of
// what a tag stands for. The client is to come again, and finds all it has sent.
func TestABusyStoreRefusesNothing(t *testing.T) {
	store := &crowded{Store: memory.New()}
	r := newRigOver(t, store, registryserver.Options{Writable: true})
	m := r.imageIn("app", "one")
	r.want(r.pushManifest("/v2/app/manifests/v1", m, oci.MediaTypeManifest), 201)
	blob := r.pushTo("app", "another").Digest
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("PATCH", at, strings.NewReader("01234567")), 202)
	put := at + "?digest=" + oci.DigestBytes([]byte("01234567")).String()
	etag := `"` + digestOf(m).String() + `"`

	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}

	store.held = true
	for _, a := range []answer{
		r.do("PUT", put, nil),
		r.do("DELETE", "/v2/app/blobs/"+blob.String(), nil),
		r.do("DELETE", "/v2/app/manifests/v1", nil, "If-Match", etag),
		r.do("PUT", "/v2/app/manifests/v1", bytes.NewReader(data), "Content-Type", oci.MediaTypeManifest, "If-Match", etag),
	} {
		r.want(a, 503, "TOOMANYREQUESTS")
		r.wantHeader(a, "Retry-After", "1")
	}
	store.held = false
	r.want(r.do("PUT", put, nil), 201)
	r.want(r.do("DELETE", "/v2/app/blobs/"+blob.String(), nil), 202)
	r.want(r.do("DELETE", "/v2/app/manifests/v1", nil, "If-Match", etag), 202)
}
