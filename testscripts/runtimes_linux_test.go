package testscripts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRuntimes runs the scripts of e2e/runtimes: OCI runtimes start what unpack makes.
// $PAYLOAD is dist itself, which needs nothing beside it in a container, and $OPEN a
// folder that every user may come to, with a copy of it. The conditions runc and crun say
// that the program is here and can start a bundle of its own making, which not every
// machine lets it.
func TestRuntimes(t *testing.T) {
	meetPeers(t, nil)
	payload, err := filepath.Abs(os.Getenv("DIST_BINARY"))
	if err != nil || os.Getenv("DIST_BINARY") == "" {
		t.Fatal("DIST_BINARY names no binary; use make e2e")
	}
	able := map[string]bool{"root": os.Geteuid() == 0}
	for _, runtime := range []string{"runc", "crun"} {
		err := startsItsOwn(t, runtime, payload)
		if err != nil && runtime == "crun" {
			err = errors.Join(err, wrapCrun(t))
			if again := startsItsOwn(t, runtime, payload); again == nil {
				err = nil
			}
		}
		if err != nil {
			t.Logf("left out: %s starts nothing here: %v", runtime, err)
		} else {
			able[runtime] = true
		}
	}
	_, err = exec.LookPath("newuidmap")
	able["newuidmap"] = err == nil
	p := peerParams("e2e/runtimes", func(env *testscript.Env) error {
		env.Setenv("PAYLOAD", payload)
		dir, err := openFolder(payload)
		env.Defer(func() { _ = os.RemoveAll(dir) })
		env.Setenv("OPEN", dir)
		return err
	})
	p.Condition = func(cond string) (bool, error) {
		if !slices.Contains([]string{"root", "runc", "crun", "newuidmap"}, cond) {
			return false, fmt.Errorf("no condition %q", cond)
		}
		return able[cond], nil
	}
	testscript.Run(t, p)
}

// openFolder is a folder that every user may come to, with a copy of the binary.
func openFolder(binary string) (string, error) {
	dir, err := os.MkdirTemp("", "dist")
	if err != nil {
		return "", err
	}
	return dir, errors.Join(os.Chmod(dir, 0o755), copyProgram(filepath.Join(dir, "dist"), binary))
}

func copyProgram(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// wrapCrun puts a crun before the one on PATH that has no control groups and sees those of
// version 2 alone: with both versions it starts nothing.
func wrapCrun(t *testing.T) error {
	t.Helper()
	real, err := exec.LookPath("crun")
	if err != nil {
		return err
	}
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nexec unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && exec %s --cgroup-manager=disabled \"$@\"' crun \"$@\"\n", real)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return os.WriteFile(filepath.Join(dir, "crun"), []byte(script), 0o755)
}

// startsItsOwn has a runtime start a bundle with the configuration that it proposes.
func startsItsOwn(t *testing.T, runtime, payload string) error {
	t.Helper()
	if _, err := exec.LookPath(runtime); err != nil {
		return err
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		return err
	}
	if err := copyProgram(filepath.Join(dir, "rootfs", "sh"), payload); err != nil {
		return err
	}
	script := `$RUNTIME spec && sed -i -e 's/"terminal": true/"terminal": false/' -e 's|"sh"|"/sh", "version"|' config.json && $RUNTIME run dist-probe-$$`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "RUNTIME="+runtime)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %.300s", err, out)
	}
	return nil
}
