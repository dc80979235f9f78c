package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
	"dist.example/unpack"
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
	r, err := s.CheckAll(ctx, o)
	if err == nil {
		r.Snapshots, err = c.checkSnapshots(ctx, s, o)
	}
	return r, err
}

// checkSnapshots reads the layers that are kept unpacked, as far as o says, and gives up
// those that are damaged.
func (c *Client) checkSnapshots(ctx context.Context, s *blobstore.Store, o CheckOptions) (found []string, err error) {
	var all []blobstore.Snapshot // first: no transaction is to wait
	for snap, err := range s.Snapshots(ctx) {
		if err != nil {
			return nil, err
		}
		if !snap.Damaged {
			all = append(all, snap)
		}
	}
	random := rand.New(rand.NewPCG(o.Seed, uint64(len(all))))
	for _, snap := range all {
		look := unpack.VerifySnapshot
		if o.Quick || o.Sample > 0 && random.Float64() >= o.Sample {
			look = func(context.Context, string, oci.Digest) error { return unpack.StatSnapshot(snap.Path) }
		}
		err := look(ctx, snap.Path, snap.Index)
		if err == nil {
			continue
		}
		if errors.Is(err, content.ErrDenied) {
			c.opts.Warn(fmt.Sprintf("the layer %s that is kept unpacked in %s was not looked at: it belongs to another user", oci.ShortDigest(snap.Layer), snap.Path))
			continue
		}
		if ctx.Err() != nil || !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrNotFound) {
			return found, err
		}
		if there, err := s.SnapshotsOf(ctx, snap.Chain); err != nil || !slices.ContainsFunc(there, func(now blobstore.Snapshot) bool { return now.Dir == snap.Dir && !now.Damaged }) {
			if err != nil {
				return found, err
			}
			continue // it was collected meanwhile
		}
		if bad := (*unpack.SnapshotError)(nil); errors.As(err, &bad) {
			err = bad.Err
		}
		text := fmt.Sprintf("the layer %s that is kept unpacked in %s is damaged: %v", oci.ShortDigest(snap.Layer), snap.Path, err)
		if !s.ReadOnly() {
			if err := s.DropSnapshot(ctx, snap); err != nil {
				return found, err
			}
			text += "; it is given up, and made again when it is asked for"
		}
		found = append(found, text)
	}
	return found, nil
}

// Rebuild makes the store's catalog anew from its content. The client must not
// have opened the store before. See blobstore.Rebuild.
func (c *Client) Rebuild(ctx context.Context) (RebuildReport, error) {
	return blobstore.Rebuild(ctx, c.opts.Store, blobstore.RebuildOptions{
		Observe: c.opts.Observe, Warn: c.opts.Warn, Hook: c.opts.Hook,
	})
}
