package unpack

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/layer"
)

// Copy makes a folder that has what one of a tree of indexes has, as Rootfs makes one: of
// layers, those of the tree, it reads what it takes for that. Files have their permissions
// and times, and belong to whoever copies them; setuid bits, extended attributes and
// devices are left out. Errors: those of Rootfs and of layer.Tree.Extract.
func Copy(ctx context.Context, dir string, tree *layer.Tree, name string, layers []layer.Input, o Options) (Result, error) {
	o.Rootless, o.plain = true, true
	var res Result
	err := place(ctx, dir, o, func(st *stage) error {
		d := newDisk(ctx, st.tree, o, false, &res)
		defer d.dirs.close()
		base, e, err := tree.Lookup(name)
		if err != nil {
			return err
		}
		if e.Type != layer.TypeFolder {
			return fmt.Errorf("%s: %w: it is no folder", name, content.ErrInvalid)
		}
		if err := tree.Extract(ctx, name, layers, d); err != nil {
			return err
		}
		d.dirs.close()
		return finishBelow(tree, base, d)
	})
	return res, err
}

// finishBelow finishes the folders that a tree has below one, and that itself, from the
// innermost outwards.
func finishBelow(tree *layer.Tree, base string, d *disk) error {
	type folder struct {
		rel   string
		entry layer.Entry
	}
	var all []folder
	err := tree.Each(base, -1, func(path string, e layer.Entry) error {
		if e.Type == layer.TypeFolder {
			all = append(all, folder{strings.TrimPrefix(strings.TrimPrefix(path, base), "/"), e})
		}
		return nil
	})
	for _, f := range slices.Backward(all) {
		if err == nil {
			err = d.finish(f.rel, f.entry)
		}
	}
	return err
}
