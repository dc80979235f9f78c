package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dist.example/content"
	"dist.example/fsys"
)

// whiteoutPrefix marks members that delete (image-spec, layer.md).
const whiteoutPrefix = ".wh."

// packer writes one folder as a tar.
type packer struct {
	ctx     context.Context
	root    string
	o       Options
	skip    []os.FileInfo
	tw      *tar.Writer
	members int
	buf     []byte
	above   []os.FileInfo // the folders that are open, outermost first
}

func newPacker(ctx context.Context, root string, o Options) (*packer, error) {
	fi, err := os.Stat(root)
	if err != nil {
		return nil, fileError(err)
	}
	if !fi.IsDir() {
		return nil, fmt.Errorf("pack %s: %w: not a folder", root, content.ErrInvalid)
	}
	skip, err := excluded(o.Exclude)
	if err != nil {
		return nil, err
	}
	return &packer{ctx: ctx, root: root, o: o, skip: skip, buf: make([]byte, 128<<10), above: []os.FileInfo{fi}}, nil
}

// pack writes the folders of the prefix and the tree.
func (p *packer) pack() error {
	prefix := cleanPrefix(p.o.Prefix)
	for i, c := range prefix {
		if c == '/' && !p.o.OmitParents {
			// Nothing tells these folders' age; they count as new.
			if err := p.header(tar.Header{Typeflag: tar.TypeDir, Name: prefix[:i], ModTime: p.o.Epoch}); err != nil {
				return err
			}
		}
	}
	if prefix != "" {
		if err := p.header(tar.Header{Typeflag: tar.TypeDir, Name: prefix, ModTime: p.above[0].ModTime()}); err != nil {
			return err
		}
		prefix += "/"
	}
	return p.folder(p.root, prefix)
}

// entry is a member to be: where it lies, what it is, and its name in the folder
// as it is sorted by.
type entry struct {
	path string
	name string
	info os.FileInfo
}

// key sorts siblings so that the whole tar is in the byte order of member names.
func (e entry) key() string {
	if e.info.IsDir() {
		return e.name + "/"
	}
	return e.name
}

// folder packs what dir holds; prefix, "" or ending in a slash, is its name in
// the tar.
func (p *packer) folder(dir, prefix string) error {
	entries, err := p.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := p.member(e, prefix+e.name); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) list(dir string) ([]entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, fileError(err)
	}
	entries := make([]entry, 0, len(found))
	for _, f := range found {
		e := entry{path: filepath.Join(dir, f.Name()), name: f.Name()}
		if e.info, err = p.look(e.path, f); err != nil {
			return nil, err
		}
		if !p.skipped(e.info) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key(), b.key()) })
	return entries, nil
}

// look tells what an entry is: the link itself, or what it leads to.
func (p *packer) look(path string, f fs.DirEntry) (os.FileInfo, error) {
	if !p.o.FollowLinks || f.Type()&fs.ModeSymlink == 0 {
		fi, err := f.Info()
		if err != nil {
			return nil, fileError(err)
		}
		return fi, nil
	}
	fi, err := os.Stat(path)
	if err == nil {
		return fi, nil
	}
	to, _ := os.Readlink(path)
	return nil, content.WithHint(fmt.Errorf("pack: follow link to %q: %w", to, fsys.Classify(err)),
		"remove the link, or pack links as links")
}

func (p *packer) skipped(fi os.FileInfo) bool {
	return slices.ContainsFunc(p.skip, func(s os.FileInfo) bool { return os.SameFile(s, fi) })
}

// member packs one entry under its full name.
func (p *packer) member(e entry, name string) error {
	if strings.HasPrefix(e.name, whiteoutPrefix) {
		return content.WithHint(fmt.Errorf("pack %s: %w: in a layer a name that begins with %s deletes", e.path, content.ErrUnsupported, whiteoutPrefix),
			"rename or remove it; layers that delete are packed from a tar")
	}
	switch mode := e.info.Mode(); mode.Type() {
	case 0:
		return p.file(e, name)
	case fs.ModeDir:
		return p.enter(e, name)
	case fs.ModeSymlink:
		return p.link(e, name)
	default:
		return content.WithHint(fmt.Errorf("pack %s: %w: %s cannot go into a layer", e.path, content.ErrUnsupported, kind(mode)),
			"remove it from the folder")
	}
}

