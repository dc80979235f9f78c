//go:build unix

package blobstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// asNobody lets cmd run as a user without permissions when this one is root, who
// has them all. The test binary is copied to where that user can run it.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	data, err := os.ReadFile(cmd.Path)
	must(t, err)
	dir, err := os.MkdirTemp("", "blobstore-nobody-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	exe := filepath.Join(dir, "child")
	must(t, os.WriteFile(exe, data, 0o755))
	cmd.Path = exe
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
