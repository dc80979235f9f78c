package fsystest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dist.example/fsys"
)

// node is a file, under whatever names.
type node struct {
	durable []byte // what a power cut leaves
	size    int64  // what it has now
	lo, hi  int64  // the stretch written since the last sync
	mode    fs.FileMode

	froze  *frozen // as the last Cut took it, nil once it has changed
	shared bool    // a Cut has durable, too
	last   []byte  // what it had when it lost its last name, unless that was synced
}

func (n *node) touch(lo, hi int64) {
	n.froze = nil
	if lo >= hi {
		return
	}
	if n.lo == n.hi {
		n.lo, n.hi = lo, hi
		return
	}
	n.lo, n.hi = min(n.lo, lo), max(n.hi, hi)
}

// disk knows what is durable of the tree below root. Paths in it are absolute.
type disk struct {
	base fsys.FS
	root string

	mu      sync.Mutex
	live    names // as the operations left it
	durable names // as the last SyncDir of each folder found it
	// pending are the changes of names since, in order.
	pending []change[*node]
	// known are the folders that ever were in one of them; all others came about
	// without the FS.
	known map[string]bool
}

// names is a tree, flat: files and folders by path.
type names struct {
	files map[string]*node
	dirs  map[string]bool
}

func newDisk(base fsys.FS, root string) *disk {
	empty := func() names { return names{map[string]*node{}, map[string]bool{root: true}} }
	return &disk{base: base, root: root, live: empty(), durable: empty(), known: map[string]bool{root: true}}
}

// takeOver makes the folders that are there durable. Files are taken over when
// they are first touched.
func (d *disk) takeOver() error {
	return filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			d.adoptDir(path)
		}
		return err
	})
}

func (d *disk) adoptDir(path string) {
	d.live.dirs[path], d.durable.dirs[path], d.known[path] = true, true, true
}

// path is name as the maps have it, or "" outside of root.
func (d *disk) path(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil || !strings.HasPrefix(abs, d.root+string(filepath.Separator)) && abs != d.root {
		return ""
	}
	return abs
}

// adopt remembers a file that came about without the FS before an operation
// changes it. mu is held.
func (d *disk) adopt(path string) error {
	if path == "" || d.live.files[path] != nil {
		return nil
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := &node{durable: content, size: int64(len(content)), mode: info.Mode().Perm()}
	d.live.files[path], d.durable.files[path] = n, n
	return nil
}

func (d *disk) open(owner *FS, name string, flag int, perm fs.FileMode) (fsys.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := d.path(name)
	writable := flag&(os.O_WRONLY|os.O_RDWR) != 0
	if writable && path != "" {
		if err := d.adopt(path); err != nil {
			return nil, err
		}
		if flag&os.O_WRONLY != 0 {
			flag = flag&^os.O_WRONLY | os.O_RDWR
		}
	}
	f, err := d.base.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	n := d.live.files[path]
	switch {
	case n == nil && writable && path != "":
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		n = &node{mode: info.Mode().Perm()}
		d.live.files[path] = n
		d.changed(entry[*node]{path: path, to: n})
	case n != nil && writable && flag&os.O_TRUNC != 0:
		n.touch(0, n.size)
		n.size = 0
	}
	return &file{File: f, fs: owner, node: n, writable: writable}, nil
}

func (d *disk) touch(n *node, lo, hi int64) {
	if n == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.touch(lo, hi)
	n.size = max(n.size, hi)
}

// touchAll marks n as written anywhere.
func (d *disk) touchAll(n *node) {
	if n == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.touch(0, math.MaxInt64)
}

func (d *disk) resize(n *node, from, to int64) {
	if n == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n.touch(min(from, to), max(from, to))
	n.size = to
}

// synced makes n's content durable, as f has it.
func (d *disk) synced(n *node, f fsys.File) error {
	if n == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	content := n.durable
	if n.shared {
		content, n.shared = slices.Clone(content), false
	}
	if int64(len(content)) > size {
		content = content[:size]
	}
	content = append(content, make([]byte, size-int64(len(content)))...)
	if lo, hi := n.lo, min(n.hi, size); lo < hi {
		if _, err := f.ReadAt(content[lo:hi], lo); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	n.durable, n.size, n.lo, n.hi, n.froze = content, size, 0, 0, nil
	return nil
}

func (d *disk) mkdirAll(dir string, perm fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path := d.path(dir); path != "" && path != d.root; path = filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil && !d.live.dirs[path] {
			d.adoptDir(path)
		}
	}
	if err := d.base.MkdirAll(dir, perm); err != nil {
		return err
	}
	for path := d.path(dir); path != "" && path != d.root; path = filepath.Dir(path) {
		if !d.live.dirs[path] {
			d.changed(entry[*node]{path: path, dir: true})
		}
		d.live.dirs[path], d.known[path] = true, true
	}
	return nil
}

func (d *disk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := d.path(name)
	if err := errors.Join(d.adopt(path), d.keepLast(path)); err != nil {
		return err
	}
	if err := d.base.Remove(name); err != nil {
		return err
	}
	d.changed(entry[*node]{path: path, dir: d.live.dirs[path], gone: true})
	delete(d.live.files, path)
	delete(d.live.dirs, path)
	return nil
}

func (d *disk) rename(oldName, newName string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, to := d.path(oldName), d.path(newName)
	if d.live.dirs[from] {
		return fmt.Errorf("rename %s: %w: fsystest does not rename folders", oldName, errors.ErrUnsupported)
	}
	if err := errors.Join(d.adopt(from), d.adopt(to), d.keepLast(to)); err != nil {
		return err
	}
	if err := d.base.Rename(oldName, newName); err != nil {
		return err
	}
	n := d.live.files[from]
	d.changed(entry[*node]{path: from, gone: true}, entry[*node]{path: to, to: n})
	delete(d.live.files, from)
	d.place(to, n)
	return nil
}

func (d *disk) chmod(name string, mode fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.base.Chmod(name, mode); err != nil {
		return err
	}
	if n := d.live.files[d.path(name)]; n != nil {
		n.mode, n.froze = mode.Perm(), nil
	}
	return nil
}

func (d *disk) link(oldName, newName string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, to := d.path(oldName), d.path(newName)
	if err := d.adopt(from); err != nil {
		return err
	}
	if err := d.base.Link(oldName, newName); err != nil {
		return err
	}
	d.place(to, d.live.files[from])
	d.changed(entry[*node]{path: to, to: d.live.files[from]})
	return nil
}

// place gives n the name path. What comes in from outside of root has no node:
// it is taken as it is at the crash.
func (d *disk) place(path string, n *node) {
	switch {
	case path == "":
	case n == nil:
		delete(d.live.files, path)
	default:
		d.live.files[path] = n
	}
}

func (d *disk) syncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.base.SyncDir(dir); err != nil {
		return err
	}
	if path := d.path(dir); path != "" {
		d.namesSynced(path)
		d.settle(path)
	}
	return nil
}

// namesSynced makes the names in the folder path durable.
func (d *disk) namesSynced(path string) {
	for name := range d.durable.files {
		if filepath.Dir(name) == path {
			delete(d.durable.files, name)
		}
	}
	for name, n := range d.live.files {
		if filepath.Dir(name) == path {
			d.durable.files[name] = n
		}
	}
	for name := range d.durable.dirs {
		if filepath.Dir(name) == path && name != d.root {
			delete(d.durable.dirs, name)
		}
	}
	for name := range d.live.dirs {
		if filepath.Dir(name) == path {
			d.durable.dirs[name] = true
		}
	}
}
