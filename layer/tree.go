package layer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dist.example/content"
)

// What a Tree is held to.
const (
	// MaxEntries bounds the members of all layers of one tree, and the folders that
	// no member is for.
	MaxEntries = 2 << 20
	// MaxHeaderBytes bounds what the headers of one tree say in words: names, those of
	// owners, targets of links, extended attributes. In bytes.
	MaxHeaderBytes = 256 << 20
	// MaxPath bounds a path and the target of a link, in bytes, as Linux does.
	MaxPath = 4096
	// maxLinks is how many symbolic links may lie on the way to one member, as on Linux.
	maxLinks = 40
	// maxHops bounds the steps that symbolic links add to the ways of all members.
	maxHops = 64 << 20
)

// caps are the bounds of a tree, as values so that tests need no millions.
type caps struct{ entries, bytes, hops int }

func defaultCaps() caps { return caps{MaxEntries, MaxHeaderBytes, maxHops} }

// Tree is the file system that layers make, put one on top of the other as image-spec
// has it (layer.md): names and what headers say of them, without content. Its size in
// memory is about 400 bytes an entry, whatever the files hold.
//
// Whiteouts concern the layers below alone, wherever they stand in their own. A
// symbolic link on the way to a member is followed, never out of the tree; a file on
// the way gives way to a folder. A folder over a folder keeps what is in it; anything
// else takes all below away. A hard link is one more name of a file, which lives as
// long as it has one; what its own header says of owner, mode and times does not
// count. It is not safe for concurrent use.
type Tree struct {
	root  *node
	layer int32 // the index of the layer that is being applied
	// from is the index of the lowest layer of which it matters what it takes from
	// those below; such paths are noted. 0 where nothing is below.
	from int32
	sums bool // hash the content of files
	disk Disk // where it is made, nil for nowhere
	// holes says that sparse files are files like others.
	holes bool
	caps  caps
	used  caps
}

// NewTree is an empty tree. With sums the content of files is hashed as it goes by,
// which Changes needs.
func NewTree(sums bool) *Tree {
	t := &Tree{sums: sums, caps: defaultCaps()}
	t.root = &node{set: implicit}
	return t
}

// implicit is the layer of a folder's entry where it has none.
const implicit int32 = -1

// node is a path of a tree. The layers in it are indexes.
type node struct {
	name     string
	parent   *node // nil for the root
	file     *file // nil for a folder that no member is for
	children map[string]*node
	// hidden are names that are gone and that the layers below from have.
	hidden  map[string]struct{}
	born    int32 // the layer that made it, none of what was there before being left
	touched int32 // the last layer that has it or something below it
	set     int32 // the layer of its own entry, or implicit
	cleared int32 // the last layer that left nothing from below in this folder
	length  int32 // of its path
	opaque  bool  // it is in layers below from, and nothing that they have in it is left
}

func (n *node) isDir() bool { return n.file == nil || n.file.kind == kindDir }

// path is n's path without a slash at the beginning; "" for the root.
func (n *node) path() string {
	if n.parent == nil || n.parent.parent == nil {
		return n.name
	}
	buf := make([]byte, n.length)
	end := len(buf)
	for ; n.parent != nil; n = n.parent {
		end -= len(n.name)
		copy(buf[end:], n.name)
		if end > 0 {
			end--
			buf[end] = '/'
		}
	}
	return string(buf)
}

// place puts a file, or a folder that no member is for if f is nil, at a name.
func (t *Tree) place(parent *node, name string, f *file) (*node, error) {
	n := parent.children[name]
	if n == nil || !n.isDir() || f != nil && f.kind != kindDir {
		err := t.detach(parent, name)
		if err != nil {
			return nil, err
		}
		if n, err = t.attach(parent, name); err != nil {
			return nil, err
		}
		if t.disk != nil && (f == nil || f.kind == kindDir) {
			if err := t.disk.Folder(n.path()); err != nil {
				return nil, err
			}
		}
	}
	if f != nil {
		n.file, n.set = f, t.layer
	}
	t.touch(n)
	return n, nil
}

// attach makes a new node.
func (t *Tree) attach(parent *node, name string) (*node, error) {
	length := int(parent.length) + len(name)
	if parent.parent != nil {
		length++
	}
	if length > MaxPath {
		return nil, fmt.Errorf("%w: its path has more than %d bytes", content.ErrUnsupported, MaxPath)
	}
	if err := t.charge(1, len(name)); err != nil {
		return nil, err
	}
	// Copied, or it would keep all of the member's name.
	n := &node{
		name: strings.Clone(name), parent: parent, length: int32(length),
		born: t.layer, cleared: t.layer, set: implicit,
	}
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	parent.children[n.name] = n
	return n, nil
}

