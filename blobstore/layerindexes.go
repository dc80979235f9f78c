package blobstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// MaxLayerIndex bounds what is kept of one layer, in bytes.
const MaxLayerIndex = 64 << 20

// LayerIndex is what PutLayerIndexes was given for a blob. Errors: ErrNotFound where
// nothing is kept.
func (s *Store) LayerIndex(ctx context.Context, d oci.Digest) (data []byte, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(d)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("layer index of %s: %w", d, content.ErrNotFound)
		}
		data, err = tx.LayerIndex(o.ID)
		return err
	})
	return data, err
}

// PutLayerIndexes keeps indexes of what is in layers (layer.Index), by the digests of the
// blobs, for as long as these are here. They are notes that can be made again: none is kept
// where it is larger than MaxLayerIndex, where the blob is not here, in a store that can
// only be read or is a backup, and while others keep writing. Errors: that of ctx.
func (s *Store) PutLayerIndexes(ctx context.Context, all map[oci.Digest][]byte) error {
	if len(all) == 0 || !s.notes(ctx) {
		return ctx.Err()
	}
	brief, cancel := context.WithCancel(ctx)
	defer cancel()
	wait := time.AfterFunc(useWait, cancel)
	err := s.db.Write(brief, func(tx *db.Tx) error {
		wait.Stop()
		for d, data := range all {
			if len(data) > MaxLayerIndex {
				continue
			}
			o, found, err := tx.Object(d)
			if err == nil && found && o.Loc.Held() {
				err = tx.PutLayerIndex(o.ID, data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, content.ErrCorrupt) {
		return err // of the catalog
	}
	return ctx.Err()
}
