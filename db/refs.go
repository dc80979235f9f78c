package db

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"dist.example/content"
	"dist.example/oci"
)

// Ref is a local name and what it stands for.
type Ref struct {
	Name    string
	Object  Object
	Seq     int64
	Updated time.Time
	Pinned  bool
	Used    time.Time // to the hour; zero where nothing has used it since it was made
}

// RefChange moves one name. A nil Expect asks for nothing, a pointer to "" that
// the name does not exist, any other that it points there. New "" removes the
// name.
type RefChange struct {
	Name   string
	Expect *oci.Digest
	New    oci.Digest
	Why    string
	Forget bool // what it pointed to is not kept for undoing this
}

// LogEntry is one change of a name, as it happened. Old is "" when the name was
// new, New when it was removed.
type LogEntry struct {
	Seq      int64
	Name     string
	Old, New oci.Digest
	At       time.Time
	Why      string
	Keeps    bool   // garbage collection keeps Old for a time
	Media    string // media type of New; only from SetRef
	Unpinned bool   // the name that went was pinned; only from SetRef
}

// Changed says whether there was anything to change.
func (e LogEntry) Changed() bool { return e.Old != e.New }

const selectRef = `SELECT r.name, r.seq, r.updated, r.pinned, r.used, ` + objectColumns + ` FROM refs r JOIN objects o ON o.id = r.object
	LEFT JOIN media_types m ON m.id = o.media `

// Ref finds a name; false when there is none.
func (tx *Tx) Ref(name string) (r Ref, found bool, err error) {
	err = tx.eachRef(selectRef+`WHERE r.name = ?`, []any{name}, func(got Ref) (bool, error) {
		r, found = got, true
		return false, nil
	})
	return r, found, err
}

// Ref finds a name as it is now, outside of any transaction, as DB.Object does for
// a digest.
func (d *DB) Ref(ctx context.Context, name string) (r Ref, found bool, err error) {
	err = d.briefly(ctx, func(tx *Tx) (err error) {
		r, found, err = tx.Ref(name)
		return err
	})
	return r, found, err
}

// Refs lists the names that begin with prefix, in byte order.
func (tx *Tx) Refs(prefix string) iter.Seq2[Ref, error] {
	where, args := beginning(prefix)
	return stream(func(yield func(Ref) bool) error {
		return tx.eachRef(selectRef+where, args, func(r Ref) (bool, error) { return yield(r), nil })
	})
}

// beginning is the end of a query for names that begin with prefix.
func beginning(prefix string) (where string, args []any) {
	if prefix == "" {
		return `ORDER BY r.name`, nil
	}
	if end := afterPrefix(prefix); end != "" {
		return `WHERE r.name >= ? AND r.name < ? ORDER BY r.name`, []any{prefix, end}
	}
	return `WHERE r.name >= ? ORDER BY r.name`, []any{prefix}
}

// Named is a name and what a descriptor says of what it stands for.
type Named struct {
	Name    string
	Digest  oci.Digest
	Size    int64
	Media   string // media type, "" when nobody has said
	Seq     int64
	Updated time.Time
	Pinned  bool
	Used    time.Time // as in Ref
}

const selectNamed = `SELECT r.name, r.seq, r.updated, r.pinned, r.used, o.digest, o.size, m.name FROM refs r JOIN objects o ON o.id = r.object
	LEFT JOIN media_types m ON m.id = o.media `

// Named is Refs at half its price, for the long lists that are asked for often.
func (tx *Tx) Named(prefix string) iter.Seq2[Named, error] {
	where, args := beginning(prefix)
	return stream(func(yield func(Named) bool) error {
		var (
			n             Named
			updated       int64
			used          sql.NullInt64
			digest, media sql.RawBytes
		)
		dest := []any{&n.Name, &n.Seq, &updated, &n.Pinned, &used, &digest, &n.Size, &media}
		return tx.each(selectNamed+where, args, func(scan func(...any) error) (more bool, err error) {
			if err = scan(dest...); err != nil {
				return false, err
			}
			n.Updated, n.Used = fromMilli(updated), timeFrom(used)
			if n.Media != string(media) { // most have the type of the one before
				n.Media = string(media)
			}
			if n.Digest, err = digestFrom(digest); err != nil {
				return false, err
			}
			return yield(n), nil
		})
	})
}

// afterPrefix is the least text after all that begin with prefix, "" for none.
func afterPrefix(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}

