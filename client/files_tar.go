package client

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// maxFolderEntries bounds the entries of a folder in an artifact: more files than a
// person keeps in one, and few enough to be remembered.
const maxFolderEntries = 1 << 20

// addFolder unpacks a part that is the tar of a folder.
func (w *filesWriter) addFolder(ctx context.Context, p titledPart) error {
	if err := w.folders(p.name); err != nil {
		return err
	}
	r, err := w.s.Fetch(ctx, p.desc)
	if err != nil {
		return err
	}
	defer r.Close()
	packed := bufio.NewReaderSize(content.UntilDone(ctx, r), 64<<10)
	head, err := packed.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	plain, err := layer.Decompress(packed, layer.Detect(head))
	if err != nil {
		return err
	}
	defer plain.Close()
	u := &untar{w: w, p: p, in: newPlain(content.UntilDone(ctx, plain), p.plain), buf: make([]byte, 128<<10)}
	return u.run()
}

// plainReader counts and hashes a tar.
type plainReader struct {
	r      io.Reader
	n      int64
	to     io.Writer // the hash
	digest func() oci.Digest
}

func newPlain(r io.Reader, expected oci.Digest) *plainReader {
	alg := oci.SHA256
	if expected != "" {
		alg = expected.Algorithm()
	}
	sum := alg.Digester()
	return &plainReader{r: r, to: sum.Hash(), digest: sum.Digest}
}

func (p *plainReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	_, _ = p.to.Write(b[:n]) // a hash does not fail
	return n, err
}

// untar unpacks the tar of one folder into the stage.
type untar struct {
	w       *filesWriter
	p       titledPart
	in      *plainReader
	buf     []byte
	written int64 // bytes of files
}

func (u *untar) run() error {
	tr := tar.NewReader(u.in)
	for n := 1; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it is to be the tar of a folder: entry %d: %w", content.ErrInvalid, n, err)
		}
		if err == nil && n > maxFolderEntries {
			err = fmt.Errorf("%w: more than %d entries", content.ErrUnsupported, maxFolderEntries)
		}
		if err == nil {
			err = u.entry(h, tr)
		}
		if err != nil {
			return err
		}
	}
	// Only whoever has read all of it knows that it is what the digests say.
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, u.in, u.buf); err != nil {
		return err
	}
	if sum := u.in.digest(); u.p.plain != "" && sum != u.p.plain {
		return fmt.Errorf("%w: its tar is %s in place of %s", content.ErrCorrupt, sum, u.p.plain)
	}
	return nil
}

// entry unpacks one entry. Owners, times and all rights but that to execute stay
// behind.
func (u *untar) entry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := u.path(h.Name)
	if err != nil {
		return fmt.Errorf("entry %q: %w", h.Name, err)
	}
	if name == u.p.name && h.Typeflag != tar.TypeDir {
		return fmt.Errorf("entry %q: %w: it is to be a folder", h.Name, content.ErrInvalid)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.w.folders(name)
	case tar.TypeReg:
		return u.file(name, h.FileInfo().Mode().Perm()&0o100 != 0, r)
	case tar.TypeSymlink:
		return u.symlink(name, h.Linkname)
	case tar.TypeLink:
		return u.link(name, h.Linkname)
	}
	return fmt.Errorf("entry %q: %w: it is neither file, folder nor link", h.Name, content.ErrUnsupported)
}

// path checks the name of an entry, which has to stand below the title.
func (u *untar) path(name string) (string, error) {
	clean, err := parseFilePath(name)
	if err == nil && u.p.name != "." && clean != u.p.name && !strings.HasPrefix(clean, u.p.name+"/") {
		err = fmt.Errorf("%w: it does not stand below the title", content.ErrInvalid)
	}
	return clean, err
}

func (u *untar) file(name string, executable bool, r io.Reader) error {
	mode := fs.FileMode(0o666) // as far as the user's umask lets
	if executable {
		mode = 0o777
	}
	f, err := u.w.create(name, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := u.copy(f, r)
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	u.w.entries = append(u.w.entries, staged{name: name, size: size})
	return fsys.Classify(f.Close())
}

// copy writes a file. Files that are larger than what the tar has are sparse: the
// caps on decompression do not see what they grow to.
func (u *untar) copy(f io.Writer, r io.Reader) (size int64, err error) {
	for {
		n, err := r.Read(u.buf)
		size, u.written = size+int64(n), u.written+int64(n)
		if u.written > u.in.n {
			return size, fmt.Errorf("%w: it is sparse", content.ErrUnsupported)
		}
		if _, werr := f.Write(u.buf[:n]); werr != nil {
			return size, fsys.Classify(werr)
		}
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return size, fmt.Errorf("%w: the tar ends in the middle of it", content.ErrInvalid)
		case errors.Is(err, io.EOF):
			return size, nil
		case err != nil:
			return size, err
		}
	}
}

// symlink makes a link that leads to somewhere below the folder: relative, and up
// only at its beginning, since what comes after another link would lead up from
// wherever that one leads.
func (u *untar) symlink(name, to string) error {
	clean := path.Clean(to)
	inside := filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), clean)))
	if to == "" || path.IsAbs(to) || strings.ContainsAny(to, "\\\x00") || clean != strings.TrimSuffix(to, "/") || !inside {
		return fmt.Errorf("entry %q: %w: a link to %q may lead out of the folder", name, content.ErrUnsupported, to)
	}
	if err := u.w.folders(path.Dir(name)); err != nil {
		return err
	}
	if err := u.w.fresh(name, u.w.stage.Symlink(filepath.FromSlash(to), filepath.FromSlash(name))); err != nil {
		return err
	}
	u.w.entries = append(u.w.entries, staged{name: name, kind: stagedLink})
	return nil
}

// link makes a second name of a file that came before.
func (u *untar) link(name, to string) error {
	old, err := u.path(to)
	if err != nil {
		return fmt.Errorf("entry %q: link to %q: %w", name, to, err)
	}
	fi, err := u.w.stage.Lstat(filepath.FromSlash(old))
	if err != nil || !fi.Mode().IsRegular() {
		return fmt.Errorf("entry %q: link to %q: %w: no file that came before", name, to, content.ErrInvalid)
	}
	if err := u.w.folders(path.Dir(name)); err != nil {
		return err
	}
	if err := u.w.fresh(name, u.w.stage.Link(filepath.FromSlash(old), filepath.FromSlash(name))); err != nil {
		return err
	}
	u.w.entries = append(u.w.entries, staged{name: name, size: fi.Size()})
	return nil
}
