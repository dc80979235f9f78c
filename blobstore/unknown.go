package blobstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dist.example/db"
	"dist.example/oci"
)

// unknownLoose calls do for each file in blobs/ that no row of a catalog points to, and
// ends with its error. Names are read a batch at a time: a store may have millions. do
// may remove the file.
func (l layout) unknownLoose(ctx context.Context, d *db.DB, do func(dir string, e fs.DirEntry) error) error {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		dir := filepath.Join(blobsDir, alg.String())
		err := l.eachBatch(dir, func(some []fs.DirEntry) error {
			unknown, err := unknownAmong(ctx, d, alg, some)
			for _, e := range unknown {
				if err == nil {
					err = do(dir, e)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachBatch reads the names in a folder of the store, in no order; none where it is not
// there.
func (l layout) eachBatch(dir string, do func([]fs.DirEntry) error) error {
	f, err := os.Open(l.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		some, err := f.ReadDir(checkBatch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(some)
		}
		if err != nil {
			return err
		}
	}
}

func unknownAmong(ctx context.Context, d *db.DB, alg oci.Algorithm, entries []fs.DirEntry) (unknown []fs.DirEntry, err error) {
	var digests []oci.Digest
	for _, e := range entries {
		if d, ok := digestIn(alg, e.Name()); ok {
			digests = append(digests, d)
		}
	}
	err = d.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Objects(digests)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if d, ok := digestIn(alg, e.Name()); !ok || !pointsToFile(rows[d]) {
				unknown = append(unknown, e)
			}
		}
		return nil
	})
	return unknown, err
}
