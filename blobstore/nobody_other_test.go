//go:build !unix

package blobstore_test

import (
	"os/exec"
	"testing"
)

func asNobody(t *testing.T, _ *exec.Cmd) {
	t.Helper()
	t.Skip("needs the permissions of Unix")
}
