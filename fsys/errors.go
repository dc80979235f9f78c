package fsys

import (
	"errors"
	"io/fs"

	"dist.example/content"
)

// classified gives an error a class beside its own, without a word more: the
// system's text says it, and has the path.
type classified struct {
	error
	class error
}

func (c *classified) Unwrap() []error { return []error{c.error, c.class} }

// Classify gives an error of a file operation its class: a full disk, a quota or
// a limit on file size is content.ErrNoSpace, refused access or a read-only file
// system content.ErrDenied, a missing file content.ErrNotFound. Text, path and
// system error stay as they were; nil and all others come back unchanged.
func Classify(err error) error {
	class := classOf(err)
	if class == nil || errors.Is(err, class) {
		return err
	}
	return &classified{err, class}
}

func classOf(err error) error {
	switch {
	case err == nil:
		return nil
	case isAny(err, noSpace):
		return content.ErrNoSpace
	case isAny(err, denied), errors.Is(err, fs.ErrPermission):
		return content.ErrDenied
	case isNotExist(err):
		return content.ErrNotFound
	}
	return nil
}

// InUse says whether err is a system's refusal to remove, rename or open a file
// because somebody has it open. Only Windows refuses that; the file is left for
// a later try.
func InUse(err error) bool { return err != nil && isAny(err, inUse) }

// Unreadable says whether err, of opening or reading a file, means that the system
// cannot give back what was written there: a sector that the disk cannot read, or
// a file system damaged at this place. It says nothing about errors of writing,
// which have the same names.
func Unreadable(err error) bool { return err != nil && isAny(err, unreadable) }

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func isAny(err error, of []error) bool {
	for _, target := range of {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