// charge counts entries and bytes against the caps.
func (t *Tree) charge(entries, bytes int) error {
	t.used.entries += entries
	t.used.bytes += bytes
	switch {
	case t.used.entries > t.caps.entries:
		return fmt.Errorf("%w: the layers have more than %d entries", content.ErrUnsupported, t.caps.entries)
	case t.used.bytes > t.caps.bytes:
		return fmt.Errorf("%w: the headers of the layers have more than %d bytes", content.ErrUnsupported, t.caps.bytes)
	}
	return nil
}

// detach takes a name away, with all below.
func (t *Tree) detach(parent *node, name string) error {
	n := parent.children[name]
	if n == nil {
		return nil
	}
	if err := t.remove(n); err != nil {
		return err
	}
	t.hide(n)
	return nil
}

// remove takes n out of its folder.
func (t *Tree) remove(n *node) error {
	delete(n.parent.children, n.name)
	if t.disk == nil {
		return nil
	}
	return t.disk.Remove(n.path())
}

// hide notes that a path is gone that layers below from have.
func (t *Tree) hide(n *node) {
	if t.layer < t.from || n.born >= t.from {
		return
	}
	if n.parent.hidden == nil {
		n.parent.hidden = map[string]struct{}{}
	}
	n.parent.hidden[n.name] = struct{}{}
}

// touch notes that this layer has n. Where a node was touched, those above were.
func (t *Tree) touch(n *node) {
	for first := true; n != nil && (first || n.touched != t.layer); n, first = n.parent, false {
		n.touched = t.layer
	}
}

// whiteout takes away what the layers below have of a name.
func (t *Tree) whiteout(parent *node, name string) error {
	n := parent.children[name]
	switch {
	case n == nil:
	case n.touched < t.layer:
		return t.detach(parent, name)
	case n.born < t.layer:
		t.hide(n)
		return t.renew(n)
	}
	return nil
}

// clear takes away what the layers below have in a folder.
func (t *Tree) clear(n *node) error {
	if n.cleared == t.layer {
		return nil // all that came since is of this layer
	}
	n.cleared = t.layer
	for _, c := range n.children {
		var err error
		if c.touched < t.layer {
			err = t.remove(c)
		} else if c.born < t.layer {
			err = t.renew(c)
		}
		if err != nil {
			return err
		}
	}
	if n.hidden = nil; n.born < t.from && t.layer >= t.from {
		n.opaque = true
	}
	return nil
}

// renew makes n, a folder of layers below in which this one has something, one of
// this layer.
func (t *Tree) renew(n *node) error {
	n.born, n.opaque = t.layer, false
	if n.set < t.layer {
		n.file, n.set = nil, implicit
	}
	return t.clear(n)
}

// folder finds the folder that parts lead to. What is missing is made, or, without
// create, the folder is nil.
func (t *Tree) folder(parts []string, create bool) (*node, error) {
	at, links := t.root, 0
	for len(parts) > 0 {
		name := parts[0]
		parts = parts[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." { // of a link's target
			if at.parent != nil {
				at = at.parent
			}
			continue
		}
		child := at.children[name]
		switch {
		case child != nil && child.isDir():
		case child != nil && child.file.kind == kindSymlink:
			if links++; links > maxLinks {
				return nil, fmt.Errorf("%w: more than %d symbolic links lie on the way to it", content.ErrInvalid, maxLinks)
			}
			target := child.file.link
			if strings.HasPrefix(target, "/") {
				at = t.root
			}
			parts = append(strings.Split(target, "/"), parts...)
			if t.used.hops += len(parts); t.used.hops > t.caps.hops {
				return nil, fmt.Errorf("%w: the ways of the layers' entries go through too many symbolic links", content.ErrUnsupported)
			}
			continue
		case !create:
			return nil, nil
		default:
			var err error
			if child, err = t.place(at, name, nil); err != nil {
				return nil, err
			}
		}
		at = child
	}
	return at, nil
}

// walk visits all nodes, a folder before what is in it, in the byte order of their
// paths as tars spell them.
func (t *Tree) walk(visit func(*node) error) error { return t.root.walk(visit) }

func (n *node) walk(visit func(*node) error) error {
	if err := visit(n); err != nil {
		return err
	}
	for _, c := range n.sorted() {
		if err := c.walk(visit); err != nil {
			return err
		}
	}
	return nil
}

// sorted are n's children, in that order.
func (n *node) sorted() []*node {
	return slices.SortedFunc(maps.Values(n.children), func(a, b *node) int {
		k := min(len(a.name), len(b.name))
		if c := strings.Compare(a.name[:k], b.name[:k]); c != 0 {
			return c
		}
		return cmp.Compare(a.at(k), b.at(k))
	})
}

// at is a byte of n's name, with the slash that a folder's has; -1 behind its end.
func (n *node) at(i int) int {
	switch {
	case i < len(n.name):
		return int(n.name[i])
	case n.isDir():
		return '/'
	}
	return -1
}
