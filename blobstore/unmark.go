package blobstore

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// Right says whether what is here of a blob that is marked as damaged is right after
// all: the disk could not read it for a while, or somebody has put its file back. It
// reads all of it and changes nothing; what is not marked is not read, and false.
func (s *Store) Right(ctx context.Context, d oci.Digest) (bool, error) {
	row, _, err := s.db.Object(ctx, d)
	if err != nil {
		return false, err
	}
	return s.right(ctx, row)
}

// Unmark takes back that a blob is damaged where it is Right, and says whether it did.
// Errors: those of reading, content.ErrDenied for a store that can only be read.
func (s *Store) Unmark(ctx context.Context, d oci.Digest) (bool, error) {
	if err := s.writable(); err != nil {
		return false, err
	}
	row, _, err := s.db.Object(ctx, d)
	if err != nil {
		return false, err
	}
	return s.unmark(ctx, row)
}

func (s *Store) unmark(ctx context.Context, row db.Object) (done bool, err error) {
	if right, err := s.right(ctx, row); !right || err != nil {
		return false, err
	}
	if row.Pack == 0 {
		if err := s.settleLoose(row.Digest); err != nil {
			return false, err
		}
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		done, err = tx.MarkSound(row)
		return err
	})
	return done, err
}

// right reads a damaged object where its row says that it is. What only a newer version
// can read is not known to be right. In a pack the record has to be, too, without which
// a rebuild would not find it.
func (s *Store) right(ctx context.Context, o db.Object) (bool, error) {
	switch {
	case o.Loc != db.LocDamaged:
		return false, nil
	case o.Pack == 0:
		return s.readLoose(ctx, o.Digest, o.Size, func(int64) {})
	case o.Off < pack.HeaderSize:
		return false, nil
	}
	f, err := s.openContent(s.packPath(o.Pack))
	if suspicious(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	rec, err := pack.ReadRecord(legible{f}, o.Off)
	if err == nil {
		if agreeing(rec, o) != "" {
			return false, nil
		}
		_, err = pack.ReadBlob(legible{f}, rec)
	}
	if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrUnsupported) {
		return false, nil
	}
	return err == nil, fsys.Classify(err)
}

// settleLoose makes a loose blob's file and its name durable: a writer that heals it in
// this moment may have put them there and not synced them yet.
func (s *Store) settleLoose(d oci.Digest) error {
	f, err := s.openContent(s.blobPath(d))
	if err != nil {
		return fsys.Classify(err)
	}
	defer f.Close()
	// Windows syncs no file that is open for reading, nor any folder.
	if err := fsys.Classify(f.Sync()); err != nil && !errors.Is(err, content.ErrDenied) {
		return err
	}
	return fsys.Classify(s.fs.SyncDir(s.blobDir(d)))
}

// marks reads again what is marked as damaged, and takes the mark from what is right:
// everything after this looks at it as at anything else that is held.
func (c *checker) marks(ctx context.Context) error {
	var marked []db.Object
	err := c.s.db.Read(ctx, func(tx *db.Tx) (err error) {
		marked, err = tx.Damaged()
		return err
	})
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers())
	for _, o := range marked {
		g.Go(func() error { return c.mark(gctx, o) })
	}
	return g.Wait()
}

// mark reads one object that is marked. In a store that can only be read the mark stays,
// and is told with what is known of it.
func (c *checker) mark(ctx context.Context, o db.Object) error {
	judge := c.s.unmark
	if c.s.readOnly {
		judge = c.s.right
	}
	right, err := judge(ctx, o)
	switch {
	case err != nil || !right:
		return err
	case c.s.readOnly:
		c.right.add(o.ID)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Unmarked = append(c.report.Unmarked, o.Digest)
	return nil
}
