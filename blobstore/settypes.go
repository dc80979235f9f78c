package blobstore

import (
	"context"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/oci"
)

// NoteTypes gives objects that are held the media types that descs say: they came before
// anybody knew. The last word counts, but no type makes a manifest of bytes, or takes that
// from one. What is not held is passed over. Errors: content.ErrDenied for a store that
// cannot be written to.
func (s *Store) NoteTypes(ctx context.Context, descs ...oci.Descriptor) error {
	if err := s.writable(); err != nil {
		return err
	}
	for some := range slices.Chunk(descs, sourceBatch) {
		b := newBatch(nil)
		b.facts = func(tx *db.Tx) ([]pack.Note, error) { return noteTypes(tx, some) }
		if err := s.commit(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func noteTypes(tx *db.Tx, descs []oci.Descriptor) (notes []pack.Note, err error) {
	digests := make([]oci.Digest, len(descs))
	for i, d := range descs {
		digests[i] = d.Digest
	}
	rows, err := tx.Objects(digests)
	if err != nil {
		return nil, err
	}
	for _, d := range descs {
		row, it := rows[d.Digest], &item{desc: d}
		if !row.Loc.Held() || oci.HasSuccessors(d.MediaType) || !it.retypes(row.Media) {
			continue
		}
		if err := tx.SetMediaType(row.ID, d.MediaType); err != nil {
			return nil, err
		}
		notes = append(notes, pack.Note{Type: pack.NoteMedia, Seq: tx.Now.UnixNano(), Digest: d.Digest, Media: d.MediaType, Size: row.Size})
	}
	return notes, nil
}
