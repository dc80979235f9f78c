package db

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"dist.example/oci"
)

// Loc says where an object's bytes are. The set is open: a value that is none of
// these stands for bytes in a place that this version does not know.
type Loc uint8

// The places of objects. Values are stored: never renumber.
const (
	LocAbsent  Loc = 0 // known only because something refers to it
	LocPack    Loc = 1
	LocLoose   Loc = 2
	LocDamaged Loc = 3 // found not to match; Object still says where
	LocDoomed  Loc = 4 // given up; absent to readers
)

// unheld is the SQL list of the places that readers take for absent, unsound
// that of the places without good bytes.
const (
	unheld  = "(0, 4)"
	unsound = "(0, 3, 4)"
)

// Held says whether the bytes are here and not known to be bad.
func (l Loc) Held() bool { return l != LocAbsent && l != LocDamaged && l != LocDoomed }

// String is the place's word.
func (l Loc) String() string {
	words := [...]string{"absent", "pack", "loose", "damaged", "doomed"}
	if int(l) < len(words) {
		return words[l]
	}
	return fmt.Sprintf("loc(%d)", uint8(l))
}

// Object is a row of objects. Pack and Off are 0 when it is not in a pack.
type Object struct {
	ID        int64
	Digest    oci.Digest
	Size      int64
	Loc       Loc
	Pack, Off int64
	Stored    int64 // payload bytes on disk
	Codec     int
	Kind      int
	Media     string    // media type, "" when nobody has said
	Committed time.Time // zero when never
	Used      time.Time // zero when never
}

const objectColumns = `o.id, o.digest, o.size, o.loc, o.pack, o.off, o.stored, o.codec, o.kind, m.name, o.committed, o.used`

const selectObject = `SELECT ` + objectColumns + ` FROM objects o LEFT JOIN media_types m ON m.id = o.media `

// objectScan receives the columns of objectColumns.
type objectScan struct {
	o               Object
	digest          sql.RawBytes
	pack, off       sql.NullInt64
	media           sql.NullString
	committed, used sql.NullInt64
}

// dest lists where the columns go, after those of before.
func (s *objectScan) dest(before ...any) []any {
	return append(before, &s.o.ID, &s.digest, &s.o.Size, &s.o.Loc, &s.pack, &s.off, &s.o.Stored,
		&s.o.Codec, &s.o.Kind, &s.media, &s.committed, &s.used)
}

func (s *objectScan) object() (Object, error) {
	o := s.o
	var err error
	o.Digest, err = digestFrom(s.digest)
	o.Pack, o.Off, o.Media = s.pack.Int64, s.off.Int64, s.media.String
	o.Committed, o.Used = timeFrom(s.committed), timeFrom(s.used)
	return o, err
}

// digestFrom reads a digest column. A malformed one means a damaged catalog.
func digestFrom(raw []byte) (oci.Digest, error) {
	d, err := oci.DigestFromRaw(raw)
	if err != nil {
		return "", errDamaged(err)
	}
	return d, nil
}

// nullDigest reads a digest column in which NULL is "".
func nullDigest(raw []byte) (oci.Digest, error) {
	if raw == nil {
		return "", nil
	}
	return digestFrom(raw)
}

// rawOrNull is the value of a digest column in which "" is NULL.
func rawOrNull(d oci.Digest) (any, error) {
	if d == "" {
		return nil, nil
	}
	return oci.RawDigest(d)
}

func timeFrom(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return fromMilli(ms.Int64)
}

// milliOrNull is the value of a time column in which zero is NULL.
func milliOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Object finds the row of a digest; false when there is none.
func (tx *Tx) Object(d oci.Digest) (Object, bool, error) {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return Object{}, false, err
	}
	return tx.oneObject(selectObject+`WHERE o.digest = ?`, raw)
}

