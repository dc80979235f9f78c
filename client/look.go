package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

// ImageFile is what an image has at a path, which is absolute.
type ImageFile struct {
	Path string
	layer.Entry
}

// insides is an image that is looked into: the tree of its layers, by their indexes.
type insides struct {
	tree   *layer.Tree
	layers []layer.Input
}

// ListFiles is what an image of the store has at a path, of an index that for a platform:
// what a container of it sees. Of a folder it is what is in it, a folder before what is in
// that; of anything else it is that alone. all goes into folders, too. Links on the way
// are followed within the image, also one at the end.
//
// The layers are read when somebody first looks into them; an index of what is in each is
// kept then, and nothing is read any more. Errors: those of Unpack for the image;
// ErrNotFound for a path that it does not have, ErrInvalid for what is no path.
func (c *Client) ListFiles(ctx context.Context, id, name string, p *oci.Platform, all bool) (files []ImageFile, err error) {
	err = c.lookInto(ctx, id, p, func(in insides) error {
		files = nil
		real, e, err := in.tree.Lookup(name)
		if err != nil {
			return err
		}
		levels := 1
		if all {
			levels = -1
		}
		return in.tree.Each(real, levels, func(at string, found layer.Entry) error {
			if at != real || e.Type != layer.TypeFolder {
				files = append(files, ImageFile{"/" + at, found})
			}
			return nil
		})
	})
	return files, err
}

// ReadFiles writes files of an image of the store, one after the other, of which it reads
// only the layers that have them. Content is checked while it is written: after ErrCorrupt w
// has bytes that are not those of a file. Errors: those of ListFiles and of w; ErrInvalid
// for what is no file.
func (c *Client) ReadFiles(ctx context.Context, id string, names []string, p *oci.Platform, w io.Writer) error {
	counted := &counting{w: w}
	var failed error
	err := c.lookInto(ctx, id, p, func(in insides) error {
		var err error
		for _, name := range names {
			if err == nil {
				err = in.file(ctx, name, func(_ layer.Entry, r io.Reader) error {
					_, err := io.Copy(counted, r)
					return err
				})
			}
		}
		if counted.n > 0 { // it cannot be written again
			failed = err
			return nil
		}
		return err
	})
	return errors.Join(err, failed)
}

// counting counts what is written.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Copied is the outcome of CopyFiles.
type Copied struct {
	unpack.Result
	Path string // of the file or folder that was made
}

// CopyFiles copies a file or folder of an image of the store to a place on the disk: into
// a folder that is there, else to that name. A file replaces one that is there; a folder
// needs an empty place, as unpack.Copy has it. What is copied appears when it is whole.
// Errors: those of ListFiles, unpack.Copy and the file system.
func (c *Client) CopyFiles(ctx context.Context, id, name, to string, p *oci.Platform) (out Copied, err error) {
	err = c.lookInto(ctx, id, p, func(in insides) error {
		real, e, err := in.tree.Lookup(name)
		if err != nil {
			return err
		}
		if out.Path, err = destination(real, path.Base(path.Clean("/"+name)), to); err != nil {
			return err
		}
		if e.Type == layer.TypeFolder {
			out.Result, err = unpack.Copy(ctx, out.Path, in.tree, real, in.layers, unpack.Options{Hook: c.opts.Hook})
			return err
		}
		out.Result = unpack.Result{Files: 1, Size: e.Size}
		return in.copyFile(ctx, real, out.Path)
	})
	return out, err
}

// destination is where something called base is copied to.
func destination(real, base, to string) (string, error) {
	fi, err := os.Stat(to)
	if err != nil || !fi.IsDir() {
		return to, nil
	}
	if real == "" {
		return to, nil // the root has no name; the folder has to be empty
	}
	if !filepath.IsLocal(base) {
		return "", fmt.Errorf("%w: %q is no file's name on this system", content.ErrUnsupported, base)
	}
	return filepath.Join(to, base), nil
}

// copyFile copies one file. What is no regular file where it is to go gets its content.
func (in insides) copyFile(ctx context.Context, name, to string) error {
	out, err := createOutput(ctx, to)
	if err != nil {
		return err
	}
	defer out.abandon()
	err = in.file(ctx, name, func(e layer.Entry, r io.Reader) error {
		if out.place == "" {
			_, err := io.Copy(out, r)
			return err
		}
		// What it is to be comes after its content: it may be for few eyes.
		if err := out.Chmod(0o600); err != nil && runtime.GOOS != "windows" {
			return err
		}
		if err := unpack.WriteContent(ctx, out.File, e, r); err != nil {
			return err
		}
		if err := out.Chmod(os.FileMode(e.Mode).Perm()); err != nil && runtime.GOOS != "windows" {
			return err
		}
		return os.Chtimes(out.Name(), e.Time, e.Time)
	})
	if err != nil {
		return fsys.Classify(err)
	}
	return out.finish()
}

