package db

import (
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Present says that an object's bytes are durable, and where.
type Present struct {
	Digest    oci.Digest
	Size      int64
	Media     string // media type, "" keeps the one that is known
	Loc       Loc    // LocPack or LocLoose
	Pack, Off int64  // for LocPack
	Stored    int64  // payload bytes on disk
	Codec     int
	Kind      int
}

// Put is what became of a Present.
type Put struct {
	ID int64
	// Existed says that there was a row: of an absent, damaged or doomed object, or
	// of one held.
	Existed bool
	// Adopted says that the object was held and its row stays as it is, save for a
	// media type it lacked: the bytes written for it now are not needed.
	Adopted bool
}

// PutObjects makes objects present: new rows for those nobody knew, the rows of
// those absent, damaged or doomed are revived, those held are adopted. It returns
// one Put for each, in order; of two with one digest the second is adopted. Only
// who holds the bytes may call it. The size that a parent told of an absent
// object is replaced: the digest decides.
//
// Counting new bytes in packs is the caller's (GrowPack); those that a damaged
// object had are counted dead here.
func (tx *Tx) PutObjects(objects []Present) ([]Put, error) {
	b, err := tx.newRowBatch(len(objects), func(i int) oci.Digest { return objects[i].Digest })
	if err != nil {
		return nil, err
	}
	b.when = tx.Now.UnixMilli()
	b.row = func(i int) [7]any {
		p := objects[i]
		return [7]any{p.Size, p.Loc, packArg(p.Loc, p.Pack), packArg(p.Loc, p.Off), p.Stored, p.Codec, p.Kind}
	}
	b.mediaType = func(i int) string { return objects[i].Media }
	puts, adopted := make([]Put, len(objects)), []int64(nil)
	err = b.write(func(i int, k known, media any) (known, error) {
		puts[i] = Put{ID: k.id, Existed: k.existed, Adopted: k.existed && k.loc.Held()}
		if puts[i].Adopted {
			adopted = append(adopted, k.id)
			return b.addMedia(k, media), nil
		}
		if k.existed {
			err = tx.revive(k, objects[i], media)
		}
		return known{id: k.id, loc: objects[i].Loc, media: k.media || media != nil}, err
	})
	if err == nil && len(adopted) > 0 {
		err = tx.renew(adopted)
	}
	return puts, err
}

// renewAfter is how old the time of an object is to be before it is written anew: what
// is put again and again costs no write each time.
const renewAfter = 10 * time.Second

// renew makes objects that are written again as young as new ones: for a time a
// collection keeps what was written just now, even if nothing holds it yet.
func (tx *Tx) renew(ids []int64) error {
	err := inChunks(idArgs(ids), func(args []any, list string) error {
		_, err := tx.exec(`UPDATE objects SET used = ?1 WHERE ifnull(used, 0) < ?2 AND id IN (`+list+`)`,
			append([]any{tx.Now.UnixMilli(), tx.Now.Add(-renewAfter).UnixMilli()}, args...)...)
		return err
	})
	if err != nil {
		return err
	}
	return tx.noteChanges(ids...)
}

// EnsureObjects finds or makes the rows of descriptors, absent ones where nobody
// knew them, and returns their ids in order. What a known row says is left as it
// is, save for a media type that an absent one lacked: the type of what is held
// comes with its bytes.
func (tx *Tx) EnsureObjects(descs []oci.Descriptor) ([]int64, error) {
	b, err := tx.newRowBatch(len(descs), func(i int) oci.Digest { return descs[i].Digest })
	if err != nil {
		return nil, err
	}
	b.row = func(i int) [7]any {
		return [7]any{descs[i].Size, LocAbsent, nil, nil, 0, 0, 0}
	}
	b.mediaType = func(i int) string { return descs[i].MediaType }
	ids := make([]int64, len(descs))
	err = b.write(func(i int, k known, media any) (known, error) {
		ids[i] = k.id
		if k.loc != LocAbsent {
			return k, nil
		}
		return b.addMedia(k, media), nil
	})
	return ids, err
}

// revive gives a row that has no good bytes new ones. The bytes of a damaged
// object die with it; those of a doomed one are dead already.
func (tx *Tx) revive(k known, p Present, media any) error {
	if k.loc == LocDamaged {
		if err := tx.moveToDead([]any{k.id}, "?"); err != nil {
			return err
		}
	}
	// What an absent row says of the type is only what a parent said: taken over, it
	// would make a manifest of bytes that nobody has parsed.
	keep := "coalesce(?, media)"
	if k.loc == LocAbsent {
		keep = "?"
	}
	_, err := tx.exec(`UPDATE objects SET size = ?, loc = ?, pack = ?, off = ?, stored = ?, codec = ?, kind = ?,
		media = `+keep+`, committed = ?, used = ? WHERE id = ?`,
		p.Size, p.Loc, packArg(p.Loc, p.Pack), packArg(p.Loc, p.Off), p.Stored, p.Codec, p.Kind,
		media, tx.Now.UnixMilli(), tx.Now.UnixMilli(), k.id)
	if err == nil && media != nil {
		err = tx.DropDocuments([]int64{k.id}) // of the type that it had
	}
	if err != nil {
		return err
	}
	return tx.noteChanges(k.id)
}

// lastID is the highest id that a row of an AUTOINCREMENT table ever had. Writing
// a row with a higher one advances it.
func (tx *Tx) lastID(table string) (id int64, err error) {
	_, err = tx.get(`SELECT seq FROM sqlite_sequence WHERE name = ?`, []any{table}, &id)
	return id, err
}

// errNoRow is for changes that found nothing to change.
func errNoRow(what string, key any) error {
	return fmt.Errorf("%s %v: %w", what, key, content.ErrNotFound)
}
