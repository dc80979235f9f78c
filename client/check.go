package client

import (
	"context"

	"dist.example/blobstore"
	"dist.example/db"
)

// HintRebuild is what helps when the catalog is lost or damaged.
const HintRebuild = db.HintRebuild

// HintDamaged is what helps when content is damaged.
const HintDamaged = blobstore.HintDamaged

// The reports of CheckStore and Rebuild.
type (
	// CheckReport is what CheckStore has found.
	CheckReport = blobstore.CheckReport
	// RebuildReport is what Rebuild has restored, and what it could not.
	RebuildReport = blobstore.RebuildReport
	// Damage is an object whose bytes are bad or gone.
	Damage = blobstore.Damage
	// Lack is an object that is damaged or missing.
	Lack = blobstore.Lack
	// Range is a stretch of a blob, in bytes.
	Range = blobstore.Range
	// CheckOptions say how much of the store CheckStore reads; Observe is the client's.
	CheckOptions = blobstore.CheckOptions
)

// CheckStore compares the store's catalog with its bytes, all of which are read
// and hashed unless o says less. See blobstore.Store.CheckAll. Errors: those of opening the store,
// content.ErrCorrupt where the catalog cannot even be opened, and of a disk that
// cannot be read; what is found damaged is in the report.
func (c *Client) CheckStore(ctx context.Context, o CheckOptions) (CheckReport, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return CheckReport{}, err
	}
	o.Observe = c.opts.Observe
	return s.CheckAll(ctx, o)
}

// Rebuild makes the store's catalog anew from its content. The client must not
// have opened the store before. See blobstore.Rebuild.
func (c *Client) Rebuild(ctx context.Context) (RebuildReport, error) {
	return blobstore.Rebuild(ctx, c.opts.Store, blobstore.RebuildOptions{
		Observe: c.opts.Observe, Warn: c.opts.Warn, Hook: c.opts.Hook,
	})
}