// Object finds the row of a digest as it is now, outside of any transaction, for who
// looks at one object only.
func (d *DB) Object(ctx context.Context, digest oci.Digest) (o Object, found bool, err error) {
	err = d.briefly(ctx, func(tx *Tx) (err error) {
		o, found, err = tx.Object(digest)
		return err
	})
	return o, found, err
}

// ObjectByID finds a row by its id; false when there is none.
func (tx *Tx) ObjectByID(id int64) (Object, bool, error) {
	return tx.oneObject(selectObject+`WHERE o.id = ?`, id)
}

func (tx *Tx) oneObject(query string, args ...any) (o Object, found bool, err error) {
	err = tx.eachObject(query, args, func(got Object) (bool, error) {
		o, found = got, true
		return false, nil
	})
	return o, found, err
}

func (tx *Tx) eachObject(query string, args []any, fn func(Object) (more bool, err error)) error {
	var s objectScan
	dest := s.dest()
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		if err := scan(dest...); err != nil {
			return false, err
		}
		o, err := s.object()
		if err != nil {
			return false, err
		}
		return fn(o)
	})
}

// Objects finds the rows of many digests; what has none is not in the map.
func (tx *Tx) Objects(ds []oci.Digest) (map[oci.Digest]Object, error) {
	found := make(map[oci.Digest]Object, len(ds))
	raws, err := rawArgs(ds)
	if err != nil {
		return nil, err
	}
	err = inChunks(raws, func(args []any, list string) error {
		return tx.eachObject(selectObject+`WHERE o.digest IN (`+list+`)`, args, func(o Object) (bool, error) {
			found[o.Digest] = o
			return true, nil
		})
	})
	return found, err
}

// Objects finds the rows of many digests, as Tx.Objects does, for who asks nothing else.
func (d *DB) Objects(ctx context.Context, ds []oci.Digest) (found map[oci.Digest]Object, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		found, err = tx.Objects(ds)
		return err
	})
	return found, err
}

// IDs finds the ids of many digests; one that has no row is not in the map. It reads the
// index alone, quickest for digests that are sorted.
func (tx *Tx) IDs(ds []oci.Digest) (map[oci.Digest]int64, error) {
	found := make(map[oci.Digest]int64, len(ds))
	raws, err := rawArgs(ds)
	if err != nil {
		return nil, err
	}
	var (
		raw  sql.RawBytes
		id   int64
		dest = []any{&raw, &id}
	)
	err = inChunks(raws, func(args []any, list string) error {
		return tx.each(`SELECT digest, id FROM objects WHERE digest IN (`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			if err := scan(dest...); err != nil {
				return false, err
			}
			d, err := oci.DigestFromRaw(raw)
			found[d] = id
			return true, err
		})
	})
	return found, err
}

// ObjectsByID finds many rows by id; what has none is not in the map.
func (tx *Tx) ObjectsByID(ids []int64) (map[int64]Object, error) {
	found := make(map[int64]Object, len(ids))
	err := inChunks(idArgs(ids), func(args []any, list string) error {
		return tx.eachObject(selectObject+`WHERE o.id IN (`+list+`)`, args, func(o Object) (bool, error) {
			found[o.ID] = o
			return true, nil
		})
	})
	return found, err
}

