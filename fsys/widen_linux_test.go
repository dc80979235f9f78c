package fsys_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// checkWide checks that a pipe has the size that everybody may give it, which an
// administrator may have set lower, and a user used up.
func checkWide(t *testing.T, end *os.File) {
	t.Helper()
	raw, err := end.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) {
		n, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0)
		if err != nil || n < 1<<20 {
			if _, refused := unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20); refused == nil {
				t.Errorf("the pipe has %d bytes, %v", n, err)
			}
		}
	})
}
