package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

// snapshotTries is how often an unpacking begins anew since a snapshot turned out to be
// damaged, which goes then.
const snapshotTries = 3

// mountLasts is how long a lease lasts by which a mounted image is kept: until it is
// unmounted.
const mountLasts = 10 * 365 * 24 * time.Hour

// stacked are the snapshots of an image's layers: those that the store has, and new ones.
type stacked struct {
	*unpack.Snapshots
	all  []blobstore.Snapshot
	made int
}

// unpackSnapshots unpacks by snapshots. One that is damaged is given up, and made anew.
func (c *Client) unpackSnapshots(ctx context.Context, s *blobstore.Store, m oci.Manifest, layers []layer.Input, image oci.Image, o UnpackOptions, uo unpack.Options, out *Unpacked) error {
	if !uo.Rootless && unpack.InUserNamespace() {
		return content.WithHint(fmt.Errorf("%w: snapshots with owners of a user namespace: whoever collects garbage outside of it could not remove them", content.ErrUnsupported),
			"--rootless gives no owners; without --snapshots and --mount they are given")
	}
	if s.IsBackup(ctx) {
		return content.WithHint(fmt.Errorf("%w: it is a backup, in which nothing is made", content.ErrDenied), "restore it, or unpack without snapshots")
	}
	var bad *unpack.SnapshotError
	for try := 1; ; try++ {
		k, err := c.snapshots(ctx, s, m, layers, uo)
		if err == nil {
			out.Reused, out.Made = len(k.all)-k.made, k.made
			err = c.unpackStacked(ctx, s, k, image, o, uo, out)
		}
		k.Close()
		if !errors.As(err, &bad) || errors.Is(err, content.ErrDenied) || try == snapshotTries {
			return err
		}
		c.opts.Warn(fmt.Sprintf("a layer that was kept unpacked is damaged, and is unpacked again: %v", bad.Err))
		if bad.Number < len(k.all) {
			if err := s.DropSnapshot(ctx, k.all[bad.Number]); err != nil {
				return err
			}
		}
	}
}

// snapshots finds or makes those of all layers. What comes back is to be closed, also
// after an error.
func (c *Client) snapshots(ctx context.Context, s *blobstore.Store, m oci.Manifest, layers []layer.Input, uo unpack.Options) (*stacked, error) {
	k := &stacked{Snapshots: unpack.NewSnapshots(uo)}
	owner := blobstore.OwnersKept
	if uo.Rootless {
		owner = os.Geteuid()
	}
	var chain oci.Digest
	for i, in := range layers {
		chain = oci.ChainID(chain, in.DiffID)
		snap, err := s.Snapshot(ctx, chain, owner)
		if err == nil {
			k.all = append(k.all, snap)
			if err := k.Add(snap.Path, snap.Index); err != nil {
				return k, err
			}
			continue
		}
		if !errors.Is(err, content.ErrNotFound) {
			return k, err
		}
		if err := s.Fits(ctx, m.Layers[i].Size); err != nil { // it takes more than that, as a rule
			return k, content.WithHint(fmt.Errorf("keep layer %d unpacked: %w", i+1, err), "`dist gc --snapshots` removes those that are not in use; without --snapshots and --mount none is kept")
		}
		if snap, err = k.makeNext(ctx, s, m.Layers[i].Digest, in, db.Snapshot{Chain: chain, Owner: owner}); err != nil {
			return k, err
		}
		k.all = append(k.all, snap)
		k.made++
	}
	return k, nil
}

