package layer

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"dist.example/content"
)

// Extract makes on a disk what a tree that was made of indexes has at a path, as Lookup
// finds it: of a folder what is in it, by names below it; of anything else that alone, by
// its own name. layers are those of the indexes. A layer is read as far as there is
// something in it to make, and content is held to its sum; one that has content without a
// sum is read to its end, and held to its diff_id. Folders of the disk are the caller's to
// finish: Each shows what they are to be like.
//
// Errors: those of Lookup and Apply, and of d; ErrCorrupt for content that is not that of
// the index.
func (t *Tree) Extract(ctx context.Context, name string, layers []Input, d Disk) error {
	n, err := t.find(name)
	if err != nil {
		return err
	}
	x := &extraction{disk: d, contents: make([][]*remains, len(layers)), base: n.path()}
	if !n.isDir() {
		x.base = n.parent.path()
	}
	if err := x.plan(n); err != nil {
		return err
	}
	for i, in := range layers {
		if err := x.layer(ctx, in, x.contents[i]); err != nil {
			return err
		}
	}
	return nil
}

// Each shows what a tree has at a path, as Lookup finds it, and, of a folder, what is below
// it: a folder before what is in it, in the byte order of names, at most so many levels
// below the path, and all of them for less than 0. The paths are those of the tree. An
// error of visit ends it.
func (t *Tree) Each(name string, levels int, visit func(path string, e Entry) error) error {
	n, err := t.find(name)
	if err != nil {
		return err
	}
	return n.each(levels, visit)
}

func (n *node) each(levels int, visit func(string, Entry) error) error {
	if err := visit(n.path(), *n.entry()); err != nil || levels == 0 {
		return err
	}
	for _, c := range n.sorted() {
		if err := c.each(levels-1, visit); err != nil {
			return err
		}
	}
	return nil
}

// find is lookup for a path as callers write it.
func (t *Tree) find(name string) (*node, error) {
	parts, err := splitName(name)
	if err != nil {
		return nil, err
	}
	n, err := t.lookup(parts)
	if err == nil && n == nil {
		err = content.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// extraction is one run of Extract.
type extraction struct {
	disk     Disk
	base     string       // the folder that paths are below
	contents [][]*remains // by layer
}

// rel is n's path below the base.
func (x *extraction) rel(n *node) string {
	p := n.path()
	if x.base == "" {
		return p
	}
	return strings.TrimPrefix(strings.TrimPrefix(p, x.base), "/")
}

// plan makes folders and what has no content, and collects what has.
func (x *extraction) plan(top *node) error {
	late, first := map[*file]*remains{}, map[*file]*node{}
	err := top.walk(func(n *node) error {
		f := n.file
		switch {
		case n.isDir() && n == top:
			return nil
		case n.isDir():
			return x.disk.Folder(x.rel(n))
		case f.size > 0:
			if late[f] == nil {
				late[f] = &remains{file: f}
				x.contents[f.layer] = append(x.contents[f.layer], late[f])
			}
			late[f].names = append(late[f].names, n)
			return nil
		case first[f] != nil:
			return x.disk.Link(x.rel(n), x.rel(first[f]))
		}
		first[f] = n
		return x.disk.Create(x.rel(n), *n.entry(), bytes.NewReader(nil))
	})
	for _, c := range x.contents {
		slices.SortFunc(c, func(a, b *remains) int { return cmp.Compare(a.file.member, b.file.member) })
	}
	return err
}

// errEnough ends the reading of a layer that has nothing more to give.
var errEnough = errors.New("enough")

// layer reads a layer as far as it has something to give.
func (x *extraction) layer(ctx context.Context, in Input, todo []*remains) error {
	if len(todo) == 0 {
		return nil
	}
	// Its digest tells of content that has no sum.
	whole := slices.ContainsFunc(todo, func(r *remains) bool { return r.file.sum == nil })
	err := in.walk(ctx, func(_ *tar.Header, member int, r io.Reader) error {
		if len(todo) == 0 || int(todo[0].file.member) != member {
			return nil
		}
		one := todo[0]
		var s *summed
		if todo = todo[1:]; one.file.sum != nil {
			s = newSummed(r, one.file)
			r = s
		}
		if err := x.file(one, r); err != nil {
			return err
		}
		// Whoever takes so many bytes and no end has had no verdict.
		if s != nil && !s.done {
			if n, err := s.Read(make([]byte, 1)); n > 0 || err != io.EOF {
				return errors.Join(fmt.Errorf("%s: %w: it is not as long as it says", one.names[0].path(), content.ErrCorrupt), err)
			}
		}
		if len(todo) == 0 && !whole {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(todo) > 0 {
		return fmt.Errorf("%s: %w: it has other members than its index", in.Name, content.ErrCorrupt)
	}
	return nil
}

// file makes one under all its names.
func (x *extraction) file(one *remains, r io.Reader) error {
	name := one.names[0]
	if err := x.disk.Create(x.rel(name), *name.entry(), r); err != nil {
		return fmt.Errorf("%s: %w", name.path(), err)
	}
	for _, more := range one.names[1:] {
		if err := x.disk.Link(x.rel(more), x.rel(name)); err != nil {
			return err
		}
	}
	return nil
}

// summed passes content on, and holds it to its size and sum when it ends.
type summed struct {
	r    io.Reader
	sum  hash.Hash
	want [sha256.Size]byte
	left int64
	done bool // the verdict is known
}

func newSummed(r io.Reader, f *file) *summed {
	return &summed{r: r, sum: sha256.New(), want: *f.sum, left: f.size}
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	s.left -= int64(n)
	s.done = s.done || err == io.EOF
	if err == io.EOF && (s.left != 0 || !bytes.Equal(s.sum.Sum(nil), s.want[:])) || s.left < 0 {
		return n, fmt.Errorf("%w: it has other content than its index says", content.ErrCorrupt)
	}
	return n, err
}
