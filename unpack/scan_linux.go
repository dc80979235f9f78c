package unpack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// Scan is what a folder has now, as the index of a layer that has all of it; base is the
// tree, with sums, of the image that r says it was unpacked from. Content is read where
// something speaks for it that it is not that of base: another size or time, or a change
// since. What could not be made of the image, and what only tells how it was unpacked, is
// as in base: owners and devices of one that was unpacked without root, above all. Sockets
// are left out.
//
// Errors: ErrUnsupported for a name that would delete in a layer, and for what is beyond
// the caps of package layer; ErrConflict where something is mounted in the folder, and for
// what changes meanwhile; ErrDenied for what root, or another user namespace, has unpacked;
// those of the file system. Linux alone: ErrUnsupported elsewhere.
func Scan(ctx context.Context, root *os.Root, base *layer.Tree, r Record) (*layer.Index, error) {
	if r.Image != "" && !r.Rootless && r.Users != users() {
		return nil, content.WithHint(fmt.Errorf("%w: its owners are those of another user namespace", content.ErrDenied),
			"what was unpacked with --subids is looked at with --subids, as the same user")
	}
	if r.Image != "" && !r.Rootless && os.Geteuid() != 0 {
		return nil, content.WithHint(fmt.Errorf("%w: root unpacked it", content.ErrDenied), "do it as root")
	}
	s := &scan{
		ctx: ctx, root: root, base: base, r: r, index: &layer.Index{}, seen: map[string]bool{},
		links: map[link]string{}, buf: make([]byte, 256<<10), elsewhere: r.Users != users() && os.Geteuid() == 0,
	}
	if err := s.folder("", true); err != nil {
		return nil, err
	}
	return s.index, s.absent()
}

// link is a file that has several names.
type link struct{ device, inode uint64 }

// gone words what somebody has taken away, or made something else, since it was listed.
func gone(name string, err error) error {
	for _, changed := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.EINVAL, syscall.ELOOP} {
		if errors.Is(err, changed) {
			return fmt.Errorf("/%s: %w: it changed while it was looked at: %w", name, content.ErrConflict, err)
		}
	}
	return fsys.Classify(err)
}

// scan is one run of Scan.
type scan struct {
	ctx   context.Context
	root  *os.Root
	base  *layer.Tree
	r     Record
	index *layer.Index
	links map[link]string // of files with several names, the first
	seen  map[string]bool // folders
	buf   []byte
	count int // of entries
	// elsewhere says that this is another user namespace than that of who unpacked, who is
	// root here.
	elsewhere bool
}

// folder adds a folder and all that is in it. kept says that its files are those that were
// unpacked there, as far as their folders tell: to give a folder another name changes none
// of what is in it, but itself. (The root got its name last.)
func (s *scan) folder(name string, kept bool) error {
	dir, err := s.root.Open(filepath.FromSlash(orDot(name)))
	if err != nil {
		return gone(name, err)
	}
	defer dir.Close()
	fi, err := dir.Stat()
	if err != nil {
		return fsys.Classify(err)
	}
	kept = kept && (name == "" || s.old(fi))
	if err := s.add(dir, ".", name, fi, kept); err != nil {
		return err
	}
	s.seen[name] = true
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fsys.Classify(err)
	}
	slices.Sort(names)
	for _, base := range names {
		if err := s.entry(dir, base, path.Join(name, base), kept); err != nil {
			return err
		}
	}
	return nil
}

// entry adds what is in a folder under a name.
func (s *scan) entry(dir *os.File, base, name string, kept bool) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	if strings.HasPrefix(base, ".wh.") {
		return content.WithHint(fmt.Errorf("/%s: %w: in a layer a name that begins with .wh. deletes", name, content.ErrUnsupported), "rename or remove it")
	}
	if s.count++; s.count > layer.MaxEntries || len(name) > layer.MaxPath {
		return fmt.Errorf("/%s: %w: there is more than %d entries, or it is longer than %d bytes", name, content.ErrUnsupported, layer.MaxEntries, layer.MaxPath)
	}
	mounted, err := fsys.IsMount(dir, base)
	if err != nil {
		return gone(name, err)
	}
	if mounted {
		return content.WithHint(fmt.Errorf("/%s: %w: something is mounted there", name, content.ErrConflict), "unmount it")
	}
	fi, err := s.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return gone(name, err)
	}
	switch {
	case fi.IsDir():
		return s.folder(name, kept)
	case fi.Mode()&fs.ModeSocket != 0:
		return nil
	}
	if d, _ := fsys.DetailOf(fi); d.Links > 1 {
		l := link{d.Device, d.Inode}
		if first, ok := s.links[l]; ok {
			s.index.AddLink(name, first)
			return nil
		}
		s.links[l] = name
	}
	return s.add(dir, base, name, fi, kept)
}

// old says whether a file has last changed while the image was unpacked.
func (s *scan) old(fi fs.FileInfo) bool {
	d, _ := fsys.DetailOf(fi)
	return !d.Changed.Before(s.r.Started) && d.Changed.Before(s.r.Finished)
}

