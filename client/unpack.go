package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

// UnpackOptions direct Unpack. The zero value takes the image for this machine, and gives
// everything its owner.
type UnpackOptions struct {
	Platform *oci.Platform // of an index; nil is oci.DefaultPlatform
	// Rootless and Closed are as in unpack.Options.
	Rootless, Closed bool
	MaxSize          int64 // of all files, in bytes; 0 does not bound it
	// Bundle makes a runtime bundle as these say; its own Options do not count. nil makes
	// a root filesystem.
	Bundle *unpack.BundleOptions
	// Snapshots keeps each layer unpacked in the store, and makes the folder of those: a copy
	// that shares blocks with them where the file system can do that.
	Snapshots bool
	// Mount copies nothing, but has overlayfs lay the snapshots over each other. Who is not
	// root gets the command that does it. Unmount takes the folder away.
	Mount bool
}

// Unpacked is the outcome of Unpack. What only bundles have is empty for a root filesystem.
type Unpacked struct {
	unpack.BundleResult
	Dir      string         // as it was given
	Image    oci.Descriptor // the manifest
	Platform oci.Platform
	Layers   int
	// Reused and Made are how many layers were kept unpacked already, and are now.
	Reused, Made int
	// Mounted says that the folder is mounted, and MountCommand what mounts it.
	Mounted      bool
	MountCommand string
}

// UnpackTo is what Pull is to unpack, and where.
type UnpackTo struct {
	Dir string
	UnpackOptions
}

// Unpack makes a folder that has the root filesystem of an image in the store, as
// unpack.Rootfs does it, or a runtime bundle, as unpack.Bundle does. What is damaged is
// brought again from where it came, once. Every layer is held to its digest and to the
// diff_id that the configuration has for it.
//
// Errors: those of unpack.Rootfs or unpack.Bundle, and of Lookup; ErrInvalid for what is no
// image; ErrNotFound when some of it is not here; ErrUnsupported for an image of Windows, for
// an index that has none for the platform, and for layers of unknown types.
func (c *Client) Unpack(ctx context.Context, id, dir string, o UnpackOptions) (out Unpacked, err error) {
	err = c.withImage(ctx, "unpack", id, o.Platform, func(s *blobstore.Store, desc oci.Descriptor) (err error) {
		out, err = c.unpackImage(ctx, s, id, desc, dir, o)
		return err
	})
	return out, err
}

// withImage finds an image of the store, of an index that for a platform, and holds it
// while use is at work, unless verb is "". What is damaged is brought again from where it
// came, and use is called once more then.
func (c *Client) withImage(ctx context.Context, verb, id string, p *oci.Platform, use func(*blobstore.Store, oci.Descriptor) error) error {
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	c.healing(s)
	desc, err := lookup(ctx, s, id)
	if err != nil {
		return err
	}
	if verb != "" {
		_, release, err := c.hold(ctx, s, verb, desc.Digest)
		if err != nil {
			return err
		}
		defer release()
	}
	if oci.IsIndex(desc.MediaType) {
		if desc, err = selectImage(ctx, s, desc, Platforms{Only: p}); err != nil {
			return err
		}
	}
	err = use(s, desc)
	if errors.Is(err, content.ErrCorrupt) && c.mendedBelow(ctx, s, desc.Digest) {
		err = use(s, desc)
	}
	return err
}

func (c *Client) unpackImage(ctx context.Context, s *blobstore.Store, id string, desc oci.Descriptor, dir string, o UnpackOptions) (Unpacked, error) {
	out := Unpacked{Dir: dir, Image: desc}
	m, config, err := c.readImage(ctx, s, id, desc)
	if err != nil {
		return out, err
	}
	out.Platform, out.Layers = config.Platform, len(m.Layers)
	if o.Bundle != nil && config.OS != "linux" {
		return out, fmt.Errorf("%w: a runtime bundle of an image of %q: they are made for Linux", content.ErrUnsupported, config.OS)
	}
	layers, err := c.unpackLayers(s, desc, *m, *config)
	if err != nil {
		return out, err
	}
	uo := unpack.Options{
		Rootless: o.Rootless, Closed: o.Closed, MaxSize: o.MaxSize, Hook: c.opts.Hook,
		Record: &unpack.Record{Image: desc.Digest, Name: id, Platform: oci.FormatPlatform(&config.Platform)},
	}
	if o.Snapshots || o.Mount {
		err = c.unpackSnapshots(ctx, s, *m, layers, *config, o, uo, &out)
		return out, err
	}
	if o.Bundle == nil {
		out.Result, err = unpack.Rootfs(ctx, dir, unpack.Layers(layers), uo)
		return out, err
	}
	bo := *o.Bundle
	bo.Options = uo
	out.BundleResult, err = unpack.Bundle(ctx, dir, unpack.Layers(layers), *config, bo)
	return out, err
}

// readImage reads the manifest and the configuration of an image that is all here.
func (c *Client) readImage(ctx context.Context, s *blobstore.Store, id string, desc oci.Descriptor) (*oci.Manifest, *oci.Image, error) {
	if !oci.IsManifest(desc.MediaType) {
		return nil, nil, fmt.Errorf("%w: it is %s, and no image", content.ErrInvalid, desc.MediaType)
	}
	if err := c.whole(ctx, s, id, desc.Digest, hintPull); err != nil {
		return nil, nil, err
	}
	m, config, err := imageConfig(ctx, s, desc)
	if err == nil && config == nil {
		err = content.WithHint(fmt.Errorf("%w: it is an artifact, and no image", content.ErrInvalid),
			"`dist get --files DIR` writes the files of an artifact")
	}
	return m, config, err
}

// unpackLayers are the layers of an image that can be unpacked.
func (c *Client) unpackLayers(s *blobstore.Store, desc oci.Descriptor, m oci.Manifest, config oci.Image) ([]layer.Input, error) {
	if config.OS == "windows" {
		return nil, fmt.Errorf("%w: its layers are those of Windows, which only Windows can make", content.ErrUnsupported)
	}
	for _, l := range m.Layers {
		if !oci.IsImageLayer(l.MediaType) {
			return nil, unknownSection(desc, oci.Edge{Descriptor: l, Role: oci.RoleLayer})
		}
	}
	ids, err := diffIDs(config, m)
	if err != nil {
		return nil, err
	}
	return c.observedInputs(s, m, ids), nil
}
