package client

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
	"dist.example/sign"
)

// Site is a receiving site, as its last receipt says.
type Site = blobstore.Site

// SentBundle is a bundle that was exported here, or that has come.
type SentBundle = blobstore.Bundle

// SiteName is a name that a site has.
type SiteName struct {
	Name   string
	Digest oci.Digest // of what it stands for there
	Here   oci.Digest // of what it stands for here, "" where it does not
}

// SiteDetail is a site with all that is known of it.
type SiteDetail struct {
	Site
	Names []SiteName // in order
	// KnownObjects are those of its objects that this store knows the size of, here or not,
	// and KnownBytes that of all of them.
	KnownObjects, KnownBytes int64
	// Sent are the bundles that were exported for it since its last receipt, the newest
	// first. Whether they have come is not known.
	Sent []SentBundle
}

// SiteOptions direct AddSite.
type SiteOptions struct {
	// Key has to sign the site's receipts: as FindKey takes it; "" for none.
	Key string
	// Note is shown with the site; "" is fine.
	Note string
}

// Sites lists the receiving sites by name. Errors: ErrNoStore.
func (c *Client) Sites(ctx context.Context) iter.Seq2[Site, error] {
	s, err := c.Open(ctx)
	if err != nil {
		return func(yield func(Site, error) bool) { yield(Site{}, err) }
	}
	return s.Sites(ctx)
}

// AddSite notes a receiving site, of which nothing is known before its first receipt. The
// store is made when there is none. Errors: ErrInvalid for what is no name of a site, and
// for a note that is no line of text of at most 1000 bytes; ErrExists; those of FindKey.
func (c *Client) AddSite(ctx context.Context, name string, o SiteOptions) (Site, error) {
	if err := errors.Join(bundle.CheckSite(name), checkNote("site", o.Note)); err != nil {
		return Site{}, err
	}
	site := Site{Name: name, Note: o.Note}
	if o.Key != "" {
		k, err := c.publicKey(ctx, o.Key)
		if err != nil {
			return Site{}, err
		}
		site.Key = k.DER()
	}
	s, err := c.Init(ctx)
	if err != nil {
		return Site{}, err
	}
	return s.AddSite(ctx, site)
}

// ForgetSite forgets a site. What was exported for it stays in the record of bundles.
// Errors: ErrNotFound.
func (c *Client) ForgetSite(ctx context.Context, name string) (Site, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return Site{}, err
	}
	return s.ForgetSite(ctx, name)
}

// ShowSite tells all that is known of a site. Errors: ErrNotFound.
func (c *Client) ShowSite(ctx context.Context, name string) (d SiteDetail, err error) {
	s, err := c.Open(ctx)
	if err != nil {
		return d, err
	}
	if d.Site, err = s.Site(ctx, name); err != nil {
		return d, err
	}
	set, err := s.InventoryDigests(ctx, d.Inventory)
	if err != nil {
		return d, err
	}
	if d.KnownObjects, d.KnownBytes, err = s.InventoryHere(ctx, &set); err != nil {
		return d, err
	}
	here := map[string]oci.Digest{}
	for n, err := range s.Names(ctx, "") {
		if err != nil {
			return d, err
		}
		here[n.Reference.String()] = n.Target.Digest
	}
	for n, err := range s.InventoryNames(ctx, d.Inventory) {
		if err != nil {
			return d, err
		}
		d.Names = append(d.Names, SiteName{n.Name, n.Digest, here[n.Name]})
	}
	for b, err := range s.Bundles(ctx, db.Sent) {
		if err != nil {
			return d, err
		}
		if b.Site == name && !b.At.Before(d.Updated) {
			d.Sent = append(d.Sent, b)
		}
	}
	return d, nil
}

// SiteKey is the key that has to sign a site's receipts, nil for none. Errors: ErrCorrupt.
func SiteKey(site Site) (*sign.PublicKey, error) {
	if len(site.Key) == 0 {
		return nil, nil
	}
	k, err := sign.ParsePublicDER(site.Key)
	if err != nil {
		return nil, fmt.Errorf("the key of site %s in the catalog: %w: %v", site.Name, content.ErrCorrupt, err)
	}
	return k, nil
}
