package layer

import (
	"fmt"
	"io"
	"strings"

	"dist.example/content"
)

// Disk is where a tree is made while layers are put on top of it, see Tree.Make, or a part
// of one afterwards, see Tree.Extract. Paths have slashes and neither one at the beginning
// nor empty parts or dots. All folders above a path were made before by Folder, and no link
// is among them: what a link on the way to a member means was found out in the tree. An
// error of a method is the end of it, and that of Tree.Apply or Tree.Extract. Calls come one
// after another.
type Disk interface {
	// Folder makes an empty folder where nothing is. What it is to be like is known at
	// the end, see Tree.Folders.
	Folder(path string) error
	// Create makes what is no folder where nothing is. r is the content of a file, of
	// e.Size bytes, and may not be left unread.
	Create(path string, e Entry, r io.Reader) error
	// Link gives what stands at old, no folder, one more name.
	Link(path, old string) error
	// Remove takes away what is there, a folder with all that it holds.
	Remove(path string) error
}

// Make has the tree, which is to be empty and without sums, made on a disk: Apply tells d
// of each change as it happens. After an error of Apply the two are not the same any more.
func (t *Tree) Make(d Disk) { t.disk, t.holes = d, true }

// Folders shows each folder, one after all that are in it and the root, whose path is "",
// at the end. Those that no layer has a member for are root's, with the mode 0755. An
// error of visit ends it.
func (t *Tree) Folders(visit func(path string, e Entry) error) error { return t.root.folders(visit) }

func (n *node) folders(visit func(string, Entry) error) error {
	if !n.isDir() {
		return nil
	}
	for _, c := range n.sorted() {
		if err := c.folders(visit); err != nil {
			return err
		}
	}
	return visit(n.path(), *n.entry())
}

// Lookup is the entry of a path, a slash at the beginning or not, with links followed
// within the tree, also one at its end. real is where that stands, without links, in the
// form of Disk; "" is the root. Errors: ErrNotFound for what is not there; ErrInvalid for a
// path that is none within the tree, and for a ring of links.
func (t *Tree) Lookup(name string) (real string, e Entry, err error) {
	n, err := t.find(name)
	if err != nil {
		return "", Entry{}, err
	}
	return n.path(), *n.entry(), nil
}

// Explicit gives each folder that no member is for the entry that a disk gives it (see
// Folders), so that Changes compares its time, too.
func (t *Tree) Explicit() {
	// What is visited does not fail.
	_ = t.walk(func(n *node) error {
		if n.file == nil {
			n.file = impliedFolder()
		}
		return nil
	})
}

// At is the entry of a path as it stands in the tree, in the form of Disk: no link is
// followed.
func (t *Tree) At(path string) (Entry, bool) {
	n := t.node(path)
	if n == nil {
		return Entry{}, false
	}
	return *n.entry(), true
}

// LayerOf is the number of the layer, from 0 on, that has the entry of what stands at a path;
// see Part.
func (t *Tree) LayerOf(path string) (int, bool) {
	n := t.node(path)
	if n == nil || n.set < 0 {
		return 0, false
	}
	return int(n.set), true
}

// node is what stands at a path, nil for nothing.
func (t *Tree) node(path string) *node {
	n := t.root
	for path != "" && n != nil {
		var name string
		name, path, _ = strings.Cut(path, "/")
		n = n.child(name)
	}
	return n
}

// lookup is the node that parts lead to, nil if there is none.
func (t *Tree) lookup(parts []string) (*node, error) {
	for range maxLinks {
		dir, err := t.folder(parts, false)
		if err != nil || dir != nil {
			return dir, err
		}
		last := len(parts) - 1
		if dir, err = t.folder(parts[:last], false); err != nil || dir == nil {
			return nil, err
		}
		n := dir.children[parts[last]]
		if n == nil || n.isDir() || n.file.kind != kindSymlink {
			return n, nil
		}
		parts = strings.Split(n.file.link, "/")
		if !strings.HasPrefix(n.file.link, "/") {
			parts = append(strings.Split(dir.path(), "/"), parts...)
		}
	}
	return nil, fmt.Errorf("%w: more than %d symbolic links lie on the way to it", content.ErrInvalid, maxLinks)
}

// has says whether n is in the tree still.
func (t *Tree) has(n *node) bool {
	for ; n.parent != nil; n = n.parent {
		if n.parent.children[n.name] != n {
			return false
		}
	}
	return n == t.root
}

// below says whether n is somewhere in folder, or that itself.
func (n *node) below(folder *node) bool {
	for ; n != nil; n = n.parent {
		if n == folder {
			return true
		}
	}
	return false
}
