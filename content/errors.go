package content

import (
	"errors"
	"fmt"

	"dist.example/oci"
)

// The classes of errors. Every error that leaves a package of this module wraps
// one of them where one applies; errors.Is tells which, and the command line
// maps each to an exit code in one table.
var (
	// ErrInvalid: the caller gave something malformed.
	ErrInvalid = oci.ErrInvalid
	// ErrNotFound: the content, name, repository or file is not there.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt: bytes do not match their digest or size, or a store's own
	// records contradict each other.
	ErrCorrupt = errors.New("integrity check failed")
	// ErrDenied: the registry or the file system refuses access.
	ErrDenied = errors.New("access denied")
	// ErrUnavailable: network trouble or a limit that outlasted the retries;
	// the state is kept and a rerun resumes.
	ErrUnavailable = errors.New("unavailable")
	// ErrConflict: the content is in use, or a name moved meanwhile.
	ErrConflict = errors.New("conflict")
	// ErrBusy: other processes had the store for too long; a rerun may succeed. It is
	// an ErrConflict that says nothing of what was asked for.
	ErrBusy = fmt.Errorf("%w", ErrConflict)
	// ErrExists: the content is here already, which makes an ingest needless.
	ErrExists = errors.New("already exists")
	// ErrNoSpace: the disk is full or a limit is reached.
	ErrNoSpace = errors.New("no space left")
	// ErrNoStore: no store at that place, or not one that this version reads.
	ErrNoStore = errors.New("no store")
	// ErrOffline: the network was needed and is not to be used.
	ErrOffline = errors.New("offline")
	// ErrUnsupported: a type or feature that this program refuses.
	ErrUnsupported = errors.New("unsupported")
	// ErrUntrusted: the content is sound, and nobody whose word counts vouches for it
	// under that name: it is not signed, or not as the policy wants it.
	ErrUntrusted = errors.New("not trusted")
	// ErrBase: what a delta is on top of is not here, or not all of it.
	ErrBase = errors.New("base missing")
	// ErrPartial: some of many failed, and the rest was done, as was asked for.
	ErrPartial = errors.New("done in part")
)

// RemoteError is what a remote answered, kept for messages and JSON errors. It
// wraps the class of the failure.
type RemoteError struct {
	Registry  string // host or host:port
	Status    int    // HTTP status, 0 when there was no answer
	Retryable bool   // a rerun may succeed
	Err       error
}

func (e *RemoteError) Error() string { return e.Err.Error() }
func (e *RemoteError) Unwrap() error { return e.Err }

// hinted carries advice beside an error.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// WithHint adds to err one line that says what to do next. The command line
// prints the outermost hint below the error.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// Hint returns the outermost advice that WithHint attached to err, or "".
func Hint(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}
