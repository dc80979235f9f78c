//go:build !unix

package testscripts

import "os/exec"

// becomeNobody does nothing: there is no root here.
func becomeNobody(*exec.Cmd) {}
