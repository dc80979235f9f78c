//go:build unix

package testscripts

import (
	"os/exec"
	"syscall"
)

// becomeNobody makes cmd run as a user that owns nothing.
func becomeNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
