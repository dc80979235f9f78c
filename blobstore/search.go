package blobstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// SearchOptions say what is searched for; see package db.
type SearchOptions = db.SearchOptions

// Hit is an object that a search found.
type Hit struct {
	content.Info
	Names []string  // those with a word that was searched for first
	Facts []db.Fact // all that it was looked for in, names and keys first
}

const (
	// indexBatch is how many documents one transaction writes: some ten milliseconds, and
	// 2 MiB of text at most, see maxText.
	indexBatch = 32
	// indexWait is how long a search waits for the write lock. What it cannot write, it
	// makes in memory.
	indexWait = time.Second
)

// Find finds the objects that have all terms of o, the best first; see db.DB.Search.
// First it brings the index up to date, where this process may write and gets the
// lock soon.
func (s *Store) Find(ctx context.Context, o SearchOptions) (hits []Hit, more bool, err error) {
	if s.notes(ctx) {
		if err := s.updateIndex(ctx); err != nil && !forgone(ctx, err) {
			return nil, false, err
		}
	}
	found, more, err := s.db.Search(ctx, o, func(rows []db.Object) ([]db.Document, error) {
		docs := make([]db.Document, 0, len(rows))
		for _, row := range rows {
			d, _, err := s.documentOf(ctx, row)
			if err != nil {
				return nil, err
			}
			docs = append(docs, d)
		}
		return docs, nil
	})
	for _, h := range found {
		hits = append(hits, Hit{infoOf(h.Object), h.Names, h.Facts})
	}
	return hits, more, err
}

// forgone says that the index could not be written and the search goes on without.
func forgone(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errors.Is(err, content.ErrBusy) || errors.Is(err, content.ErrDenied) ||
		errors.Is(err, content.ErrNoSpace) || errors.Is(err, context.DeadlineExceeded))
}

// updateIndex writes what the index lacks, in short transactions, and takes out what
// is gone. Documents that are not whole are left out, so that they are looked at again.
// That nothing is lacking is noted, so that the next search need not look.
func (s *Store) updateIndex(ctx context.Context) error {
	var (
		backlog db.Backlog
		own     int64 // transactions
		whole   = true
	)
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		backlog, err = tx.SearchBacklog()
		return err
	})
	if err != nil || backlog.Marked {
		return err
	}
	write := func(fn func(*db.Tx) error) error {
		ctx, cancel := context.WithTimeout(ctx, indexWait)
		defer cancel()
		err := s.db.Write(ctx, fn)
		own++
		return err
	}
	for ids := range slices.Chunk(backlog.Stale, indexBatch) {
		if err := write(func(tx *db.Tx) error { return tx.DropDocuments(ids) }); err != nil {
			return err
		}
	}
	for ids := range slices.Chunk(backlog.Missing, indexBatch) {
		docs, all, err := s.documents(ctx, ids)
		if err != nil {
			return err
		}
		whole = whole && all
		if len(docs) == 0 {
			continue
		}
		if err := write(func(tx *db.Tx) error { return tx.PutDocuments(docs) }); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	return write(func(tx *db.Tx) error { return tx.MarkSearchable(backlog, own) })
}

// documents are those of a batch that are whole; all says whether every one is.
func (s *Store) documents(ctx context.Context, ids []int64) (docs []db.Document, all bool, err error) {
	var rows map[int64]db.Object
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = tx.ObjectsByID(ids)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	all = true
	for _, id := range ids {
		o, ok := rows[id]
		if !ok {
			continue
		}
		d, whole, err := s.documentOf(ctx, o)
		if err != nil {
			return nil, false, err
		}
		if whole {
			docs = append(docs, d)
		}
		all = all && whole
	}
	return docs, all, nil
}

// documentOf reads what is to be found of an object. It is not whole where a manifest
// or its configuration could not be read now: what may come, or heal, is looked at
// again.
func (s *Store) documentOf(ctx context.Context, o db.Object) (d db.Document, whole bool, err error) {
	f := &facts{}
	f.add(db.FieldType, mediaType(o))
	if !oci.HasSuccessors(o.Media) {
		return db.Document{Object: o.ID, Facts: f.list}, true, nil
	}
	data, err := content.ReadAll(ctx, s, descriptor(o), oci.MaxManifestSize)
	switch {
	case ctx.Err() != nil:
		return d, false, context.Cause(ctx)
	case err != nil:
		// Too large is never to be read, all else may be another time.
		return db.Document{Object: o.ID, Facts: f.list}, errors.Is(err, content.ErrUnsupported), nil
	}
	config := f.document(o.Media, data)
	whole = true
	if config != nil {
		whole, err = s.configFacts(ctx, f, *config)
	}
	return db.Document{Object: o.ID, Facts: f.list}, whole, err
}

// configFacts adds what an image's configuration says, and says whether it could be
// read.
func (s *Store) configFacts(ctx context.Context, f *facts, desc oci.Descriptor) (whole bool, err error) {
	data, err := content.ReadAll(ctx, s, desc, oci.MaxConfigSize)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err != nil:
		return errors.Is(err, content.ErrUnsupported), nil
	}
	f.config(data)
	return true, nil
}
