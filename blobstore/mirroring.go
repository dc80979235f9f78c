package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// Part implements content.PartReader: the ingest's file, which another process may
// go on with.
func (s *Store) Part(ctx context.Context, key string) (content.ReaderAt, error) {
	none := fmt.Errorf("ingest %s: %w", key, content.ErrNotFound)
	found := false
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		_, found, err = tx.Ingest(key)
		return err
	})
	if err == nil && !found {
		err = none // a file without a row is of one that was committed
	}
	if err != nil {
		return nil, err
	}
	f, err := s.openContent(s.ingestPath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none // committed just now
	}
	if err != nil {
		return nil, fmt.Errorf("ingest %s: %w", key, fsys.Classify(err))
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("ingest %s: %w", key, fsys.Classify(err))
	}
	return &looseReader{f, fi.Size()}, nil
}

// Sighted implements content.Sightings.
func (s *Store) Sighted(ctx context.Context, ref oci.Reference) (content.Sighting, error) {
	var (
		row   db.Sighting
		found bool
	)
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		row, found, err = tx.Sighting(ref.String())
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("sighting of %s: %w", ref, content.ErrNotFound)
	}
	if err != nil {
		return content.Sighting{}, err
	}
	return sightingOf(row)
}

// SightingsOf implements content.Sightings.
func (s *Store) SightingsOf(ctx context.Context, repo string, d oci.Digest) iter.Seq2[content.Sighting, error] {
	return func(yield func(content.Sighting, error) bool) {
		var rows []db.Sighting
		err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = tx.SightingsOf(repo, d)
			return err
		})
		if err != nil {
			yield(content.Sighting{}, err)
			return
		}
		for _, row := range rows {
			if !yield(sightingOf(row)) {
				return
			}
		}
	}
}

func sightingOf(row db.Sighting) (content.Sighting, error) {
	ref, err := oci.ParseReference(row.Name)
	if err != nil {
		return content.Sighting{}, fmt.Errorf("sighting of %q in the catalog: %w: %v", row.Name, content.ErrCorrupt, err)
	}
	target := oci.Descriptor{MediaType: row.Media, Digest: row.Digest, Size: row.Size}
	return content.Sighting{Reference: ref, Target: target, At: row.At}, nil
}

// NoteSighting implements content.Sightings.
func (s *Store) NoteSighting(ctx context.Context, sight content.Sighting) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		t := sight.Target
		return tx.PutSighting(db.Sighting{Name: sight.Reference.String(), Digest: t.Digest, Media: t.MediaType, Size: t.Size, At: sight.At})
	})
}

// ForgetSighting implements content.Sightings.
func (s *Store) ForgetSighting(ctx context.Context, ref oci.Reference) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error { return tx.DeleteSighting(ref.String()) })
}
