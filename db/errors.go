package db

import (
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
	sqlitelib.SQLITE_BUSY:     content.ErrConflict,
	sqlitelib.SQLITE_LOCKED:   content.ErrConflict,
	sqlitelib.SQLITE_NOTADB:   content.ErrNoStore,
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
	var se *sqlite.Error
	if errors.As(err, &se) {
		return se.Code()
	}
	return 0
}

// classify gives an error of the driver its class, by code.
func classify(err error) error {
	c := code(err)
	if c == 0 {
		return err
	}
	class, ok := extended[c]
	if !ok {
		class, ok = classes[c&0xff]
	}
	switch {
	case !ok || errors.Is(err, class):
		return err
	case class == content.ErrCorrupt:
		return fmt.Errorf("the catalog is damaged: %w: %w", class, err)
	default:
		return fmt.Errorf("catalog: %w: %w", class, err)
	}
}

// isBusy says whether another connection was in the way.
func isBusy(err error) bool { return code(err)&0xff == sqlitelib.SQLITE_BUSY }
