package layer

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"dist.example/content"
)

// SquashOptions direct Squash.
type SquashOptions struct {
	// From is the index of the lowest layer that is squashed, 0 for all of them.
	From        int
	Compression Compression
}

// Squash makes one layer of layers, lowest first, from the one with the index From on,
// and streams it to w, which it does not close. On top of the layers below, the new one
// gives the file system that all layers give; see Tree for how they are put on top of
// each other. Whiteouts stay where they take something from the layers below; those of
// all layers vanish.
//
// The tar is a function of the tars alone. First come, in the byte order of their
// names, folders, whiteouts, and whatever else has no content; then files, in the order
// of the layers and members that have their content. Hard links follow their file. A
// file whose name others linked to and that is gone lives on under the first of the
// others. Owners, modes, times of modification and extended attributes are the
// members'; other times, and what a tar says of itself, are not kept. A folder that no
// member is for gets one, of root's with the mode 0755 and the time 0. Headers are
// USTAR where that can say it, else PAX.
//
// Each layer is read twice, those below From and those without content that is left
// once. w is called from another goroutine, never after Squash has returned. Errors:
// those of Tree.Apply, and of w, wrapped.
func Squash(ctx context.Context, w io.Writer, layers []Input, o SquashOptions) (Result, error) {
	if o.From < 0 || o.From >= len(layers) {
		return Result{}, fmt.Errorf("squash: %w: there is no layer %d of %d", content.ErrInvalid, o.From+1, len(layers))
	}
	t := NewTree(false)
	t.from = int32(o.From)
	if err := t.ApplyAll(ctx, layers, nil); err != nil {
		return Result{}, err
	}
	return stream(w, o.Compression, func(tw *tar.Writer) (int, error) {
		s := &squashing{tree: t, tw: tw, contents: make([][]*remains, len(layers)), first: map[*file]*node{}}
		if err := s.heads(); err != nil {
			return 0, err
		}
		buf := make([]byte, 128<<10)
		for i, in := range layers {
			if err := s.bodies(ctx, in, s.contents[i], buf); err != nil {
				return 0, err
			}
		}
		return s.members, nil
	})
}

// squashing writes what a tree has from a layer on.
type squashing struct {
	tree     *Tree
	tw       *tar.Writer
	members  int
	contents [][]*remains // by layer
	// first is where a file without content is written, or where the layers below
	// have a file. No paths: behind a link to a deep folder each may have MaxPath
	// bytes, of which a header says few.
	first map[*file]*node
}

// remains is a file whose content is written, with all its names.
type remains struct {
	file  *file
	names []*node
}

// heads writes all that has no content, and collects what has.
func (s *squashing) heads() error {
	s.below()
	late := map[*file]*remains{}
	err := s.tree.walk(func(n *node) error {
		f := n.file
		if n.isDir() {
			return s.folder(n)
		}
		if n.set < s.tree.from {
			return nil
		}
		target, linked := s.first[f]
		switch {
		case linked:
			return s.header(f.linkHeader(n.path(), target.path()))
		case f.size == 0:
			s.first[f] = n
			return s.header(f.header(n.path()))
		case late[f] == nil:
			late[f] = &remains{file: f}
			s.contents[f.layer] = append(s.contents[f.layer], late[f])
		}
		late[f].names = append(late[f].names, n)
		return nil
	})
	for _, c := range s.contents {
		slices.SortFunc(c, func(a, b *remains) int { return cmp.Compare(a.file.member, b.file.member) })
	}
	return err
}

// below finds, of files of the layers below that got more names, one that those layers
// have given them and that is left.
func (s *squashing) below() {
	from := s.tree.from
	if from == 0 {
		return
	}
	wanted := map[*file]bool{}
	// What is visited does not fail.
	_ = s.tree.walk(func(n *node) error {
		if !n.isDir() && n.set >= from && n.file.layer < from {
			wanted[n.file] = true
		}
		return nil
	})
	_ = s.tree.walk(func(n *node) error {
		if !n.isDir() && n.set < from && wanted[n.file] {
			wanted[n.file], s.first[n.file] = false, n
		}
		return nil
	})
}

// folder writes a folder, if it is of the layers that are squashed, and its whiteouts.
// One that no member is for is written too: it may be empty, or in the place of
// something else that the layers below have.
func (s *squashing) folder(n *node) error {
	replaces := false
	if n.parent != nil {
		_, replaces = n.parent.hidden[n.name]
	}
	f := n.file
	if f == nil {
		f = impliedFolder()
	}
	if n.set >= s.tree.from || n.parent != nil && n.born >= s.tree.from {
		if err := s.header(f.header(n.path())); err != nil {
			return err
		}
	}
	if replaces || n.opaque {
		if err := s.whiteout(n, whiteoutOpaque); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.hidden)) {
		if n.children[name] != nil {
			continue // what is there says it
		}
		if err := s.whiteout(n, whiteoutPrefix+name); err != nil {
			return err
		}
	}
	return nil
}

func (s *squashing) whiteout(dir *node, name string) error {
	f := &file{kind: kindFile, mode: 0o644, time: time.Unix(0, 0)}
	return s.header(f.header(path.Join(dir.path(), name)))
}

// header writes and counts one.
func (s *squashing) header(h *tar.Header) error {
	if err := s.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("squash %q: %w", h.Name, headerError(h, err))
	}
	s.members++
	return nil
}

// bodies reads a layer again and writes the files whose content it has.
func (s *squashing) bodies(ctx context.Context, in Input, todo []*remains, buf []byte) error {
	if len(todo) == 0 {
		return nil
	}
	return in.walk(ctx, func(_ *tar.Header, member int, r io.Reader) error {
		if len(todo) == 0 || int(todo[0].file.member) != member {
			return nil
		}
		one := todo[0]
		todo = todo[1:]
		return s.body(one, r, buf)
	})
}

// body writes one file under all its names.
func (s *squashing) body(one *remains, r io.Reader, buf []byte) error {
	f, name := one.file, one.names[0].path()
	if err := s.header(f.header(name)); err != nil {
		return err
	}
	// Hidden, or the reader would be asked to write by itself, in small steps.
	n, err := io.CopyBuffer(struct{ io.Writer }{s.tw}, io.LimitReader(r, f.size), buf)
	if err == nil && n < f.size {
		err = fmt.Errorf("%w: %s has other bytes than before", content.ErrCorrupt, name)
	}
	for _, more := range one.names[1:] {
		if err == nil {
			err = s.header(f.linkHeader(more.path(), name))
		}
	}
	return err
}
