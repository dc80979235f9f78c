package fsystest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Loss is what becomes of what was not synced.
type Loss int

// The losses. Names that were not synced are lost with Truncated and Zeroed.
const (
	// Truncated leaves of a file what its last sync had: no byte of what was
	// written since.
	Truncated Loss = iota
	// Zeroed leaves a file at the size it had, with zeros for what was written
	// since its last sync, over older content too.
	Zeroed
	// Keep loses nothing: the process died, the system did not.
	Keep
)

// content is what a power cut leaves of n.
func (n *node) content(loss Loss) []byte {
	if loss == Truncated {
		return n.durable
	}
	p := slices.Clone(n.durable)
	if grown := n.size - int64(len(p)); grown > 0 {
		p = append(p, make([]byte, grown)...)
	}
	if lo, hi := n.lo, min(n.hi, int64(len(p))); lo < hi {
		clear(p[lo:hi])
	}
	return p
}

func (d *disk) crash(dst string, loss Loss) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if loss != Keep {
		if err := d.writeDurable(dst, loss); err != nil {
			return err
		}
	}
	return d.copyOthers(dst, loss)
}

// writeDurable writes the files and folders whose names are durable.
func (d *disk) writeDurable(dst string, loss Loss) error {
	for dir := range d.durable.dirs {
		if d.survives(dir) {
			if err := os.MkdirAll(d.in(dst, dir), 0o755); err != nil {
				return err
			}
		}
	}
	for path, n := range d.durable.files {
		if !d.survives(filepath.Dir(path)) {
			continue
		}
		if err := writeFile(d.in(dst, path), n.content(loss), n.mode); err != nil {
			return err
		}
	}
	return nil
}

// copyOthers copies what came about without the FS or, where nothing is to be
// lost, everything.
func (d *disk) copyOthers(dst string, loss Loss) error {
	return filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			if loss != Keep && d.known[path] {
				if !d.survives(path) {
					return fs.SkipDir
				}
				return nil
			}
			return os.MkdirAll(d.in(dst, path), 0o755)
		case !e.Type().IsRegular():
			return nil
		case loss != Keep && (d.live.files[path] != nil || d.durable.files[path] != nil):
			return nil
		}
		return copyFile(d.in(dst, path), path)
	})
}

// survives says whether the folder dir is durable with all above it.
func (d *disk) survives(dir string) bool {
	for ; dir != d.root; dir = filepath.Dir(dir) {
		if d.known[dir] && !d.durable.dirs[dir] {
			return false
		}
	}
	return true
}

func (d *disk) in(dst, path string) string { return dst + path[len(d.root):] }

func copyFile(dst, src string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	p, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return writeFile(dst, p, info.Mode().Perm())
}

func writeFile(name string, p []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name, p, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
