package client

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A link to a file is written to as the system's own names of descriptors are only where
// it is one of those: elsewhere below /dev, too, what it leads to is replaced.
func TestOnlyDescriptorsAreWrittenAsTheyAre(t *testing.T) {
	for path, want := range map[string]bool{
		"/dev/stdout": true, "/dev/fd/1": true, "/proc/self/fd/1": true, "/proc/1/fd/1": true,
		"/dev/shm/out.tar": false, "/dev/shm/a/out.tar": false, "/home/dev/stdout": false, "/device": false,
	} {
		if runtime.GOOS != "windows" && isDescriptor(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	dir, err := os.MkdirTemp("/dev/shm", "dist")
	if err != nil {
		t.Skipf("there is no file system in memory: %v", err)
	}
	defer os.RemoveAll(dir)
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("what was there before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(t.Context(), link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(real); err != nil || string(got) != "new" {
		t.Errorf("it has %q, %v", got, err)
	}
}
