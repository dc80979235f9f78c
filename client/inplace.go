package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// bundles are those that a pull reads, by their path: each is opened once, however many
// images come from it.
type bundles map[string]*bundle.Incoming

// open opens one, unless that was done.
func (b bundles) open(ctx context.Context, path string) (*bundle.Incoming, error) {
	if in := b[path]; in != nil {
		return in, nil
	}
	in, err := bundle.OpenWhole(ctx, path)
	if err == nil {
		b[path] = in
	}
	return in, err
}

// source is the image that a place names.
func (b bundles) source(ctx context.Context, at string) (content.ImageSource, error) {
	p, err := bundle.ParsePlace(at)
	if err != nil {
		return nil, err
	}
	in, err := b.open(ctx, p.Path)
	if err != nil {
		return nil, err
	}
	return in.At(at)
}

// spread puts all images of a bundle in the place of a word that names none of them: where
// one has a name, those that have. warn is told of the others.
func (b bundles) spread(ctx context.Context, entries []ListEntry, warn func(string)) (all []ListEntry, err error) {
	for _, e := range entries {
		path, whole, err := wholeBundle(e.Word)
		if err != nil {
			return nil, e.at(err)
		}
		if !whole {
			all = append(all, e)
			continue
		}
		in, err := b.open(ctx, path)
		if err != nil {
			return nil, e.at(err)
		}
		images, err := in.Images(ctx)
		if err != nil {
			return nil, e.at(err)
		}
		named := slices.ContainsFunc(images, func(im bundle.IncomingImage) bool { return !im.Nameless() })
		for _, im := range images {
			if named && im.Nameless() {
				warn(fmt.Sprintf("%s of %s has no name, and is left out: `dist import` brings it", im.Label(), path))
				continue
			}
			one := e
			one.Word = TransportBundle + ":" + im.Place(path)
			all = append(all, one)
		}
	}
	return all, nil
}

// close gives all of them up.
func (b bundles) close() {
	for _, in := range b {
		_ = in.Close() // they were only read
	}
}

// admitBundles holds the bundles that a pull reads to the policy.
func (p *pull) admitBundles(ctx context.Context) error {
	for _, path := range slices.Sorted(maps.Keys(p.bundles)) {
		out, err := p.c.admitBundle(ctx, p.store, claimOf(p.bundles[path].Head, p.o.AllowRollback))
		if err != nil {
			return fmt.Errorf("pull %s:%s: %w", TransportBundle, path, err)
		}
		p.bundleMarks = append(p.bundleMarks, out.marks...)
	}
	return nil
}

// wholeBundle says whether word is bundle:PATH without a name.
func wholeBundle(word string) (path string, ok bool, err error) {
	at, ok := strings.CutPrefix(word, TransportBundle+":")
	if !ok {
		return "", false, nil
	}
	p, err := bundle.ParsePlace(at)
	return p.Path, err == nil && !p.One, err
}

// openLibrary opens a place that is read where it stands. A bundle is held to its contents,
// as by an import. Errors: also ErrCorrupt for one that is not what those say.
func (c *Client) openLibrary(ctx context.Context, path string) (*bundle.Library, error) {
	in, err := bundle.OpenWhole(ctx, path)
	if err == nil {
		err = in.Close()
	}
	if errors.Is(err, content.ErrCorrupt) {
		return nil, err
	} // what else there is to say, those say who need it
	l, err := bundle.OpenLibrary(ctx, path, c.opts.Warn)
	return l, withoutStore(path, err)
}

// inspectInPlace describes an image in a bundle.
func (c *Client) inspectInPlace(ctx context.Context, at string, platform *oci.Platform) (in Inspection, err error) {
	p, err := bundle.ParsePlace(at)
	if err != nil {
		return in, err
	}
	found, err := c.openElsewhere(ctx, Locator{Transport: TransportBundle, Place: at})
	if err != nil {
		return in, err
	}
	defer found.done()
	l, err := c.openLibrary(ctx, p.Path)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if in, err = inspect(ctx, l, found.desc, platform); err != nil || in.Index == nil && in.Manifest == nil {
		return in, err
	}
	s, err := c.storeIfAny(ctx)
	if err != nil {
		return in, err
	}
	v, all, err := c.verdict(ctx, s, found.src, []content.Fetcher{found.src}, found.name, in.Info.Descriptor())
	if err == nil {
		in.Signatures, err = c.outcomes(ctx, v, all)
	}
	in.Verified = v.Verified
	return in, err
}

// ListPlace lists the content of the place that bundle:PATH names, in the order of
// digests.
func (c *Client) ListPlace(ctx context.Context, word string) iter.Seq2[content.Info, error] {
	return func(yield func(content.Info, error) bool) {
		if err := c.listPlace(ctx, word, yield); err != nil {
			yield(content.Info{}, err)
		}
	}
}

// listPlace returns the errors that yield has not been told of.
func (c *Client) listPlace(ctx context.Context, word string, yield func(content.Info, error) bool) error {
	path, whole, err := wholeBundle(word)
	if err == nil && !whole {
		err = content.WithHint(fmt.Errorf("%s: %w: want bundle:PATH", word, content.ErrInvalid), "`dist inspect %s` tells of one image", word)
	}
	if err != nil {
		return err
	}
	l, err := c.openLibrary(ctx, path)
	if err != nil {
		return err
	}
	defer l.Close() // it is only read
	for info, err := range l.All(ctx) {
		if !yield(info, err) || err != nil {
			return nil
		}
	}
	return nil
}
