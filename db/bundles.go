package db

import (
	"database/sql"
	"iter"
	"strconv"
	"time"

	"dist.example/oci"
)

// Direction says which way a bundle went.
type Direction uint8

// The directions. Values are stored: never renumber.
const (
	Sent     Direction = 1
	Received Direction = 2
)

// String is the direction's word.
func (d Direction) String() string {
	switch d {
	case Sent:
		return "sent"
	case Received:
		return "received"
	}
	return "other"
}

// Bundle is one that was sent or has come. Its JSON is that of notes in packs.
type Bundle struct {
	ID        int64      `json:"-"`
	Direction Direction  `json:"direction"`
	Name      string     `json:"name"`             // "" for none
	Serial    int64      `json:"serial,omitempty"` // 0 for none
	Digest    oci.Digest `json:"digest"`           // of its index.json
	Site      string     `json:"site,omitempty"`   // as its sender calls it, "" for none
	Base      oci.Digest `json:"base,omitempty"`   // index.json of the one it is on top of, "" for none
	Created   time.Time  `json:"created,omitzero"` // as it says itself
	At        time.Time  `json:"at"`
	Images    int        `json:"images"`
	Blobs     int        `json:"blobs"`
	Size      int64      `json:"size"`
	// Inventory is all that its images reach, and Objects counts that; 0 where it is not
	// remembered.
	Inventory int64 `json:"-"`
	Objects   int64 `json:"-"`
}

const (
	selectBundles = `SELECT b.id, b.direction, b.name, b.serial, b.digest, b.site, b.base, b.created, b.at, b.images, b.blobs, b.size, i.id, i.objects
		FROM bundles b LEFT JOIN inventories i ON i.id = b.inventory AND i.digest IS NOT NULL `
	selectLastBundle = selectBundles + `WHERE b.direction = ? AND b.name = ? ORDER BY b.serial DESC, b.id DESC LIMIT 1`
	deleteSameBundle = `DELETE FROM bundles WHERE digest = ? AND direction = ? AND name = ? AND serial = ? AND site = ?`
	forgetClosures   = `UPDATE bundles SET inventory = NULL WHERE inventory IS NOT NULL AND direction = 1 AND name = ?1 AND site = ?2 AND id NOT IN
		(SELECT id FROM bundles WHERE direction = 1 AND name = ?1 AND site = ?2 AND inventory IS NOT NULL ORDER BY id DESC LIMIT ?3)`
)

// PutBundle notes a bundle as the newest, in place of an earlier note of the very same.
func (tx *Tx) PutBundle(b Bundle) error {
	raw, err := oci.RawDigest(b.Digest)
	if err != nil {
		return err
	}
	base, err := rawOrNull(b.Base)
	if err != nil {
		return err
	}
	if _, err := tx.exec(deleteSameBundle, raw, b.Direction, b.Name, b.Serial, b.Site); err != nil {
		return err
	}
	inventory := any(nil)
	if b.Inventory != 0 {
		inventory = b.Inventory
	}
	_, err = tx.exec(`INSERT INTO bundles (direction, name, serial, digest, site, base, created, at, images, blobs, size, inventory)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?)`,
		b.Direction, b.Name, b.Serial, raw, b.Site, base, milliOrNull(b.Created), b.At.UnixMilli(), b.Images, b.Blobs, b.Size, inventory)
	return err
}

// ForgetClosures lets go of what the bundles of a name for a site reach, but for the
// newest keep of them.
func (tx *Tx) ForgetClosures(name, site string, keep int) error {
	_, err := tx.exec(forgetClosures, name, site, keep)
	return err
}

// LastBundle finds the bundle of a name with the highest serial; false when there is
// none.
func (tx *Tx) LastBundle(d Direction, name string) (b Bundle, found bool, err error) {
	for b, err = range tx.bundles(selectLastBundle, d, name) {
		return b, err == nil, err
	}
	return b, false, nil
}

// serialPrefix is what the key of the last serial of a name that was taken begins with.
const serialPrefix = "serial/"

// NextSerial is the serial of the next bundle of a name that is sent: seconds since 1970,
// or one more than the last one that was taken or sent.
func (tx *Tx) NextSerial(name string) (int64, error) {
	last, _, err := tx.LastBundle(Sent, name)
	if err != nil {
		return 0, err
	}
	var taken int64
	_, err = tx.get(`SELECT CAST(v AS INTEGER) FROM meta WHERE k = ?`, []any{serialPrefix + name}, &taken)
	return max(tx.Now.Unix(), last.Serial+1, taken+1), err
}

// TakeSerial is NextSerial, and gives that to nobody else.
func (tx *Tx) TakeSerial(name string) (serial int64, err error) {
	if serial, err = tx.NextSerial(name); err != nil {
		return 0, err
	}
	return serial, tx.SetMeta(serialPrefix+name, strconv.FormatInt(serial, 10))
}

// Bundles lists the bundles of a direction, the newest first.
func (tx *Tx) Bundles(d Direction) iter.Seq2[Bundle, error] {
	return tx.bundles(selectBundles+`WHERE b.direction = ? ORDER BY b.id DESC`, d)
}

func (tx *Tx) bundles(query string, args ...any) iter.Seq2[Bundle, error] {
	return stream(func(yield func(Bundle) bool) error {
		return tx.each(query, args, func(scan func(...any) error) (bool, error) {
			b, err := scanBundle(scan)
			return err == nil && yield(b), err
		})
	})
}

func scanBundle(scan func(...any) error) (b Bundle, err error) {
	var (
		digest, base                []byte
		at                          int64
		created, inventory, objects sql.NullInt64
	)
	err = scan(&b.ID, &b.Direction, &b.Name, &b.Serial, &digest, &b.Site, &base, &created, &at, &b.Images, &b.Blobs, &b.Size, &inventory, &objects)
	if err != nil {
		return b, err
	}
	b.Created, b.At, b.Inventory, b.Objects = timeFrom(created), fromMilli(at), inventory.Int64, objects.Int64
	if b.Digest, err = digestFrom(digest); err != nil {
		return b, err
	}
	b.Base, err = nullDigest(base)
	return b, err
}
