package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// place is where a manifest that a word names was found.
type place struct {
	src   content.Fetcher
	store *blobstore.Store // nil when it is elsewhere
	where Locator          // when it is elsewhere
	// name is what the word says the manifest is called, or the one name that it has
	// here; zero when nobody says. Of what is in the store, openNamed alone looks for it.
	name oci.Reference
	desc oci.Descriptor
	done func()
}

// isElsewhere says whether a word names a place that is not the store: docker://NAME,
// oci:DIR and the like. A reference alone does not.
func (c *Client) isElsewhere(word string) (Locator, bool, error) {
	transport, _, ok := strings.Cut(word, ":")
	if !ok || transport == TransportStore || !strings.HasPrefix(word, TransportRegistry+"://") && !c.knows(transport) {
		return Locator{}, false, nil
	}
	l, err := c.Locate(word)
	return l, err == nil && l.Transport != TransportRegistry || strings.HasPrefix(word, TransportRegistry+"://"), err
}

// open finds a manifest: in the store by its name, its digest or the beginning of that,
// or where a locator says. The caller calls done.
func (c *Client) open(ctx context.Context, word string) (place, error) {
	l, elsewhere, err := c.isElsewhere(word)
	if err != nil {
		return place{}, err
	}
	if elsewhere {
		return c.openElsewhere(ctx, l)
	}
	word = strings.TrimPrefix(word, TransportStore+":")
	s, desc, err := c.find(ctx, word)
	if err != nil {
		if _, perr := oci.ParseReference(word); perr == nil && errors.Is(err, content.ErrNotFound) {
			err = content.WithHint(err, "docker://%s means the one in its registry", word)
		}
		return place{}, err
	}
	return place{src: s, store: s, desc: desc, done: func() {}}, nil
}

// openNamed is open for who has to know what the manifest is called: of a digest, all
// names of the store are read for that.
func (c *Client) openNamed(ctx context.Context, word string) (place, error) {
	p, err := c.open(ctx, word)
	if err == nil && p.store != nil {
		p.name, err = nameHere(ctx, p.store, strings.TrimPrefix(word, TransportStore+":"), p.desc.Digest)
	}
	return p, err
}

func (c *Client) openElsewhere(ctx context.Context, l Locator) (place, error) {
	src, err := c.source(ctx, l)
	if err != nil {
		return place{}, err
	}
	p := place{src: src, where: l, done: func() { _ = src.Close() }}
	if p.name, p.desc, err = src.Image(ctx); err != nil {
		p.done()
		return place{}, err
	}
	p.name = p.name.Local()
	return p, nil
}

// nameHere is the name that a word of the store says, also of what it was at an earlier
// time, or the only one that the manifest has.
func nameHere(ctx context.Context, s *blobstore.Store, word string, d oci.Digest) (oci.Reference, error) {
	if ref, when, err := parseNamed(word); err == nil {
		if n, err := s.Resolve(ctx, ref); when != nil || err == nil && n.Digest == d {
			return ref.Local(), nil
		}
	}
	names, err := namesOf(ctx, s, d)
	if err != nil || len(names) != 1 {
		return oci.Reference{}, err
	}
	return names[0], nil
}

// namesOf are the names that stand for a manifest.
func namesOf(ctx context.Context, s *blobstore.Store, d oci.Digest) (names []oci.Reference, err error) {
	for n, err := range s.Names(ctx, "") {
		if err != nil {
			return nil, err
		}
		if n.Target.Digest == d {
			names = append(names, n.Reference)
		}
	}
	return names, nil
}

// readSubject reads a manifest that is to be signed or judged.
func readSubject(ctx context.Context, src content.Fetcher, desc oci.Descriptor) (sign.Subject, []byte, error) {
	if !oci.HasSuccessors(desc.MediaType) {
		return sign.Subject{}, nil, content.WithHint(fmt.Errorf("%s: %w: it is %s, and manifests and indexes are signed", desc.Digest, content.ErrInvalid, desc.MediaType),
			"`dist pack` makes a manifest of it")
	}
	data, err := content.ReadAll(ctx, src, desc, oci.MaxManifestSize)
	if err != nil {
		return sign.Subject{}, nil, err
	}
	return sign.NewSubject(desc, data), data, nil
}
