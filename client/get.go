package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Stat finds an object by id, without reading it.
func (c *Client) Stat(ctx context.Context, id string) (content.Info, error) {
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return content.Info{}, err
	}
	return s.Info(ctx, desc.Digest)
}

// find finds an object for whoever asks about it.
func (c *Client) find(ctx context.Context, id string) (*blobstore.Store, oci.Descriptor, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	desc, err := peek(ctx, s, id)
	return c.healing(s), desc, err
}

// Check returns nil only if the object is held and its bytes, all of them read,
// still hash to its digest.
func (c *Client) Check(ctx context.Context, id string) error {
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return err
	}
	return s.Check(blobstore.AsItIs(ctx), desc.Digest)
}

// Get opens an object. The reader verifies: on damage it ends with ErrCorrupt in
// place of io.EOF. The caller closes it.
func (c *Client) Get(ctx context.Context, id string) (content.Info, io.ReadCloser, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return content.Info{}, nil, err
	}
	desc, err := lookup(ctx, s, id)
	if err != nil {
		return content.Info{}, nil, err
	}
	info, err := c.healing(s).Info(ctx, desc.Digest)
	if err != nil {
		return info, nil, err
	}
	r, err := s.Fetch(ctx, info.Descriptor())
	return info, r, err
}

// GetFile writes an object to a file, replacing it only once all bytes have been
// verified; before that, nothing has the file's name. Where the file system can,
// the blocks are shared with the store and no byte is copied.
func (c *Client) GetFile(ctx context.Context, id, path string) (info content.Info, err error) {
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return info, err
	}
	if info, err = s.Info(ctx, desc.Digest); err != nil {
		return info, err
	}
	tmp, err := createBeside(path)
	if err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	err = fill(ctx, s, info.Descriptor(), tmp)
	if c.mended(ctx, err) {
		if err = empties(tmp); err == nil {
			err = fill(ctx, s, info.Descriptor(), tmp)
		}
	}
	if err != nil {
		return info, fsys.Classify(err)
	}
	if err := tmp.Close(); err != nil {
		return info, fsys.Classify(err)
	}
	c.hook("get.written")
	return info, fsys.Classify(os.Rename(tmp.Name(), path))
}

// empties begins a file anew.
func empties(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return errors.Join(err, f.Truncate(0))
}

// createBeside makes a new file in path's folder, with the rights that a file
// made by this user has.
func createBeside(path string) (*os.File, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return nil, fmt.Errorf("write %s: %w: it is a folder", path, content.ErrInvalid)
	}
	var r [6]byte
	rand.Read(r[:])
	f, err := os.OpenFile(path+"."+hex.EncodeToString(r[:]), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	var named *fs.PathError
	if errors.As(err, &named) { // the name that was asked for says more
		named.Path = path
	}
	return f, fsys.Classify(err)
}

// fill writes desc to f and verifies what f has then.
func fill(ctx context.Context, s *blobstore.Store, desc oci.Descriptor, f *os.File) error {
	ra, err := s.ReaderAt(ctx, desc)
	if err != nil {
		return err
	}
	defer ra.Close()
	if b, ok := ra.(content.Backed); ok {
		if src, _, _ := b.File(); src != nil {
			if _, err := fsys.Clone(ctx, f, src); err != nil {
				return err
			}
			return verifyFile(ctx, s, desc, f)
		}
	}
	r, err := s.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(f, r)
	return err
}

// verifyFile hashes a copy. When it is wrong the original decides whose fault it
// is: reading it marks the object.
func verifyFile(ctx context.Context, s *blobstore.Store, desc oci.Descriptor, f *os.File) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(struct{ io.Writer }{io.Discard}, content.Verify(content.UntilDone(ctx, f), desc))
	if errors.Is(err, content.ErrCorrupt) {
		if cerr := s.Check(ctx, desc.Digest); cerr != nil {
			return cerr
		}
	}
	return err
}

// List lists everything the store holds, in the order of content.Manager.All.
func (c *Client) List(ctx context.Context) iter.Seq2[content.Info, error] {
	s, err := c.Open(ctx)
	if err != nil {
		return func(yield func(content.Info, error) bool) { yield(content.Info{}, err) }
	}
	return s.All(ctx)
}

// Path returns an object's digest and the absolute name of a file with exactly
// its bytes, see blobstore.Store.Path.
func (c *Client) Path(ctx context.Context, id string) (oci.Digest, string, error) {
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return "", "", err
	}
	path, err := s.Path(ctx, desc.Digest)
	return desc.Digest, path, err
}

// StoreInfo tells of the store as a whole.
type StoreInfo struct {
	Dir      string
	UUID     string
	ReadOnly bool
	Disk     blobstore.Disk
	blobstore.Totals
	Settings Settings
	Usage    blobstore.Usage
}

// StoreInfo counts what the store holds.
func (c *Client) StoreInfo(ctx context.Context) (StoreInfo, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return StoreInfo{}, err
	}
	info := StoreInfo{Dir: s.Dir(), UUID: s.UUID(), ReadOnly: s.ReadOnly()}
	if info.Totals, err = s.Totals(ctx); err != nil {
		return info, err
	}
	if info.Settings, err = s.Settings(ctx); err != nil {
		return info, err
	}
	if info.Usage, err = s.Usage(ctx); err != nil {
		return info, err
	}
	info.Disk, err = s.Disk()
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil // the system does not say
	}
	return info, err
}