// kind names a mode that is neither file, folder nor link.
func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}

// enter packs a folder and what it holds, unless links led here from inside it.
func (p *packer) enter(e entry, name string) error {
	for _, fi := range p.above {
		if os.SameFile(fi, e.info) {
			return content.WithHint(fmt.Errorf("pack: follow link %s: %w: it leads back to a folder that holds it", e.path, content.ErrInvalid),
				"remove the link, or pack links as links")
		}
	}
	p.above = append(p.above, e.info)
	defer func() { p.above = p.above[:len(p.above)-1] }()
	if err := p.header(tar.Header{Typeflag: tar.TypeDir, Name: name, ModTime: e.info.ModTime()}); err != nil {
		return err
	}
	return p.folder(e.path, name+"/")
}

func (p *packer) link(e entry, name string) error {
	to, err := os.Readlink(e.path)
	if err != nil {
		return fileError(err)
	}
	return p.header(tar.Header{
		Typeflag: tar.TypeSymlink, Name: name, Linkname: filepath.ToSlash(to), ModTime: e.info.ModTime(),
	})
}

func (p *packer) file(e entry, name string) error {
	f, err := os.Open(e.path)
	if err != nil {
		return fileError(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fileError(err)
	}
	if !os.SameFile(fi, e.info) || !fi.Mode().IsRegular() {
		return changed(e.path, "it was replaced")
	}
	err = p.header(tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: fi.Size(), Mode: executable(fi), ModTime: fi.ModTime(),
	})
	if err != nil {
		return err
	}
	return p.copy(f, e.path, fi.Size())
}

// executable is 0111 if the owner may execute the file.
func executable(fi os.FileInfo) int64 {
	if fi.Mode()&0o100 != 0 {
		return 0o111
	}
	return 0
}

// copy moves the file's bytes, which must be size many to the end of the file.
func (p *packer) copy(f *os.File, path string, size int64) error {
	var n int64
	for {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		k, err := f.Read(p.buf)
		if n += int64(k); n > size {
			return changed(path, fmt.Sprintf("it grew past its %d bytes", size))
		}
		if k > 0 {
			if _, werr := p.tw.Write(p.buf[:k]); werr != nil {
				return werr
			}
		}
		switch {
		case errors.Is(err, io.EOF) && n < size:
			return changed(path, fmt.Sprintf("it ended after %d of %d bytes", n, size))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fileError(err)
		}
	}
}

// header completes h in the one way that members of its type look, and writes
// it. The Mode given is the bits beyond what all have.
func (p *packer) header(h tar.Header) error {
	switch h.Typeflag {
	case tar.TypeDir:
		h.Name, h.Mode = h.Name+"/", 0o755
	case tar.TypeSymlink:
		h.Mode = 0o777
	default:
		h.Mode |= 0o644
	}
	h.ModTime = clamp(h.ModTime, p.o.Epoch)
	if !utf8.ValidString(h.Name) || !utf8.ValidString(h.Linkname) {
		h.PAXRecords = map[string]string{"hdrcharset": "BINARY"}
	}
	if err := p.tw.WriteHeader(&h); err != nil {
		return fmt.Errorf("pack %s: %w", h.Name, err)
	}
	p.members++
	return nil
}

// clamp is t in whole seconds, not after epoch and not before 1970, which USTAR
// cannot say; without an epoch it is 1970.
func clamp(t, epoch time.Time) time.Time {
	zero := time.Unix(0, 0)
	switch {
	case epoch.IsZero() || t.Before(zero):
		return zero
	case t.After(epoch):
		return epoch
	}
	return t.Truncate(time.Second)
}

func changed(path, how string) error {
	return content.WithHint(fmt.Errorf("pack %s: %w: it changed while it was read: %s", path, content.ErrConflict, how),
		"pack again when nothing writes to the folder")
}

// fileError gives an error of the file system, which has the path, its class.
func fileError(err error) error {
	return fmt.Errorf("pack: %w", fsys.Classify(err))
}
