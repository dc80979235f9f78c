package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
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

// exitMeaning says what an exit code tells.
type exitMeaning struct {
	exit  int
	about string
}

// exitMeanings say what each exit code tells, in their order: for the manual, and for the
// topic exit-codes of help.
var exitMeanings = []exitMeaning{
	{exitOK, "Done."},
	{exitUnclassified, "Anything that has no code of its own; also a difference, with diff --exit-code and lock --check, which is no error."},
	{exitUsage, "The command was called wrongly, or something given to it is malformed."},
	{exitNotFound, "The content, name, repository or file is not there."},
	{exitIntegrity, "Bytes do not match their digest or size, or the store is damaged there."},
	{exitTrust, "Not signed, not by a key that counts, or rejected by the policy."},
	{exitDenied, "The registry (401, 403) or the file system refuses access, or the passphrase of a key is wrong."},
	{exitUnavailable, "Network trouble, or a limit that outlasted the retries; run it again, it goes on where it stopped."},
	{exitConflict, "In use, there already, or moved by somebody else meanwhile."},
	{exitNoRoom, "The disk is full or the quota reached, here or at a registry; nothing half-written is visible."},
	{exitPartial, "Some of many failed, under sync --keep-going; or volumes of a bundle are missing."},
	{exitBase, "What a delta is on top of is not here; a request was written."},
	{exitOffline, "The network was needed, and --offline or DIST_OFFLINE forbids it."},
	{exitNoStore, "There is no store, or not one that this version reads."},
	{exitUnsupported, "An unknown kind of section, or a feature that is refused."},
	{exitInterrupted, "Ctrl-C or SIGTERM; what a pull or an ingest has received by then is kept."},
	{exitPipe, "Whoever read stdout went away, as in \"dist export -o - | head\"; nothing is said."},
}

// exitWords are the words for an exit code in the field code of JSON errors, none where
// there is no error to tell.
func exitWords(exit int) (words []string) {
	if exit == exitUnclassified {
		words = []string{unclassified}
	}
	for _, c := range exitClasses {
		if c.exit == exit && !slices.Contains(words, c.code) {
			words = append(words, c.code)
		}
	}
	return words
}

// unclassified is the word for an error of no class.
const unclassified = "error"

// classify finds err's row; an error of no class exits 1.
func classify(err error) exitClass {
	for _, c := range exitClasses {
		if errors.Is(err, c.err) {
			return c
		}
	}
	return exitClass{err, exitUnclassified, unclassified}
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
