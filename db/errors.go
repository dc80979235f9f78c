package db

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"dist.example/content"
)

// CommitError reports a COMMIT that returned an error. The transaction may be
// durable or not; bytes that it was to make known must not be written over.
type CommitError struct{ Err error }

func (e *CommitError) Error() string { return "commit: " + e.Err.Error() }

// Unwrap returns the cause, which has its class where one applies.
func (e *CommitError) Unwrap() error { return e.Err }

// classes maps SQLite's primary result codes.
var classes = map[int]error{
	sqlitelib.SQLITE_FULL:     content.ErrNoSpace,
	sqlitelib.SQLITE_READONLY: content.ErrDenied,
	sqlitelib.SQLITE_CANTOPEN: content.ErrDenied,
	sqlitelib.SQLITE_PERM:     content.ErrDenied,
	sqlitelib.SQLITE_AUTH:     content.ErrDenied,
	sqlitelib.SQLITE_BUSY:     content.ErrBusy,
	sqlitelib.SQLITE_LOCKED:   content.ErrBusy,
	sqlitelib.SQLITE_NOTADB:   content.ErrCorrupt,
	sqlitelib.SQLITE_CORRUPT:  content.ErrCorrupt,
}

// extended maps codes whose primary code says less. A refused write is how a
// quota or a limit on file size shows: SQLite tells only ENOSPC apart.
var extended = map[int]error{
	sqlitelib.SQLITE_IOERR_WRITE:   content.ErrNoSpace,
	sqlitelib.SQLITE_IOERR_SHMSIZE: content.ErrNoSpace,
}

// code is err's extended SQLite result code, 0 when it has none.
func code(err error) int {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		return se.Code()
	}
	return 0
}

// classOf is the class of a code of SQLite's, if it has one.
func classOf(code int) (class error, ok bool) {
	if class, ok = extended[code]; !ok {
		class, ok = classes[code&0xff]
	}
	return class, ok
}

// classify gives an error of the driver its class, by code.
func classify(err error) error {
	c := code(err)
	if c == 0 {
		return err
	}
	class, ok := classOf(c)
	switch {
	case !ok || errors.Is(err, class):
		return err
	case class == content.ErrCorrupt:
		return errDamaged(err)
	default:
		return fmt.Errorf("catalog: %w: %w", class, err)
	}
}

// errDamaged is an error that means that the catalog is not what was written.
func errDamaged(cause error) error {
	return content.WithHint(fmt.Errorf("the catalog is damaged: %w: %w", content.ErrCorrupt, cause), HintRebuild)
}

// classifyRead is classify for preparing a statement and for running a query. All queries are known
// to fit the tables and the types of their columns: what does not is damage.
func classifyRead(err error) error {
	err = classify(err)
	switch c := code(err); {
	case err == nil || errors.Is(err, sql.ErrNoRows) || errors.Is(err, content.ErrCorrupt):
		return err
	case c&0xff == sqlitelib.SQLITE_ERROR:
		return errDamaged(err)
	}
	return err
}

// scanned is an error of reading a row: a value of another type than its column's.
func scanned(err error) error {
	if err == nil || code(err) != 0 || errors.Is(err, sql.ErrNoRows) {
		return classifyRead(err)
	}
	return errDamaged(err)
}

// isBusy says whether another connection was in the way.
func isBusy(err error) bool { return code(err)&0xff == sqlitelib.SQLITE_BUSY }
