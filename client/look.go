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
	err = c.lookInto(ctx, "ls", id, p, func(in insides) error {
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

// ReadFile writes a file of an image of the store, of which it reads only the layer that
// has it. Its content is checked while it is written: after ErrCorrupt w has bytes that
// are not those of the file. Errors: those of ListFiles and of w; ErrInvalid for what is
// no file.
func (c *Client) ReadFile(ctx context.Context, id, name string, p *oci.Platform, w io.Writer) error {
	counted := &counting{w: w}
	var failed error
	err := c.lookInto(ctx, "cat", id, p, func(in insides) error {
		err := in.file(ctx, name, func(_ layer.Entry, r io.Reader) error {
			_, err := io.Copy(counted, r)
			return err
		})
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
	err = c.lookInto(ctx, "cp", id, p, func(in insides) error {
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

// copyFile copies one file.
func (in insides) copyFile(ctx context.Context, name, to string) (err error) {
	tmp, err := createBeside(to)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	err = in.file(ctx, name, func(e layer.Entry, r io.Reader) error {
		if _, err := io.Copy(tmp, r); err != nil {
			return err
		}
		if err := tmp.Chmod(os.FileMode(e.Mode).Perm()); err != nil && !errors.Is(err, errors.ErrUnsupported) && runtime.GOOS != "windows" {
			return err
		}
		return os.Chtimes(tmp.Name(), e.Time, e.Time)
	})
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fsys.Classify(err)
	}
	return fsys.Classify(os.Rename(tmp.Name(), to))
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
	return in.tree.Extract(ctx, real, in.layers, oneFile(use))
}

// oneFile is a layer.Disk for a file alone.
type oneFile func(layer.Entry, io.Reader) error

func (f oneFile) Create(_ string, e layer.Entry, r io.Reader) error { return f(e, r) }
func (f oneFile) Folder(string) error                               { return errors.ErrUnsupported }
func (f oneFile) Link(string, string) error                         { return errors.ErrUnsupported }
func (f oneFile) Remove(string) error                               { return errors.ErrUnsupported }

// lookInto makes the tree of an image.
func (c *Client) lookInto(ctx context.Context, verb, id string, p *oci.Platform, use func(insides) error) error {
	return c.withImage(ctx, verb, id, p, func(s *blobstore.Store, desc oci.Descriptor) error {
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
	if in.layers, err = c.unpackLayers(s, desc, *m, *config); err != nil {
		return in, err
	}
	all, err := indexes(ctx, s, m.Layers, in.layers)
	if err == nil {
		err = in.tree.AddIndexes(all)
	}
	return in, err
}

// indexJobs bounds how many layers are read at once.
const indexJobs = 4

// indexes are those of layers and their blobs, as the store has them or made now.
func indexes(ctx context.Context, s *blobstore.Store, blobs []oci.Descriptor, layers []layer.Input) ([]*layer.Index, error) {
	all := make([]*layer.Index, len(layers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(indexJobs, runtime.GOMAXPROCS(0)))
	for i, in := range layers {
		g.Go(func() (err error) {
			all[i], err = index(ctx, s, blobs[i].Digest, in)
			return err
		})
	}
	return all, g.Wait()
}

// index is that of a layer. One that the store has and that is not that of this layer, or
// is damaged, is made anew.
func index(ctx context.Context, s *blobstore.Store, blob oci.Digest, in layer.Input) (*layer.Index, error) {
	data, err := s.LayerIndex(ctx, blob)
	if err == nil {
		if x, perr := layer.ParseIndex(data); perr == nil && x.DiffID == in.DiffID {
			return x, nil
		}
	} else if !errors.Is(err, content.ErrNotFound) {
		return nil, err
	}
	x, err := in.Index(ctx)
	if err != nil {
		return nil, err
	}
	if data, err = x.Encode(); err != nil {
		return nil, err
	}
	return x, s.PutLayerIndex(ctx, blob, data)
}