// ByHexPrefix finds up to limit digests held, damaged ones too, whose hash begins
// with prefix, in order. A prefix that is not lower case hex finds none.
func (tx *Tx) ByHexPrefix(prefix string, limit int) ([]oci.Digest, error) {
	if strings.Trim(prefix, "0123456789abcdef") != "" || len(prefix) > 128 {
		return nil, nil
	}
	var found []oci.Digest
	for alg := byte(1); alg <= 2; alg++ {
		low, high := prefixRange(alg, prefix)
		err := tx.each(`SELECT digest FROM objects WHERE digest BETWEEN ? AND ? AND loc NOT IN `+unheld+` ORDER BY digest LIMIT ?`,
			[]any{low, high, limit - len(found)}, func(scan func(...any) error) (bool, error) {
				var raw sql.RawBytes
				if err := scan(&raw); err != nil {
					return false, err
				}
				d, err := digestFrom(raw)
				found = append(found, d)
				return true, err
			})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// prefixRange is the first and last raw digest whose hex begins with prefix.
func prefixRange(alg byte, prefix string) (low, high []byte) {
	low, _ = hex.DecodeString(prefix + strings.Repeat("0", len(prefix)%2))
	high, _ = hex.DecodeString(prefix + strings.Repeat("f", len(prefix)%2))
	low = append([]byte{alg}, low...)
	high = append([]byte{alg}, append(high, bytes.Repeat([]byte{0xff}, 64)...)...)
	return low, high
}

// MarkDamaged notes that o, as it was read before, does not match its digest.
// False when the row says something else by now: it moved or was written anew.
// The row keeps saying where the bytes are.
func (tx *Tx) MarkDamaged(o Object) (bool, error) {
	n, err := tx.changed(`UPDATE objects SET loc = 3 WHERE id = ? AND loc = ? AND pack IS ? AND off IS ? AND committed IS ?`,
		o.ID, o.Loc, packArg(o.Loc, o.Pack), packArg(o.Loc, o.Off), milliOrNull(o.Committed))
	return n == 1, err
}

// MarkSound takes back that o, as it was read before, is damaged: its bytes are right
// where its row says. False when the row says something else by now.
func (tx *Tx) MarkSound(o Object) (bool, error) {
	was := LocPack
	if o.Pack == 0 {
		was = LocLoose
	}
	n, err := tx.changed(`UPDATE objects SET loc = ? WHERE id = ? AND loc = 3 AND pack IS ? AND off IS ? AND committed IS ?`,
		was, o.ID, packArg(was, o.Pack), packArg(was, o.Off), milliOrNull(o.Committed))
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.noteChanges(o.ID)
}

// packArg is a column that is NULL for what is not in a pack.
func packArg(l Loc, v int64) any {
	if l != LocPack {
		return nil
	}
	return v
}

// SetMediaType changes an object's media type.
func (tx *Tx) SetMediaType(id int64, mediaType string) error {
	media, err := tx.mediaID(mediaType)
	if err != nil {
		return err
	}
	if _, err = tx.exec(`UPDATE objects SET media = ? WHERE id = ?`, media, id); err != nil {
		return err
	}
	return tx.DropDocuments([]int64{id}) // it says something else now
}

// Doom gives objects up: from now on they read as absent, and a garbage
// collection reclaims their bytes. In their packs the bytes count as dead, and
// they are in no repository any more: what comes again is another's. What is
// absent or doomed already stays as it is.
func (tx *Tx) Doom(ids []int64) error {
	return inChunks(idArgs(ids), func(args []any, list string) error {
		if err := tx.moveToDead(args, list); err != nil {
			return err
		}
		if _, err := tx.exec(`UPDATE objects SET loc = 4 WHERE loc NOT IN `+unheld+` AND id IN (`+list+`)`, args...); err != nil {
			return err
		}
		_, err := tx.exec(`DELETE FROM repository_objects WHERE object IN (`+list+`)`, args...)
		return err
	})
}

// moveToDead counts the bytes of held objects as dead in their packs.
func (tx *Tx) moveToDead(args []any, list string) error {
	dead := map[int64]int64{}
	err := tx.each(`SELECT pack, stored FROM objects WHERE pack IS NOT NULL AND loc NOT IN `+unheld+` AND id IN (`+list+`)`, args,
		func(scan func(...any) error) (bool, error) {
			var pack, stored int64
			err := scan(&pack, &stored)
			dead[pack] += stored
			return true, err
		})
	if err != nil {
		return err
	}
	for pack, n := range dead {
		if _, err := tx.exec(`UPDATE packs SET live = live - ?, dead = dead + ? WHERE id = ?`, n, n, pack); err != nil {
			return err
		}
	}
	return nil
}
