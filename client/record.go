package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// sentBundle is a bundle that was written to its end.
type sentBundle struct {
	contents bundle.Contents
	index    oci.Digest // of index.json
	images   []bundle.NamedImage
	closure  []oci.Digest // all that the images reach, what was left out among it
}

// recordExport notes in the catalog what was exported, for the deltas and the serials to
// come, and ends the lease of that; noted says whether it did. It says nothing of what has
// arrived: only a receipt does. A store that is only read keeps no record, which is told
// where the bundle has a name.
func (c *Client) recordExport(ctx context.Context, s *blobstore.Store, sent sentBundle, lease string) (noted bool, err error) {
	b := bundleRow(db.Sent, sent.contents, sent.index, len(sent.images))
	err = s.RecordBundle(ctx, b, sent.closure, lease)
	if errors.Is(err, content.ErrDenied) {
		if b.Name != "" {
			c.opts.Warn(fmt.Sprintf("the store is only read: it does not remember bundle %s, serial %d", b.Name, b.Serial))
		}
		return false, nil
	}
	return err == nil, err
}

// recordImport notes that a bundle has come, with what it says of itself.
func (c *Client) recordImport(ctx context.Context, s *blobstore.Store, contents bundle.Contents, index oci.Digest, images int) error {
	return s.RecordBundle(ctx, bundleRow(db.Received, contents, index, images), nil, "")
}

func bundleRow(d db.Direction, contents bundle.Contents, index oci.Digest, images int) blobstore.Bundle {
	b := blobstore.Bundle{
		Direction: d, Name: contents.Name, Serial: contents.Serial, Digest: index, Created: contents.Created,
		Images: images, Blobs: len(contents.Blobs), Size: contents.TotalSize,
	}
	if contents.Base != nil {
		b.Site, b.Base = contents.Base.Site, contents.Base.Bundle
	}
	return b
}

// nextSerial is the serial of the next bundle of a name, which no other export gets. A
// plan takes none, nor does a store that is only read.
func nextSerial(ctx context.Context, s *blobstore.Store, name string, plans bool) (int64, error) {
	if !plans {
		serial, err := s.TakeSerial(ctx, name)
		if !errors.Is(err, content.ErrDenied) {
			return serial, err
		}
	}
	return s.NextSerial(ctx, name)
}
