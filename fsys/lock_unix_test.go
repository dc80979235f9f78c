//go:build unix

package fsys_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Closing releases the lock though a program that is just being started still has the
// descriptor.
func TestClosingReleasesWhatAChildHasInherited(t *testing.T) {
	for _, exclusive := range []bool{true, false} {
		f := lockFiles(t, 2)
		mustLock(t, f[0], exclusive)
		child, err := unix.Dup(int(f[0].OS().Fd()))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(child)
		if err := f[0].Close(); err != nil {
			t.Fatal(err)
		}
		mustLock(t, f[1], true)
	}
}