// file hands the content of a file to use.
func (in insides) file(ctx context.Context, name string, use func(layer.Entry, io.Reader) error) error {
	real, e, err := in.tree.Lookup(name)
	if err != nil {
		return err
	}
	if e.Type != layer.TypeFile {
		return fmt.Errorf("%s: %w: it is a %s, and no file", name, content.ErrInvalid, e.Type)
	}
	// Holes take no reading of a layer, which would notice the end of ctx.
	return in.tree.Extract(ctx, real, in.layers, oneFile(func(e layer.Entry, r io.Reader) error { return use(e, content.UntilDone(ctx, r)) }))
}

// oneFile is a layer.Disk for a file alone.
type oneFile func(layer.Entry, io.Reader) error

func (f oneFile) Create(_ string, e layer.Entry, r io.Reader) error { return f(e, r) }
func (f oneFile) Folder(string) error                               { return errors.ErrUnsupported }
func (f oneFile) Link(string, string) error                         { return errors.ErrUnsupported }
func (f oneFile) Remove(string) error                               { return errors.ErrUnsupported }

// lookInto makes the tree of an image.
func (c *Client) lookInto(ctx context.Context, id string, p *oci.Platform, use func(insides) error) error {
	return c.withImage(ctx, "", id, p, func(s *blobstore.Store, desc oci.Descriptor) error {
		in, err := c.insidesOf(ctx, s, id, desc, layer.NewTree(false))
		if err != nil {
			return err
		}
		return use(in)
	})
}

// insidesOf fills a tree with an image.
func (c *Client) insidesOf(ctx context.Context, s *blobstore.Store, id string, desc oci.Descriptor, t *layer.Tree) (insides, error) {
	in := insides{tree: t}
	m, config, err := c.readImage(ctx, s, id, desc)
	if err != nil {
		return in, err
	}
	observed, err := c.unpackLayers(s, desc, *m, *config)
	if err != nil {
		return in, err
	}
	// What is read of a layer later may be a part of it, which is no failure to tell.
	in.layers = layerInputs(s, *m, config.RootFS.DiffIDs)
	all, err := indexes(ctx, s, m.Layers, observed)
	if err == nil {
		err = in.tree.AddIndexes(all)
	}
	return in, err
}

// indexJobs bounds how many layers are read at once.
const indexJobs = 4

// indexes are those of layers and their blobs, as the store has them or made now. All are
// held to the caps of one tree.
func indexes(ctx context.Context, s *blobstore.Store, blobs []oci.Descriptor, layers []layer.Input) ([]*layer.Index, error) {
	x := &indexing{made: map[oci.Digest][]byte{}}
	type key struct{ blob, diff oci.Digest }
	all, first := make([]*layer.Index, len(layers)), map[key]int{}
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(min(indexJobs, runtime.GOMAXPROCS(0)))
	for i, in := range layers {
		k := key{blobs[i].Digest, in.DiffID}
		if _, again := first[k]; again {
			continue
		}
		first[k] = i
		g.Go(func() (err error) {
			all[i], err = x.index(running, s, blobs[i].Digest, in)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, in := range layers {
		all[i] = all[first[key{blobs[i].Digest, in.DiffID}]]
	}
	return all, s.PutLayerIndexes(ctx, x.made)
}

// indexing is one run of indexes.
type indexing struct {
	budget layer.IndexBudget
	mu     sync.Mutex
	made   map[oci.Digest][]byte // to be kept, by blob
}

// index is that of a layer. One that the store has and that is not that of this layer, or
// is damaged, is made anew.
func (x *indexing) index(ctx context.Context, s *blobstore.Store, blob oci.Digest, in layer.Input) (*layer.Index, error) {
	data, err := s.LayerIndex(ctx, blob)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		kept, err := layer.ParseIndex(data, &x.budget)
		if err == nil && kept.DiffID == in.DiffID {
			return kept, nil
		}
		if errors.Is(err, content.ErrUnsupported) {
			return nil, err
		}
	}
	made, err := in.Index(ctx, &x.budget)
	if err != nil {
		return nil, err
	}
	if data, err = made.Encode(); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.made[blob] = data
	return made, nil
}