// add adds one entry.
func (s *scan) add(dir *os.File, base, name string, fi fs.FileInfo, kept bool) error {
	e, err := s.describe(dir, base, name, fi, kept)
	if err == nil {
		s.index.Add(name, e)
	}
	return err
}

var entryTypes = map[fs.FileMode]string{
	0: layer.TypeFile, fs.ModeDir: layer.TypeFolder, fs.ModeSymlink: layer.TypeLink, fs.ModeNamedPipe: layer.TypePipe,
	fs.ModeDevice: layer.TypeBlockDevice, fs.ModeDevice | fs.ModeCharDevice: layer.TypeCharDevice,
}

func (s *scan) describe(dir *os.File, base, name string, fi fs.FileInfo, kept bool) (layer.Entry, error) {
	d, _ := fsys.DetailOf(fi)
	was, known := s.base.At(name)
	e := layer.Entry{Type: entryTypes[fi.Mode().Type()], Mode: modeOf(fi.Mode()), UID: d.UID, GID: d.GID, Time: fi.ModTime()}
	if s.r.Mounted && s.r.Rootless && known && e.Mode == was.Mode|uint32(readable(was.Type)) {
		e.Mode = was.Mode
	}
	if s.r.Rootless && (d.UID == s.r.UID || s.elsewhere && d.UID == 0) {
		e.UID, e.GID = 0, 0
		if known {
			e.UID, e.GID = was.UID, was.GID
		}
	}
	if name == "" && s.r.Closed && e.Mode == uint32(making) {
		e.Mode = was.Mode
	}
	var err error
	of := was
	if was.Type != e.Type {
		of = layer.Entry{}
	}
	if e.Xattrs, err = s.xattrs(dir, base, of); err != nil {
		return e, gone(name, err)
	}
	switch e.Type {
	case layer.TypeCharDevice, layer.TypeBlockDevice:
		e.Major, e.Minor = d.Major, d.Minor
	case layer.TypeLink:
		e.Mode = 0o777
		if e.Target, err = s.root.Readlink(filepath.FromSlash(name)); err != nil {
			return e, gone(name, err)
		}
	case layer.TypeFile:
		e.Size = fi.Size()
		same := known && was.Type == layer.TypeFile && was.Size == e.Size && was.Time.Equal(e.Time)
		if same && was.Digest != "" && kept && s.old(fi) {
			e.Digest = was.Digest
		} else if e.Size > 0 {
			e.Digest, err = s.hash(name, fi)
		}
	}
	return e, err
}

// xattrs are an entry's extended attributes, and what else its records say in the image.
func (s *scan) xattrs(dir *os.File, base string, was layer.Entry) (map[string]string, error) {
	found, err := fsys.Xattrs(dir, base)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(found, func(key, _ string) bool {
		_, known := was.Xattrs[key]
		return !settable(key) || key == "security.selinux" && !known // which the system gives
	})
	for key, value := range was.Xattrs {
		lost := !settable(key) || s.r.Skipped.Xattrs > 0
		if _, there := found[key]; !there && lost {
			if found == nil {
				found = map[string]string{}
			}
			found[key] = value
		}
	}
	return found, nil
}

// hash reads a file.
func (s *scan) hash(name string, fi fs.FileInfo) (oci.Digest, error) {
	f, err := openRegular(s.root, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return "", fsys.Classify(err)
	}
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{content.UntilDone(s.ctx, io.LimitReader(f, fi.Size()+1))}, s.buf)
	if err != nil {
		return "", fsys.Classify(err)
	}
	if n != fi.Size() || !os.SameFile(fi, now) {
		return "", fmt.Errorf("/%s: %w: it changed while it was read", name, content.ErrConflict)
	}
	return oci.Digest(fmt.Sprintf("sha256:%x", h.Sum(nil))), nil
}

// Open opens a file that Scan has found in a folder, for reading until ctx ends. Errors:
// ErrConflict for what is no file any more; those of the file system.
func Open(ctx context.Context, root *os.Root, name string) (io.ReadCloser, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{content.UntilDone(ctx, f), f}, nil
}

// openRegular opens what is a file; a pipe in its place blocks nobody.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, gone(name, err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("/%s: %w: it is no file any more", name, content.ErrConflict)
	}
	if err != nil {
		f.Close()
		return nil, fsys.Classify(err)
	}
	return f, nil
}

// absent adds what was never made of the image.
func (s *scan) absent() error {
	if s.r.Skipped.Devices == 0 {
		return nil
	}
	return s.base.Each("/", -1, func(name string, e layer.Entry) error {
		special := e.Type == layer.TypeCharDevice || e.Type == layer.TypeBlockDevice // pipes are made
		dir := strings.TrimSuffix(strings.TrimSuffix(name, path.Base(name)), "/")
		if special && s.seen[dir] {
			if _, err := s.root.Lstat(filepath.FromSlash(name)); err != nil {
				s.index.Add(name, e)
			}
		}
		return nil
	})
}