// makeNext makes the next snapshot, of a layer whose blob has that digest.
func (k *stacked) makeNext(ctx context.Context, s *blobstore.Store, blob oci.Digest, in layer.Input, row db.Snapshot) (snap blobstore.Snapshot, err error) {
	n, err := s.NewSnapshot()
	if err != nil {
		return snap, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	made, err := k.Make(ctx, n.Dir(), in)
	if err != nil {
		return snap, err
	}
	row.Index, row.Files, row.Bytes, row.Mountable = made.Index, int64(made.Files), made.Size, made.Mountable
	if snap, err = n.Commit(ctx, blob, row); err != nil {
		return snap, err
	}
	if snap.Path != n.Dir() { // another process was faster
		err = k.Replace(snap.Path, snap.Index)
	}
	return snap, err
}

// unpackStacked makes the folder.
func (c *Client) unpackStacked(ctx context.Context, s *blobstore.Store, k *stacked, image oci.Image, o UnpackOptions, uo unpack.Options, out *Unpacked) (err error) {
	var (
		src unpack.Source = k.Snapshots
		v   *unpack.Overlay
	)
	if o.Mount {
		if v, err = overlay(ctx, s, k, out); err != nil {
			return err
		}
		src = v
		defer func() {
			out.Mounted, out.MountCommand = v.Mounted, v.Command
			if err != nil {
				_, rerr := s.ReleaseLeases(context.WithoutCancel(ctx), true, v.Lease)
				err = errors.Join(err, rerr)
			}
		}()
	}
	if o.Bundle == nil {
		out.Result, err = unpack.Rootfs(ctx, out.Dir, src, uo)
		return err
	}
	bo := *o.Bundle
	bo.Options = uo
	out.BundleResult, err = unpack.Bundle(ctx, out.Dir, src, image, bo)
	return err
}

// overlay is the image as it is mounted, with a lease that keeps it for as long.
func overlay(ctx context.Context, s *blobstore.Store, k *stacked, out *Unpacked) (*unpack.Overlay, error) {
	for i, snap := range k.all {
		if !snap.Mountable {
			return nil, content.WithHint(fmt.Errorf("%w: layer %d of the image cannot be mounted: overlayfs would take some of it for something else, or this system lets nobody mark what it takes away", content.ErrUnsupported, i+1),
				"--snapshots without --mount copies it")
		}
	}
	dir, err := filepath.Abs(out.Dir)
	if err != nil {
		return nil, err
	}
	if err := unpack.Vacant(dir); err != nil {
		return nil, err
	}
	// Short at first: who is killed before there is something to unmount leaves it.
	lease, err := s.AddLease(ctx, mountNote(dir), blobstore.DefaultLease, out.Image.Digest)
	if err != nil {
		return nil, err
	}
	return &unpack.Overlay{
		Snapshots: k.Snapshots, Base: s.SnapshotsDir(),
		Mount: unpack.Mount{Image: out.Image.Digest, Store: s.Dir(), UUID: s.UUID(), Lease: lease.ID},
		Keep: func() error {
			_, err := s.RenewLeases(ctx, mountLasts, lease.ID)
			return err
		},
	}, nil
}

// mountedOn is what the note of a mounted folder's lease begins with.
const mountedOn = "mounted on "

// mountNote is what the lease of a mounted folder says.
func mountNote(dir string) string {
	note := mountedOn + strconv.Quote(dir)
	return note[:min(len(note), maxNote)]
}

// Unmount takes a folder away that Unpack has mounted, as unpack.Unmount does it, and ends the
// lease by which the store keeps the image for it. Errors: those of unpack.Unmount; ErrInvalid
// where it is another store's.
func (c *Client) Unmount(ctx context.Context, dir string, discard bool) (oci.Digest, error) {
	m, err := unpack.FindMount(dir)
	if err != nil {
		return "", err
	}
	s, err := c.Open(ctx)
	if err != nil {
		return "", err
	}
	if s.UUID() != m.UUID {
		return "", content.WithHint(fmt.Errorf("%s: %w: it was mounted from the store %s", dir, content.ErrInvalid, m.Store), "give that with --store")
	}
	return m.Image, unpack.Unmount(dir, discard, func(m unpack.Mount) error { return endMountLease(ctx, s, m) })
}

// endMountLease ends the lease of a mounted folder, unless it is gone, and no other.
func endMountLease(ctx context.Context, s *blobstore.Store, m unpack.Mount) error {
	for l, err := range s.Leases(ctx) {
		if err != nil {
			return err
		}
		if l.ID == m.Lease && strings.HasPrefix(l.Note, mountedOn) {
			_, err = s.ReleaseLeases(ctx, true, l.ID)
			return err
		}
	}
	return nil
}
