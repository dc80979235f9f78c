package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
)

// repairSource is a place that objects are asked for at.
type repairSource struct {
	name   string
	origin string          // recorded as the source, "" for none
	host   string          // of a registry
	src    content.Fetcher // nil with err
	err    error           // why nobody can be asked there
	close  func()
}

// ownCopy stands for the store's own file, where that looks right. Nothing that it
// has not is asked for.
func ownCopy() *repairSource {
	return &repairSource{name: "its own file", src: empty{}, close: func() {}}
}

// empty is a source that has nothing.
type empty struct{}

// Fetch implements content.Fetcher.
func (empty) Fetch(_ context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	return nil, fmt.Errorf("%s: %w: the file is damaged, where its sums do not tell", desc.Digest, content.ErrCorrupt)
}

// repairFrom opens what a person names: a locator, or the folder of another store.
func (c *Client) repairFrom(ctx context.Context, own *blobstore.Store, word string) (*repairSource, error) {
	if _, err := os.Stat(filepath.Join(word, "store.json")); err == nil {
		return c.repairFromStore(ctx, own, word)
	}
	l, err := c.Locate(word)
	if err != nil {
		return nil, err
	}
	if l.Transport == TransportStore {
		return nil, content.WithHint(fmt.Errorf("%w: it is what is to be repaired", content.ErrInvalid), "give the folder of another store")
	}
	s := &repairSource{name: l.String(), close: func() {}}
	if l.Transport == TransportRegistry {
		s.origin, s.host = l.Reference.Name(), l.Reference.Registry
	}
	src, err := c.source(ctx, l)
	if errors.Is(err, content.ErrOffline) {
		s.err = err
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.src, s.close = src, func() { _ = src.Close() } // it was only read
	return s, nil
}

// sameFolder says whether two names are of one folder.
func sameFolder(a, b string) (bool, error) {
	one, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two), err
}

func (c *Client) repairFromStore(ctx context.Context, own *blobstore.Store, dir string) (*repairSource, error) {
	other, err := blobstore.Open(ctx, dir, blobstore.Options{Warn: c.opts.Warn, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	if same, err := sameFolder(own.Dir(), other.Dir()); same || err != nil { // a backup has the same identity
		other.Close()
		return nil, cmp.Or(err, fmt.Errorf("%w: it is the store that is to be repaired", content.ErrInvalid))
	}
	return &repairSource{name: dir, src: other, close: func() { other.Close() }}, nil
}

// sources are the places that an object is asked for at, in order.
func (r *repair) sources(ctx context.Context, d oci.Digest) []*repairSource {
	list := append([]*repairSource{}, r.from...)
	locators, err := r.store.Sources(ctx, d)
	if err != nil {
		return list // without the catalog's help
	}
	for _, l := range locators[:min(len(locators), maxPlaces)] {
		if s := r.remembered(l); s != nil {
			list = append(list, s)
		}
	}
	return list
}

// remembered is a repository that the store remembers, one for all objects; nil for
// what is none.
func (r *repair) remembered(locator string) *repairSource {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.repos[locator]; ok {
		return s
	}
	ref, err := oci.ParseRepository(locator)
	if err != nil {
		return nil
	}
	s := &repairSource{name: locator, origin: locator, host: ref.Registry, close: func() {}}
	remote, err := r.registry(ref.Registry)
	if err == nil {
		err = remote.Online()
	}
	if s.err = err; err == nil {
		s.src = remote.Repository(ref)
	}
	r.repos[locator] = s
	return s
}

// registry is the registry client for a host that the store remembers, which may have
// been named, too.
func (r *repair) registry(host string) (*registryclient.Client, error) {
	for _, s := range r.from {
		if s.host == host {
			return r.c.registry()
		}
	}
	return r.c.remembered(r.hurry)
}
