package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"dist.example/content"
)

// PartDisk is where what one layer changes is made for itself, in the way of file systems
// that lay folders over each other. It is a Disk on which a path may lie over one of the
// layers below, so that a folder may be one that they have, too.
type PartDisk interface {
	Disk
	// Whiteout hides what the layers below have of a name, where the part has nothing.
	Whiteout(path string) error
	// Opaque hides what the layers below have in a folder of the part.
	Opaque(path string) error
	// Finish says what a folder of the part is to be like. All that is in it is there, and
	// its whiteouts are; the root, whose path is "", comes last.
	Finish(path string, e Entry) error
}

// Part puts a layer on top, as Apply does, and makes on a disk what it changes, and that
// alone. Folders on the way to that are made too, as they are in the tree. below opens the
// content of a file that one of the layers before has (counted from 0), under a path of its
// part: it is asked where the layer gives such a file one more name, for a part has all names
// of its files or none. What it opens is held to the sum of the file, and closed. The tree
// may not be made on a disk itself.
//
// The index that comes of it says what the part has. Paths are those of the tree: no link is
// on the way to them, and each is there once. Put on the tree of what is below by
// AddIndexes, it makes the tree that this one is now, in which each file is of the last
// part that has its path.
//
// Errors: those of Apply, of d and of below.
func (t *Tree) Part(ctx context.Context, in Input, d PartDisk, below func(layer int, path string) (io.ReadCloser, error)) (*Index, error) {
	p := &part{tree: t, disk: d, below: below, moved: map[*file]string{}}
	t.disk, t.holes, t.from = p, true, t.layer
	err := t.Apply(ctx, in)
	t.disk = nil
	if err != nil {
		return nil, err
	}
	x := &Index{DiffID: in.DiffID}
	if err = p.settle(); err == nil {
		err = p.finish(t.root, x, map[*file]string{})
	}
	t.from = 0
	return x, err
}

// part is one run of Part. It is the disk of the tree meanwhile.
type part struct {
	tree  *Tree
	disk  PartDisk
	below func(int, string) (io.ReadCloser, error)
	made  made // what the part has
	// moved are files of the layers below that the part has, by a path that it has.
	moved map[*file]string
}

// made is what is made at a path.
type made struct{ in map[string]*made }

// at is what is made at a path, nil for nothing.
func (m *made) at(name string) *made {
	for name != "" && m != nil {
		var base string
		base, name, _ = strings.Cut(name, "/")
		m = m.in[base]
	}
	return m
}

// folder makes the folders to a path that are not there, and returns the last.
func (p *part) folder(name string) (*made, error) {
	m := &p.made
	for at := 0; at < len(name); at++ {
		end := at + strings.IndexByte(name[at:]+"/", '/')
		base := name[at:end]
		if m.in[base] == nil {
			if err := p.disk.Folder(name[:end]); err != nil {
				return nil, err
			}
			m.note(base)
		}
		m, at = m.in[base], end
	}
	return m, nil
}

func (m *made) note(base string) {
	if m.in == nil {
		m.in = map[string]*made{}
	}
	m.in[strings.Clone(base)] = &made{}
}

// in makes the folder that a path is in, and notes the path.
func (p *part) in(name string) error {
	dir, base := path.Split(name)
	m, err := p.folder(strings.TrimSuffix(dir, "/"))
	if err == nil {
		m.note(base)
	}
	return err
}

// Folder implements Disk.
func (p *part) Folder(name string) error {
	_, err := p.folder(name)
	return err
}

// Create implements Disk. The content of files is hashed as it goes by.
func (p *part) Create(name string, e Entry, r io.Reader) error {
	if err := p.in(name); err != nil {
		return err
	}
	if e.Type != TypeFile || e.Size == 0 {
		return p.disk.Create(name, e, r)
	}
	sum := sha256.New()
	if err := p.disk.Create(name, e, io.TeeReader(r, sum)); err != nil {
		return err
	}
	p.tree.node(name).file.sum = (*[sha256.Size]byte)(sum.Sum(nil))
	return nil
}

// Link implements Disk. A file that only the layers below have is made in the part first.
func (p *part) Link(name, old string) error {
	if p.made.at(old) == nil {
		n := p.tree.node(old)
		if err := p.fetch(old, n); err != nil {
			return fmt.Errorf("%s: %w", old, err)
		}
		p.moved[n.file], n.set = old, p.tree.layer
	}
	if err := p.in(name); err != nil {
		return err
	}
	return p.disk.Link(name, old)
}

// again is told of a name of a file that the layer gives it once more, before that is noted.
// What the layer takes away of the folders that it is in does not concern it then.
func (p *part) again(n *node) error {
	name := n.path()
	if _, moved := p.moved[n.file]; moved || p.made.at(name) != nil {
		return nil // it is there, or will be with its other names
	}
	p.moved[n.file] = name
	return p.fetch(name, n)
}

