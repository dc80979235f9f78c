package testscripts

import (
	"fmt"
	"os"
	"strconv"

	"dist.example/fsys"
)

// freeVar pretends that the disk has so many bytes left.
const freeVar = "DIST_FREE"

// pretends is the condition that dist is the one of the tests, which believes freeVar.
func pretends(cond string) (bool, error) {
	switch cond {
	case "pretends":
		return os.Getenv("DIST_BINARY") == "", nil
	case "mounts":
		return mounts(), nil
	}
	return false, fmt.Errorf("no condition %q", cond)
}

// pretendedSpace is what the dist of the tests takes for the room on the disk: what
// the system says, unless the environment says otherwise.
func pretendedSpace() func(string) (uint64, error) {
	text, ok := os.LookupEnv(freeVar)
	if !ok {
		return fsys.FreeBytes
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		die(2, "%s: %v", freeVar, err)
	}
	return func(string) (uint64, error) { return n, nil }
}
