package testscripts

import (
	"fmt"
	"os"
	"sync"

	"dist.example/fsys"
)

// mounts says whether this user may mount overlay file systems in the folder of temporary
// files. It tries.
var mounts = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "mounts")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "on"} {
		if err := os.Mkdir(fmt.Sprintf("%s/%s", dir, name), 0o700); err != nil {
			return false
		}
	}
	if fsys.MountOverlay(dir, dir+"/on", "lowerdir=lower,upperdir=upper,workdir=work") != nil {
		return false
	}
	mounted, err := fsys.Unmount(dir + "/on")
	return mounted && err == nil
})
