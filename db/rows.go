package db

import (
	"bytes"
	"database/sql"
	"slices"

	"dist.example/oci"
)

// rowBatch writes rows of objects for a list of digests, some of which may have
// rows already. It goes through them in the order of digests, so that the index
// of digests is touched page by page, and a chunk at a time: first it inserts,
// and only when that left some out it looks up what was there.
type rowBatch struct {
	tx    *Tx
	raws  []any         // raw digests, as the caller has them
	order []int         // of their indices, sorted by digest
	last  int64         // highest id so far
	media map[int64]any // types for rows that had none

	when      any                // when the new rows' bytes became durable; nil for absent ones
	row       func(i int) [7]any // a new row's size to kind
	mediaType func(i int) string
}

// known is what there is to know of a row.
type known struct {
	id      int64
	existed bool
	loc     Loc
	media   bool
}

// insertObjects takes the time for what is held, or NULL.
var insertObjects = rowInsert{
	into: `objects (committed, used, id, digest, media, size, loc, pack, off, stored, codec, kind)`,
	row:  `(?1,?1,?,?,?,?,?,?,?,?,?,?)`, after: ` ON CONFLICT (digest) DO NOTHING`, shared: 1, width: 10,
}

func (tx *Tx) newRowBatch(n int, digest func(int) oci.Digest) (b *rowBatch, err error) {
	b = &rowBatch{tx: tx, media: map[int64]any{}, raws: make([]any, n), order: make([]int, n)}
	for i := range n {
		if b.raws[i], err = oci.RawDigest(digest(i)); err != nil {
			return nil, err
		}
		b.order[i] = i
	}
	slices.SortStableFunc(b.order, func(x, y int) int { return bytes.Compare(b.raw(x), b.raw(y)) })
	b.last, err = tx.lastID("objects")
	return b, err
}

func (b *rowBatch) raw(i int) []byte { return b.raws[i].([]byte) }

// write inserts what is new and calls settle for every digest with what is known
// of its row; of a new one, its id. settle returns what is known afterwards, for
// the next with the same digest.
func (b *rowBatch) write(settle func(i int, k known, media any) (known, error)) error {
	var (
		prev  = -1
		state known
	)
	for chunk := range slices.Chunk(b.order, chunkSizes[0]) {
		ids, media, err := b.insert(chunk, prev)
		if err != nil {
			return err
		}
		for n, i := range chunk {
			k := ids[n]
			if prev >= 0 && bytes.Equal(b.raw(prev), b.raw(i)) {
				k, k.existed = state, true
			}
			if state, err = settle(i, k, media[n]); err != nil {
				return err
			}
			prev = i
		}
	}
	return b.writeMedia()
}

// insert tries to insert the rows of a chunk and returns what is known of each,
// and the ids of their media types. What has the digest of the one before, or of
// prev, is left out.
func (b *rowBatch) insert(chunk []int, prev int) (rows []known, media []any, err error) {
	rows, media = make([]known, len(chunk)), make([]any, len(chunk))
	args := make([]any, 0, len(chunk)*insertObjects.width)
	for n, i := range chunk {
		if media[n], err = b.tx.mediaID(b.mediaType(i)); err != nil {
			return nil, nil, err
		}
		if prev < 0 || !bytes.Equal(b.raw(prev), b.raw(i)) {
			b.last++
			rows[n] = known{id: b.last, media: media[n] != nil}
			row := b.row(i)
			args = append(append(args, b.last, b.raws[i], media[n]), row[:]...)
		}
		prev = i
	}
	inserted, err := b.tx.insertRows(insertObjects, []any{b.when}, args)
	if err == nil && inserted < int64(len(args)/insertObjects.width) {
		err = b.lookUp(chunk, rows)
	}
	return rows, media, err
}

// lookUp replaces what is in rows for the digests of chunk that have other ids.
func (b *rowBatch) lookUp(chunk []int, rows []known) error {
	at := make(map[string]int, len(chunk))
	raws := make([]any, len(chunk))
	for n, i := range chunk {
		raws[n] = b.raws[i]
		if rows[n].id != 0 {
			at[string(b.raw(i))] = n
		}
	}
	return inChunks(raws, func(args []any, list string) error {
		var (
			raw sql.RawBytes
			k   = known{existed: true}
		)
		return b.tx.each(`SELECT digest, id, loc, media IS NOT NULL FROM objects WHERE digest IN (`+list+`)`, args,
			func(scan func(...any) error) (bool, error) {
				err := scan(&raw, &k.id, &k.loc, &k.media)
				if n, ok := at[string(raw)]; ok && rows[n].id != k.id {
					rows[n] = k
				}
				return true, err
			})
	})
}

// addMedia gives a row the media type it lacks, once all is inserted.
func (b *rowBatch) addMedia(k known, media any) known {
	if !k.media && media != nil {
		k.media = true
		b.media[k.id] = media
	}
	return k
}

func (b *rowBatch) writeMedia() error {
	for id, media := range b.media {
		if _, err := b.tx.exec(`UPDATE objects SET media = ? WHERE id = ?`, media, id); err != nil {
			return err
		}
		if err := b.tx.DropDocuments([]int64{id}); err != nil {
			return err
		}
	}
	return nil
}