// fetch makes a file of the layers below.
func (p *part) fetch(name string, n *node) error {
	if err := p.in(name); err != nil {
		return err
	}
	e := *n.entry()
	if e.Type != TypeFile || e.Size == 0 {
		return p.disk.Create(name, e, bytes.NewReader(nil))
	}
	r, err := p.below(int(n.set), name)
	if err != nil {
		return err
	}
	defer r.Close()
	if n.file.sum == nil {
		return p.disk.Create(name, e, r)
	}
	return p.disk.Create(name, e, newSummed(r, n.file))
}

// Remove implements Disk. What only the layers below have is hidden in the end.
func (p *part) Remove(name string) error {
	if p.made.at(name) == nil {
		return nil
	}
	dir, base := path.Split(name)
	delete(p.made.at(strings.TrimSuffix(dir, "/")).in, base)
	return p.disk.Remove(name)
}

// settle gives the files that were moved into the part all names that they have.
func (p *part) settle() error {
	if len(p.moved) == 0 {
		return nil
	}
	return p.tree.walk(func(n *node) error {
		name := n.path()
		at, moved := p.moved[n.file]
		if n.isDir() || !moved || p.made.at(name) != nil {
			return nil
		}
		n.set = p.tree.layer - 1 // that of the part, which has been applied
		if err := p.in(name); err != nil {
			return err
		}
		return p.disk.Link(name, at)
	})
}

// finish goes through what the tree has, a folder after what is in it on the disk, and
// before it in the index. first has the names of files that are in the index.
func (p *part) finish(n *node, x *Index, first map[*file]string) error {
	layer := p.tree.layer - 1
	name := n.path()
	if !n.isDir() {
		if n.set != layer {
			return nil
		}
		if old, ok := first[n.file]; ok {
			x.AddLink(name, old)
			return nil
		}
		first[n.file] = name
		x.Add(name, *n.entry())
		return nil
	}
	if n.set == layer {
		if err := p.Folder(name); err != nil {
			return err
		}
		x.Add(name, *n.entry())
	}
	if err := p.marks(n, name, x); err != nil {
		return err
	}
	for _, c := range n.sorted() {
		if err := p.finish(c, x, first); err != nil {
			return err
		}
	}
	n.hidden, n.opaque = nil, false // the next layer takes its own away
	if name != "" && p.made.at(name) == nil {
		return nil
	}
	return p.disk.Finish(name, *n.entry())
}

// marks hides what the layer took away of the folders below.
func (p *part) marks(n *node, name string, x *Index) error {
	replaces := false
	if n.parent != nil {
		_, replaces = n.parent.hidden[n.name]
	}
	if n.opaque || replaces {
		if err := p.Folder(name); err != nil {
			return err
		}
		if err := p.disk.Opaque(name); err != nil {
			return err
		}
	}
	if n.opaque {
		x.mark(path.Join(name, whiteoutOpaque))
	}
	if replaces { // what the folder was like is gone, too
		x.mark(path.Join(path.Dir(name), whiteoutPrefix+n.name))
	}
	for _, base := range slices.Sorted(maps.Keys(n.hidden)) {
		if n.children[base] != nil {
			continue // what is there says it
		}
		if err := p.Folder(name); err != nil {
			return err
		}
		x.mark(path.Join(name, whiteoutPrefix+base))
		if err := p.disk.Whiteout(path.Join(name, base)); err != nil {
			return err
		}
	}
	return nil
}

// mark adds a member that takes something away.
func (x *Index) mark(name string) {
	x.members = append(x.members, indexed{header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: time.Unix(0, 0)}})
}

// Fill makes on a disk all that a tree of indexes has. open opens the content of a file: of
// the index (counted from 0) that has its path. What it opens is closed; it is held to the
// sum that the index has, and handed to the disk as that has it, so that one that knows what
// it is may take it otherwise. Folders are the caller's to finish. Errors: those of d and
// open; ErrCorrupt for content that is not that of the index.
func (t *Tree) Fill(d Disk, open func(layer int, path string) (io.ReadCloser, error)) error {
	first := map[*file]string{}
	return t.walk(func(n *node) error {
		name := n.path()
		switch {
		case n == t.root:
			return nil
		case n.isDir():
			return d.Folder(name)
		case first[n.file] != "":
			return d.Link(name, first[n.file])
		}
		first[n.file] = name
		if n.file.size == 0 {
			return d.Create(name, *n.entry(), bytes.NewReader(nil))
		}
		if err := t.fill(d, name, n, open); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

func (t *Tree) fill(d Disk, name string, n *node, open func(int, string) (io.ReadCloser, error)) error {
	if n.file.sum == nil {
		return fmt.Errorf("%w: nothing tells its content", content.ErrCorrupt)
	}
	r, err := open(int(n.set), name)
	if err != nil {
		return err
	}
	defer r.Close()
	return d.Create(name, *n.entry(), &Summed{summed: newSummed(r, n.file), From: r})
}

// Summed is content that is held to its sum when it has been read to its end.
type Summed struct {
	*summed
	From io.Reader // what it reads, of which nothing is checked
}
