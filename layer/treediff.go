package layer

import (
	"cmp"
	"encoding/hex"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"dist.example/oci"
)

// Aspect is one thing in which two entries differ.
type Aspect string

// The aspects. Where the type differs nothing else is compared; a size differs only
// with the content.
const (
	AspectType    Aspect = "type"
	AspectContent Aspect = "content"
	AspectSize    Aspect = "size"
	AspectTarget  Aspect = "target" // of a symbolic link
	AspectDevice  Aspect = "device"
	AspectMode    Aspect = "mode" // symbolic links have none
	AspectOwner   Aspect = "owner"
	AspectXattrs  Aspect = "xattrs" // and what else stands in PAX records
	AspectTime    Aspect = "time"
)

// Entry is what one path of a tree is.
type Entry struct {
	Type         string // TypeFile and so on
	Mode         uint32 // permissions, and setuid, setgid and sticky
	UID, GID     int
	Size         int64      // of a file's content
	Digest       oci.Digest // of a file's content, "" for none
	Time         time.Time  // of modification
	Target       string     // of a symbolic link
	Major, Minor int64      // of a device
	Xattrs       map[string]string
	Sparse       bool // the tar has no bytes for some of the content, which are zero
}

// Change is a path at which two trees differ.
type Change struct {
	Path    string // absolute, without a slash at the end
	Old     *Entry // nil for what was added
	New     *Entry // nil for what is gone
	Aspects []Aspect
}

// Changes lists the paths at which two trees that were made with sums differ, a folder
// before what is in it, in the byte order of names. times says that times of
// modification count. Which paths are hard links of one file does not count, nor do
// the names of owners beside their numbers; a folder that no layer has a member for is
// one of root's with the mode 0755.
//
// Changes are made while they are gone through, each time anew, and none is kept: the
// paths of all may be many times what the trees take.
func Changes(old, new *Tree, times bool) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		c := &comparison{yield, times}
		c.nodes(nil, old.root, new.root)
	}
}

type comparison struct {
	yield func(Change) bool
	times bool
}

// nodes compares what is at a path, either of which may be nil, and all below. It
// returns false when nobody wants more.
func (c *comparison) nodes(path []byte, a, b *node) bool {
	var aspects []Aspect
	if a != nil && b != nil {
		aspects = c.aspects(a, b)
	}
	differs := a == nil || b == nil || len(aspects) > 0
	if differs && !c.yield(Change{cmp.Or(string(path), "/"), a.entry(), b.entry(), aspects}) {
		return false
	}
	path = append(path, '/')
	for _, name := range names(a, b) {
		if !c.nodes(append(path, name...), a.child(name), b.child(name)) {
			return false
		}
	}
	return true
}

// child is the node of a name, nil for none.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	return n.children[name]
}

// names are those that two folders have, sorted, each once.
func names(a, b *node) []string {
	var all []string
	for _, n := range []*node{a, b} {
		if n != nil {
			all = slices.AppendSeq(all, maps.Keys(n.children))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (c *comparison) aspects(a, b *node) []Aspect {
	x, y := a.meta(), b.meta()
	if x == y {
		return nil
	}
	if x.kind != y.kind {
		return []Aspect{AspectType}
	}
	var found []Aspect
	add := func(aspect Aspect, differs bool) {
		if differs {
			found = append(found, aspect)
		}
	}
	mx, my := x.extra(), y.extra()
	add(AspectContent, x.size != y.size || x.size > 0 && *x.sum != *y.sum)
	add(AspectSize, x.size != y.size)
	add(AspectTarget, x.link != y.link)
	add(AspectDevice, mx.major != my.major || mx.minor != my.minor)
	add(AspectMode, x.mode != y.mode && x.kind != kindSymlink)
	add(AspectOwner, x.uid != y.uid || x.gid != y.gid)
	add(AspectXattrs, !maps.Equal(mx.records, my.records))
	add(AspectTime, c.times && a.file != nil && b.file != nil && !x.time.Equal(y.time))
	return found
}

// meta is what there is to say of n, also where no member says it.
func (n *node) meta() *file {
	if n.file == nil {
		return impliedFolder()
	}
	return n.file
}

func (f *file) extra() more {
	if f.more == nil {
		return more{}
	}
	return *f.more
}

// xattrKey is what an extended attribute's key begins with in a PAX record.
const xattrKey = "SCHILY.xattr."

// entry describes n; nil for nil.
func (n *node) entry() *Entry {
	if n == nil {
		return nil
	}
	f := n.meta()
	e := &Entry{
		Type: f.kind.String(), Mode: f.mode, UID: f.uid, GID: f.gid, Size: f.size, Time: f.time, Target: f.link,
		Major: f.extra().major, Minor: f.extra().minor,
		Sparse: f.sparse,
	}
	if f.sum != nil {
		e.Digest = oci.Digest("sha256:" + hex.EncodeToString(f.sum[:]))
	}
	for k, v := range f.extra().records {
		if e.Xattrs == nil {
			e.Xattrs = map[string]string{}
		}
		e.Xattrs[strings.TrimPrefix(k, xattrKey)] = v
	}
	return e
}

// Clone is a tree of its own that is the same.
func (t *Tree) Clone() *Tree {
	c := *t
	c.root = t.root.clone(nil)
	return &c
}

func (n *node) clone(parent *node) *node {
	c := *n
	c.parent, c.hidden = parent, maps.Clone(n.hidden)
	if n.children != nil {
		c.children = make(map[string]*node, len(n.children))
		for name, child := range n.children {
			c.children[name] = child.clone(&c)
		}
	}
	return &c
}
