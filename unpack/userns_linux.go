package unpack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"dist.example/content"
	"dist.example/fsys"
)

// A program that is run again in a user namespace finds in its environment how far that
// is: mapping means that it is root of it once nsPipe has come to its end, and has root's
// capabilities only after one more execve.
const (
	nsVariable = "DIST_USER_NAMESPACE"
	nsMapping  = "mapping"
	nsMapped   = "mapped"
	nsPipe     = 3
)

// UserNamespace is how the numbers in the user namespace that this program runs in are
// those outside; inside is false where Remap has not made one. A program that Remap has
// begun calls it before it does anything else: only then is it root of its namespace. It
// takes the variable out of the environment.
func UserNamespace(ctx context.Context) (uids, gids []IDMap, inside bool, err error) {
	state := os.Getenv(nsVariable)
	if err := os.Unsetenv(nsVariable); err != nil {
		return nil, nil, false, err
	}
	switch state {
	case nsMapping:
		return nil, nil, false, becomeRoot(ctx)
	case nsMapped:
		uids, uerr := readIDMap("/proc/self/uid_map")
		gids, gerr := readIDMap("/proc/self/gid_map")
		if err := errors.Join(uerr, gerr); err != nil {
			return nil, nil, false, err
		}
		if len(uids) == 1 && uids[0].Size == math.MaxUint32 {
			return nil, nil, false, nil // that of the machine: the variable was there before
		}
		return uids, gids, true, nil
	}
	return nil, nil, false, nil
}

// becomeRoot waits for the maps and begins this program again. It does not return unless
// that fails.
func becomeRoot(ctx context.Context) error {
	pipe := os.NewFile(nsPipe, "pipe")
	if fi, err := pipe.Stat(); err != nil || fi.Mode()&fs.ModeNamedPipe == 0 {
		return fmt.Errorf("%w: %s is set, and nobody has begun that", content.ErrInvalid, nsVariable)
	}
	if _, err := io.Copy(io.Discard, pipe); err != nil {
		return err
	}
	pipe.Close()
	if os.Geteuid() != 0 {
		return errors.New("the user namespace has no root") // the other end went away
	}
	if err := os.Setenv(nsVariable, nsMapped); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err // a signal would be forgotten
	}
	return fmt.Errorf("exec: %w", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

func readIDMap(path string) ([]IDMap, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var maps []IDMap
	s := bufio.NewScanner(f)
	for s.Scan() {
		var m IDMap
		if _, err := fmt.Sscan(s.Text(), &m.Inside, &m.Outside, &m.Size); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		maps = append(maps, m)
	}
	return maps, s.Err()
}

// Remap runs this program again with the arguments that it was given, as root of a user
// namespace that has the ranges of /etc/subuid and /etc/subgid for who runs it, and
// returns how it exited. The two programs of shadow, newuidmap and newgidmap, make that
// possible. What ends ctx is passed on as SIGTERM. Errors: ErrUnsupported without ranges,
// without those programs, and where the system lets users have no namespaces.
func Remap(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) (exit int, err error) {
	uids, err := ranges("/etc/subuid", os.Geteuid())
	if err != nil {
		return 0, err
	}
	gids, err := ranges("/etc/subgid", os.Getegid())
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer w.Close()
	again := exec.CommandContext(ctx, "/proc/self/exe")
	again.Args = os.Args
	again.Env = append(os.Environ(), nsVariable+"="+nsMapping)
	again.Stdin, again.Stdout, again.Stderr, again.ExtraFiles = stdin, stdout, stderr, []*os.File{r}
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	again.Cancel = func() error { return again.Process.Signal(syscall.SIGTERM) }
	err = again.Start()
	r.Close()
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil:
		return 0, content.WithHint(fmt.Errorf("%w: a user namespace: %w", content.ErrUnsupported, err), "--rootless works without one")
	}
	pid := strconv.Itoa(again.Process.Pid)
	err = errors.Join(mapIDs(ctx, "newuidmap", pid, uids), mapIDs(ctx, "newgidmap", pid, gids))
	if err != nil {
		_ = again.Process.Kill()
	}
	w.Close()
	werr := again.Wait()
	if exited := (*exec.ExitError)(nil); err == nil && errors.As(werr, &exited) && exited.ExitCode() >= 0 {
		return exited.ExitCode(), nil
	}
	if err == nil {
		err = werr
	}
	return 0, err
}

// ranges are what a file of ranges has for who runs this.
func ranges(path string, own int) ([]IDMap, error) {
	uid := os.Geteuid()
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	var maps []IDMap
	f, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		maps, err = SubordinateIDs(strings.NewReader(""), name, uid, uint32(own))
	case err != nil:
		return nil, fsys.Classify(err)
	default:
		defer f.Close()
		maps, err = SubordinateIDs(f, name, uid, uint32(own))
	}
	if err != nil {
		return nil, content.WithHint(fmt.Errorf("%s: %w", path, err), "root gives one: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name)
	}
	return maps, nil
}

// mapIDs has one of shadow's programs write a map.
func mapIDs(ctx context.Context, program, pid string, maps []IDMap) error {
	args := []string{pid}
	for _, m := range maps {
		for _, n := range []uint32{m.Inside, m.Outside, m.Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return content.WithHint(fmt.Errorf("%w: there is no %s here", content.ErrUnsupported, program),
			"it comes with the package uidmap (Debian) or shadow-utils; --rootless works without")
	case err != nil:
		return fmt.Errorf("%w: %s: %w: %s", content.ErrUnsupported, program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
