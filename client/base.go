package client

import (
	"context"
	"fmt"
	"slices"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// base is what the receiver of an export has: that is left out.
type base struct {
	about *bundle.Base
	has   func(oci.Digest) bool
	// asked is what a request names.
	asked []oci.Digest
}

// exportBase finds what the receiver of an export has: whoever has imported the bundles
// that o.Since tells, which o.For narrows down to those for a site; the site o.For, by its
// receipt. nil is for an export of everything. Errors: ErrNotFound for a site, or a bundle
// that was sent, that is not known; ErrInvalid for what may be several bundles.
func (c *Client) exportBase(ctx context.Context, s *blobstore.Store, o ExportOptions) (*base, error) {
	switch {
	case o.Since != "":
		return sinceBase(ctx, s, o)
	case o.For != "":
		return c.siteBase(ctx, s, o)
	}
	return nil, nil
}

// siteBase is what a site said it has. Before its first receipt that is nothing.
func (c *Client) siteBase(ctx context.Context, s *blobstore.Store, o ExportOptions) (*base, error) {
	site, err := s.Site(ctx, o.For)
	if err != nil {
		return nil, err
	}
	b := &base{about: &bundle.Base{Site: site.Name, Store: site.Store}}
	if site.Inventory == 0 {
		c.opts.Warn(fmt.Sprintf("what site %s has is not known: all is exported, as if it had nothing", site.Name))
		c.opts.Warn(fmt.Sprintf("hint: `dist site receipt -o FILE` there and `dist site update %s FILE` here tell it", site.Name))
	} else {
		b.about.Receipt, b.about.Created = site.Receipt, site.Made
	}
	set, err := s.InventoryDigests(ctx, site.Inventory)
	b.has = set.Has
	return b, err
}

// lastFor is index.json of the bundle of a name that was sent last, to a site, or with site
// "" to nobody in particular; "" for none.
func lastFor(ctx context.Context, s *blobstore.Store, name, site string) (oci.Digest, error) {
	for b, err := range s.Bundles(ctx, db.Sent) {
		if err != nil {
			return "", err
		}
		if b.Name == name && b.Site == site {
			return b.Digest, nil
		}
	}
	return "", nil
}

// sinceBase is what the bundles leave their receiver with that o.Since tells, and those
// that they are on top of.
func sinceBase(ctx context.Context, s *blobstore.Store, o ExportOptions) (*base, error) {
	var sent []blobstore.Bundle // the newest first
	for b, err := range s.Bundles(ctx, db.Sent) {
		if err != nil {
			return nil, err
		}
		if o.For == "" || b.Site == o.For {
			sent = append(sent, b)
		}
	}
	from, err := sinceBundles(sent, o)
	if err != nil {
		return nil, err
	}
	newest := from[0]
	b := &base{about: &bundle.Base{
		Site: newest.Site, Bundle: newest.Digest, Name: newest.Name, Serial: newest.Serial, Created: newest.Created,
	}}
	sets, err := closures(ctx, s, chained(from, sent))
	if err != nil {
		return nil, err
	}
	if len(sets) == 0 {
		return nil, content.WithHint(fmt.Errorf("export since %s: %w: what that left its receiver with is not remembered any more", o.Since, content.ErrNotFound),
			"name a newer bundle, or let the receiver write a receipt (dist site)")
	}
	b.has = func(d oci.Digest) bool {
		return slices.ContainsFunc(sets, func(set oci.DigestSet) bool { return set.Has(d) })
	}
	return b, nil
}

// chained adds to bundles those that they are on top of, and so on, as far as sent has
// them.
func chained(from, sent []blobstore.Bundle) []blobstore.Bundle {
	seen := map[int64]bool{}
	all := slices.Clone(from)
	for _, b := range all {
		seen[b.ID] = true
	}
	for i := 0; i < len(all); i++ {
		if all[i].Base == "" {
			continue
		}
		below := slices.IndexFunc(sent, func(b blobstore.Bundle) bool { return b.Digest == all[i].Base && !seen[b.ID] })
		if below >= 0 {
			seen[sent[below].ID] = true
			all = append(all, sent[below])
		}
	}
	return all
}

// closures are what the images of bundles reach, where that is remembered. Bundles share
// what is the same.
func closures(ctx context.Context, s *blobstore.Store, bundles []blobstore.Bundle) (sets []oci.DigestSet, err error) {
	seen := map[int64]bool{0: true}
	for _, b := range bundles {
		if seen[b.Inventory] {
			continue
		}
		seen[b.Inventory] = true
		set, err := s.InventoryDigests(ctx, b.Inventory)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	return sets, nil
}