// RefsOf lists the names of objects, in byte order within each call's chunks.
func (tx *Tx) RefsOf(objects []int64) ([]Ref, error) {
	var found []Ref
	err := inChunks(idArgs(objects), func(args []any, list string) error {
		return tx.eachRef(selectRef+`WHERE r.object IN (`+list+`) ORDER BY r.name`, args, func(r Ref) (bool, error) {
			found = append(found, r)
			return true, nil
		})
	})
	return found, err
}

const selectTags = `SELECT m.name, group_concat(substr(r.name, ?3)) FROM refs r JOIN objects o ON o.id = r.object
	LEFT JOIN media_types m ON m.id = o.media WHERE r.name >= ?1 AND r.name < ?2 GROUP BY o.media`

// Tags lists the tags of repo by the media type of what they stand for ("" when nobody
// has said), in no order. A row for each type in place of one for each name is what
// makes it cheap; no tag has a comma.
func (tx *Tx) Tags(repo string) (map[string][]string, error) {
	byType, prefix := map[string][]string{}, repo+":"
	args := []any{prefix, afterPrefix(prefix), utf8.RuneCountInString(prefix) + 1}
	err := tx.each(selectTags, args, func(scan func(...any) error) (bool, error) {
		var media, tags sql.NullString
		err := scan(&media, &tags)
		byType[media.String] = strings.Split(tags.String, ",")
		return true, err
	})
	return byType, err
}

// selectHosts goes from the first name of one host to that of the next: '0' is what
// comes after '/'.
const selectHosts = `WITH RECURSIVE walk (name) AS (
		SELECT (SELECT min(name) FROM refs)
		UNION
		SELECT (SELECT min(r.name) FROM refs r WHERE r.name >= substr(w.name, 1, instr(w.name, '/') - 1) || '0') FROM walk w WHERE w.name IS NOT NULL)
	SELECT substr(w.name, 1, instr(w.name, '/') - 1) FROM walk w WHERE w.name IS NOT NULL`

// Hosts lists the hosts that names begin with, in order. It looks at one name of
// each.
func (tx *Tx) Hosts() (hosts []string, err error) {
	err = tx.each(selectHosts, nil, func(scan func(...any) error) (bool, error) {
		var host string
		err := scan(&host)
		hosts = append(hosts, host)
		return true, err
	})
	return hosts, err
}

const selectAnyRef = `SELECT 1 FROM refs WHERE name >= ? `

// AnyRef says whether a name begins with prefix.
func (tx *Tx) AnyRef(prefix string) (bool, error) {
	var one int
	if end := afterPrefix(prefix); end != "" {
		return tx.get(selectAnyRef+`AND name < ? LIMIT 1`, []any{prefix, end}, &one)
	}
	return tx.get(selectAnyRef+`LIMIT 1`, []any{prefix}, &one)
}

func (tx *Tx) eachRef(query string, args []any, fn func(Ref) (more bool, err error)) error {
	var (
		r       Ref
		updated int64
		used    sql.NullInt64
		s       objectScan
	)
	dest := s.dest(&r.Name, &r.Seq, &updated, &r.Pinned, &used)
	return tx.each(query, args, func(scan func(...any) error) (more bool, err error) {
		if err = scan(dest...); err != nil {
			return false, err
		}
		r.Updated, r.Used = fromMilli(updated), timeFrom(used)
		if r.Object, err = s.object(); err != nil {
			return false, err
		}
		return fn(r)
	})
}

// SetRef moves a name, logs it and returns what was logged. A name that stands
// for New already is left alone: the entry has its Seq and is not in the log.
// Whether New is whole is the caller's to check (Reach). Errors:
// content.ErrConflict when Expect does not hold; content.ErrNotFound when a name
// to be removed is not there, or New is not held.
func (tx *Tx) SetRef(ch RefChange) (LogEntry, error) {
	old, exists, err := tx.Ref(ch.Name)
	if err != nil {
		return LogEntry{}, err
	}
	if err := ch.check(old.Object.Digest); err != nil {
		return LogEntry{}, err
	}
	if ch.New == "" && !exists {
		return LogEntry{}, errNoRow("name", ch.Name)
	}
	e := LogEntry{Seq: old.Seq, Name: ch.Name, Old: old.Object.Digest, New: ch.New, At: tx.Now, Why: ch.Why, Keeps: !ch.Forget}
	e.Unpinned = old.Pinned && ch.New == ""
	var target Object
	if ch.New != "" {
		if target, err = tx.held(ch.New); err != nil {
			return LogEntry{}, fmt.Errorf("name %s: %w", ch.Name, err)
		}
		e.Media = target.Media
	}
	if !e.Changed() {
		return e, nil
	}
	if e.Seq, err = tx.nextSeq(); err != nil {
		return LogEntry{}, err
	}
	if e.At, err = tx.changeTime(); err != nil {
		return LogEntry{}, err
	}
	return e, tx.writeRef(e, target.ID)
}

