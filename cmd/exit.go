package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"dist.example/content"
)

// Exit codes. They are part of the interface: scripts rely on them.
const (
	exitOK           = 0
	exitUnclassified = 1
	exitDiffers      = 1 // asked for by `diff --exit-code` and `lock --check`, and no error
	exitUsage        = 2
	exitNotFound     = 3
	exitIntegrity    = 4
	exitTrust        = 5
	exitDenied       = 6
	exitUnavailable  = 7
	exitConflict     = 8
	exitNoRoom       = 9
	exitPartial      = 10
	exitBase         = 11
	exitOffline      = 12
	exitNoStore      = 13
	exitUnsupported  = 14
	exitInterrupted  = 130
	exitPipe         = 141 // nothing is said: whoever read stdout has gone, as in `| head`
)

// exitClass is one row of the table from errors to exit codes.
type exitClass struct {
	err  error
	exit int
	code string // the word for it in JSON errors
}

// exitClasses is the table, the most telling class first: an error may be of
// several, as a manifest that a registry sent and that does not parse is both
// corrupt and invalid.
var exitClasses = []exitClass{
	{content.ErrPartial, exitPartial, "partial"},
	{content.ErrBase, exitBase, "base-missing"},
	{content.ErrOffline, exitOffline, "offline"},
	{content.ErrNoStore, exitNoStore, "no-store"},
	{content.ErrNoSpace, exitNoRoom, "no-room"},
	{content.ErrUnsupported, exitUnsupported, "unsupported"},
	{content.ErrUntrusted, exitTrust, "trust"},
	{content.ErrCorrupt, exitIntegrity, "integrity"},
	{content.ErrDenied, exitDenied, "denied"},
	{content.ErrConflict, exitConflict, "conflict"},
	{content.ErrExists, exitConflict, "exists"},
	{content.ErrNotFound, exitNotFound, "not-found"},
	{content.ErrUnavailable, exitUnavailable, "unavailable"},
	{content.ErrInvalid, exitUsage, "usage"},
	{context.Canceled, exitInterrupted, "interrupted"},
	// What the system said, where no package gave it a class.
	{context.DeadlineExceeded, exitUnavailable, "unavailable"},
	{syscall.ENOSPC, exitNoRoom, "no-room"},
	{syscall.EDQUOT, exitNoRoom, "no-room"},
	{syscall.EFBIG, exitNoRoom, "no-room"},
	{syscall.EISDIR, exitUsage, "usage"},
	{fs.ErrNotExist, exitNotFound, "not-found"},
	{fs.ErrPermission, exitDenied, "denied"},
	{fs.ErrExist, exitConflict, "exists"},
}

// classify finds err's row; an error of no class exits 1.
func classify(err error) exitClass {
	for _, c := range exitClasses {
		if errors.Is(err, c.err) {
			return c
		}
	}
	return exitClass{err, exitUnclassified, "error"}
}

// readerGone says whether stdout is a pipe that nobody reads any more.
func readerGone(err error) bool {
	var at *fs.PathError
	return errors.Is(err, syscall.EPIPE) && errors.As(err, &at) && at.Path == os.Stdout.Name()
}

// exitStatus is an error that is only an exit code: the verb has said all there
// is to say, or was asked to say nothing.
type exitStatus int

func (e exitStatus) Error() string { return "" }
