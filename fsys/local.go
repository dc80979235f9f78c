package fsys

import (
	"fmt"
	"path/filepath"

	"dist.example/content"
)

// CheckLocal refuses, with content.ErrUnsupported and a hint, a folder on a
// network file system: locks there do not reach the other machines, or reach
// them late, and the catalog's shared memory does not reach them at all. Of a
// folder that does not exist yet it judges the nearest one above that does.
// Where it cannot tell, it returns nil.
func CheckLocal(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	for {
		kind, err := networkKind(abs)
		parent := filepath.Dir(abs)
		if isNotExist(err) && parent != abs {
			abs = parent
			continue
		}
		if err != nil || kind == "" {
			return nil
		}
		return content.WithHint(
			fmt.Errorf("%s: %w: it is on a network file system (%s)", dir, content.ErrUnsupported, kind),
			"keep the store on a local disk, one for each machine, and move content between them with push and pull")
	}
}

// FreeBytes is the room that this user has left on dir's file system.
func FreeBytes(dir string) (uint64, error) { return freeBytes(dir) }

// BlockSize is in what units dir's file system gives room to files, 0 where the system
// does not say.
func BlockSize(dir string) int64 { return blockSize(dir) }

// BootID names the time since the system was started: it is the same for all
// processes and as long as nothing in memory was lost. On a system that knows
// only the time of its start, setting the clock may change it too. It is ""
// when the system does not say.
func BootID() string { return bootID() }

// ProcessAlive says whether a process with this id runs, of any user. The id may
// have been given to another process since: true is a hint, false is certain.
func ProcessAlive(pid int) bool { return pid > 0 && processAlive(pid) }
