package unpack

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"dist.example/fsys"
	"dist.example/layer"
)

// Source is what a root filesystem is made of: Layers, Snapshots, or an Overlay.
type Source interface {
	// fill makes it in an empty folder. shut lets nobody else into it.
	fill(ctx context.Context, st *stage, root *os.Root, o Options, shut bool, res *Result) (*layer.Tree, error)
	// open opens a file of the tree that was made in root.
	open(root *os.Root, name string) (io.ReadCloser, error)
	// placed is called once the folder has its name; root is where the tree is.
	placed(ctx context.Context, root string) error
}

// Layers are those of an image, the lowest first.
type Layers []layer.Input

func (layers Layers) fill(ctx context.Context, _ *stage, root *os.Root, o Options, shut bool, res *Result) (*layer.Tree, error) {
	d := newDisk(ctx, root, o, shut, res)
	defer d.dirs.close()
	tree := layer.NewTree(false)
	tree.Make(d)
	if err := tree.ApplyAll(ctx, layers, func() { o.hook("unpack.layer") }); err != nil {
		return nil, err
	}
	d.dirs.close()
	return tree, tree.Folders(d.finish)
}

func (Layers) open(root *os.Root, name string) (io.ReadCloser, error) {
	f, err := root.Open(filepath.FromSlash(name))
	return f, fsys.Classify(err)
}

func (Layers) placed(context.Context, string) error { return nil }
