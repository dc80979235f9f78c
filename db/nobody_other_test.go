//go:build !unix

package db

import (
	"errors"
	"os/exec"
	"testing"
)

func fullChild(string, []string) error { return errors.ErrUnsupported }

func asNobody(t *testing.T, _ *exec.Cmd) {
	t.Helper()
	t.Skip("needs the permissions of Unix")
}
