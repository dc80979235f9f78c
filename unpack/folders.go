package unpack

import (
	"os"
	"path/filepath"
	"strings"

	"dist.example/fsys"
)

// openFolders bounds the folders that are open at once. Entries of a layer mostly come
// folder by folder.
const openFolders = 32

// folder is an open folder: what is made in it by a bare name is made there, whatever has
// become of its own name.
type folder struct {
	root *os.Root
	file *os.File // the same, for what package os has no call for
}

// handle is the folder as a file.
func (f *folder) handle() (*os.File, error) {
	if f.file == nil {
		var err error
		if f.file, err = f.root.Open("."); err != nil {
			return nil, fsys.Classify(err)
		}
	}
	return f.file, nil
}

// close closes the file alone for the folder that everything is in.
func (f *folder) close() {
	if f.file != nil {
		f.file.Close()
	}
}

// folders keeps those open that were used last.
type folders struct {
	root *os.Root
	most int
	kept map[string]*folder
	used []string // the names of kept, the last used at the end
}

func newFolders(root *os.Root) *folders {
	return &folders{root: root, most: openFolders, kept: map[string]*folder{}}
}

// open opens the folder of that name, "" for the one that all are in. It stays open until
// it is forgotten or many others are used.
func (fs *folders) open(name string) (*folder, error) {
	if f := fs.kept[name]; f != nil {
		fs.touch(name)
		return f, nil
	}
	if len(fs.used) >= fs.most {
		fs.drop(fs.used[0])
	}
	f := &folder{}
	var err error
	if f.root, err = fs.root.OpenRoot(filepath.FromSlash(orDot(name))); err != nil {
		return nil, fsys.Classify(err)
	}
	fs.kept[name] = f
	fs.used = append(fs.used, name)
	return f, nil
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

// touch makes it the last used.
func (fs *folders) touch(name string) {
	last := len(fs.used) - 1
	for i := last; i >= 0; i-- {
		if fs.used[i] == name {
			copy(fs.used[i:], fs.used[i+1:])
			fs.used[last] = name
			return
		}
	}
}

func (fs *folders) drop(name string) {
	fs.touch(name)
	fs.used = fs.used[:len(fs.used)-1]
	f := fs.kept[name]
	delete(fs.kept, name)
	f.close()
	f.root.Close()
}

// forget closes a folder that goes away or changes, and all below it.
func (fs *folders) forget(name string) {
	for kept := range fs.kept {
		if kept == name || strings.HasPrefix(kept, name+"/") {
			fs.drop(kept)
		}
	}
}

// close closes all.
func (fs *folders) close() {
	for kept := range fs.kept {
		fs.drop(kept)
	}
}
