package db

import (
	"database/sql"
	"time"

	"dist.example/oci"
)

// Sighting is what a registry said that a name of its own stands for.
type Sighting struct {
	Name   string // host/repository:tag
	Digest oci.Digest
	Media  string
	Size   int64
	At     time.Time
}

const (
	selectSighting = `SELECT name, digest, media, size, at FROM sightings `
	// ';' follows ':'.
	selectSightingsOf = selectSighting + `WHERE digest = ?1 AND name > ?2 || ':' AND name < ?2 || ';' ORDER BY name`
	putSighting       = `INSERT INTO sightings (name, digest, media, size, at) VALUES (?,?,?,?,?)
		ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, media = excluded.media, size = excluded.size, at = excluded.at`
)

// PutSighting takes the place of an earlier sighting of the same name.
func (tx *Tx) PutSighting(s Sighting) error {
	raw, err := oci.RawDigest(s.Digest)
	if err != nil {
		return err
	}
	_, err = tx.exec(putSighting, s.Name, raw, s.Media, s.Size, s.At.UnixMilli())
	return err
}

// DeleteSighting forgets a name. One that was never seen is no error.
func (tx *Tx) DeleteSighting(name string) error {
	_, err := tx.exec(`DELETE FROM sightings WHERE name = ?`, name)
	return err
}

// Sighting finds the sighting of a name; false when there is none.
func (tx *Tx) Sighting(name string) (s Sighting, found bool, err error) {
	err = tx.eachSighting(selectSighting+`WHERE name = ?`, []any{name}, func(got Sighting) {
		s, found = got, true
	})
	return s, found, err
}

// SightingsOf lists the names of a repository that were seen to stand for d, by name.
func (tx *Tx) SightingsOf(repository string, d oci.Digest) (all []Sighting, err error) {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return nil, err
	}
	err = tx.eachSighting(selectSightingsOf, []any{raw, repository}, func(s Sighting) { all = append(all, s) })
	return all, err
}

func (tx *Tx) eachSighting(query string, args []any, fn func(Sighting)) error {
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var (
			s   Sighting
			raw sql.RawBytes
			at  int64
		)
		err := scan(&s.Name, &raw, &s.Media, &s.Size, &at)
		if err == nil {
			s.Digest, err = oci.DigestFromRaw(raw)
		}
		if err != nil {
			return false, err
		}
		s.At = fromMilli(at)
		fn(s)
		return true, nil
	})
}