// held finds an object that is held.
func (tx *Tx) held(d oci.Digest) (Object, error) {
	o, found, err := tx.Object(d)
	if err == nil && !(found && o.Loc.Held()) {
		err = errNoRow("object", d)
	}
	return o, err
}

// check compares what the change expects with what there is, "" for nothing.
func (ch *RefChange) check(now oci.Digest) error {
	if ch.Expect == nil || *ch.Expect == now {
		return nil
	}
	switch {
	case now == "":
		return fmt.Errorf("name %s: %w: it does not exist any more", ch.Name, content.ErrConflict)
	case *ch.Expect == "":
		return fmt.Errorf("name %s: %w: it exists and is %s", ch.Name, content.ErrConflict, now)
	}
	return fmt.Errorf("name %s: %w: it moved to %s meanwhile", ch.Name, content.ErrConflict, now)
}

func (tx *Tx) writeRef(e LogEntry, target int64) (err error) {
	if target == 0 {
		_, err = tx.exec(`DELETE FROM refs WHERE name = ?`, e.Name)
	} else {
		_, err = tx.exec(`INSERT INTO refs (name, object, seq, updated) VALUES (?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET object = excluded.object, seq = excluded.seq, updated = excluded.updated`,
			e.Name, target, e.Seq, e.At.UnixMilli())
	}
	if err != nil {
		return err
	}
	old, err := rawOrNull(e.Old)
	if err != nil {
		return err
	}
	now, err := rawOrNull(e.New)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO ref_log (seq, name, old, new, at, why, keeps, unpinned) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Seq, e.Name, old, now, e.At.UnixMilli(), e.Why, e.Keeps, e.Unpinned)
	if err != nil || target == 0 {
		return err
	}
	return tx.noteChanges(target)
}

// changeTime is the time of this transaction's changes of names: Now, or a millisecond
// more where the change before has that. So the log tells transactions apart.
func (tx *Tx) changeTime() (time.Time, error) {
	if !tx.moved.IsZero() {
		return tx.moved, nil
	}
	var last int64
	_, err := tx.get(`SELECT at FROM ref_log ORDER BY seq DESC LIMIT 1`, nil, &last)
	if err != nil {
		return time.Time{}, err
	}
	if tx.moved = tx.Now; last == tx.Now.UnixMilli() {
		tx.moved = tx.Now.Add(time.Millisecond)
	}
	return tx.moved, nil
}

// nextSeq advances the counter of ref changes.
func (tx *Tx) nextSeq() (seq int64, err error) { return tx.nextOf("ref_seq") }

const selectLog = `SELECT seq, name, old, new, at, why, keeps FROM ref_log `

// Log lists the changes of a name, or with "" of all names, newest first. Those of one
// transaction have one At, which differs from that of the changes before.
func (tx *Tx) Log(name string) iter.Seq2[LogEntry, error] { return tx.LogBelow(name, math.MaxInt64) }

// LogBelow is Log for the changes with lower numbers than seq.
func (tx *Tx) LogBelow(name string, seq int64) iter.Seq2[LogEntry, error] {
	query, args := selectLog+`WHERE seq < ? ORDER BY seq DESC`, []any{seq}
	if name != "" {
		query, args = selectLog+`WHERE name = ? AND seq < ? ORDER BY seq DESC`, []any{name, seq}
	}
	return stream(func(yield func(LogEntry) bool) error {
		return tx.each(query, args, func(scan func(...any) error) (bool, error) {
			e, err := scanLog(scan)
			return err == nil && yield(e), err
		})
	})
}

func scanLog(scan func(...any) error) (e LogEntry, err error) {
	var (
		old, now sql.RawBytes
		at       int64
	)
	if err = scan(&e.Seq, &e.Name, &old, &now, &at, &e.Why, &e.Keeps); err != nil {
		return e, err
	}
	e.At = fromMilli(at)
	if e.Old, err = nullDigest(old); err != nil {
		return e, err
	}
	e.New, err = nullDigest(now)
	return e, err
}

// stream makes a sequence of a function that yields and may fail. The error comes
// last.
func stream[T any](run func(yield func(T) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		stopped := false
		err := run(func(v T) bool {
			stopped = !yield(v, nil)
			return !stopped
		})
		if err != nil && !stopped {
			var zero T
			yield(zero, err)
		}
	}
}
