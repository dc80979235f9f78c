package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// What is in the folder of a snapshot: the part of the image that its layer changes, and
// the index of that (layer.Tree.Part).
const (
	partName  = "tree"
	indexName = "index"
	// maxIndexFile bounds an index that is read, in bytes.
	maxIndexFile = 256 << 20
)

// The extended attributes by which overlayfs knows a folder that hides what those below it
// have: of root, and of users (mount option userxattr).
const (
	opaqueTrusted = "trusted.overlay.opaque"
	opaqueUser    = "user.overlay.opaque"
)

// Snapshots are what the layers of an image change, each in a folder of its own, the lowest
// first. As a Source they make a copy of the image: files share blocks with those of the
// snapshots where the file system can do that, and are copied and held to their sums where it
// cannot. Close is to be called in the end. It is not safe for concurrent use.
type Snapshots struct {
	o      Options
	tree   *layer.Tree
	budget layer.IndexBudget
	parts  []*opened
	taken  int64 // bytes of files of those that were made
}

// opened is a snapshot whose files are read.
type opened struct {
	dir   string
	index oci.Digest
	root  *os.Root // of the part
	dirs  *folders
}

func (p *opened) close() {
	p.dirs.close()
	p.root.Close()
}

// NewSnapshots begins with none. Of the options Rootless, MaxSize and Hook count; snapshots
// that are put together were made with the same Rootless.
func NewSnapshots(o Options) *Snapshots { return &Snapshots{o: o, tree: layer.NewTree(false)} }

// Close closes the folders that are open.
func (s *Snapshots) Close() {
	for _, p := range s.parts {
		p.close()
	}
	s.parts = nil
}

// SnapshotError says which of the snapshots cannot be used: it is damaged, or gone.
type SnapshotError struct {
	Number int // of the snapshot, from 0 on
	Err    error
}

func (e *SnapshotError) Error() string { return fmt.Sprintf("snapshot %d: %v", e.Number+1, e.Err) }

func (e *SnapshotError) Unwrap() error { return e.Err }

// Add puts a snapshot on top that Make has made in a folder, with the digest of its index.
// Errors: a SnapshotError, of ErrCorrupt for another index and of ErrNotFound for none; those
// of layer.Tree.AddIndexes.
func (s *Snapshots) Add(dir string, index oci.Digest) error {
	p, err := fsys.ReadCapped(filepath.Join(dir, indexName), maxIndexFile)
	if err != nil {
		return &SnapshotError{len(s.parts), fsys.Classify(err)}
	}
	if got := oci.DigestBytes(p); got != index {
		return &SnapshotError{len(s.parts), fmt.Errorf("%w: its index is %s, and not %s", content.ErrCorrupt, got, index)}
	}
	x, err := layer.ParseIndex(p, &s.budget)
	if err == nil {
		err = s.tree.AddIndexes([]*layer.Index{x})
	}
	if err != nil {
		return err
	}
	return s.opened(dir, index)
}

// Replace has the snapshot that was made last be one that another process has made of the
// same layer. Errors: a SnapshotError, of ErrCorrupt for one with another index.
func (s *Snapshots) Replace(dir string, index oci.Digest) error {
	last := len(s.parts) - 1
	if mine := s.parts[last]; mine.index != index {
		return &SnapshotError{last, fmt.Errorf("%w: another process has made another of the same layer", content.ErrCorrupt)}
	}
	s.parts[last].close()
	s.parts = s.parts[:last]
	return s.opened(dir, index)
}

func (s *Snapshots) opened(dir string, index oci.Digest) error {
	root, err := os.OpenRoot(filepath.Join(dir, partName))
	if err != nil {
		return &SnapshotError{len(s.parts), fsys.Classify(err)}
	}
	dirs := newFolders(root)
	dirs.most = 2 // there may be many snapshots
	s.parts = append(s.parts, &opened{dir, index, root, dirs})
	return nil
}

// Snapshot is one that was made.
type Snapshot struct {
	Index oci.Digest // of its index
	Files int        // and links
	Size  int64      // that the files take on the disk, in bytes
	// Mountable says that overlayfs understands it: it has all marks of what is not there
	// any more, and nothing that is taken for one.
	Mountable bool
}

// Make puts a layer on top and makes its snapshot in a folder that is there and empty. It
// is durable then (on Linux; elsewhere as the system has it). Whoever owns the folder may
// read all that is in a snapshot that is Rootless, whatever the image says. What is left
// after an error is the caller's to remove. Errors: those of Rootfs, and a SnapshotError for
// a snapshot below that is read.
func (s *Snapshots) Make(ctx context.Context, dir string, in layer.Input) (Snapshot, error) {
	var out Snapshot
	top, err := os.OpenRoot(dir)
	if err != nil {
		return out, fsys.Classify(err)
	}
	defer top.Close()
	if err := top.Mkdir(partName, making); err != nil {
		return out, fsys.Classify(err)
	}
	root, err := top.OpenRoot(partName)
	if err != nil {
		return out, fsys.Classify(err)
	}
	defer root.Close()
	var res Result
	d := &partDisk{disk: newDisk(ctx, root, s.o, false, &res), marked: true}
	defer d.dirs.close()
	d.kept, d.taken = true, s.taken
	x, err := s.tree.Part(ctx, in, d, s.openPart)
	if err != nil {
		return out, err
	}
	d.dirs.close()
	s.taken = d.taken
	p, err := x.Encode()
	if err == nil {
		err = durable(top, indexName, p)
	}
	if err != nil {
		return out, err
	}
	s.o.hook("unpack.layer")
	out = Snapshot{Index: oci.DigestBytes(p), Mountable: d.marked}
	if out.Files, out.Size, err = stored(filepath.Join(dir, partName)); err != nil {
		return out, err
	}
	return out, s.opened(dir, out.Index)
}

// stored is how many files and links a folder has, and what they take on the disk.
func stored(dir string) (files int, bytes int64, err error) {
	seen := map[uint64]bool{}
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		d, ok := fsys.DetailOf(fi)
		if ok && d.Links > 1 && seen[d.Inode] {
			return nil
		}
		if !ok {
			d.Stored = fi.Size()
		}
		if seen[d.Inode] = true; fi.Mode().IsRegular() || fi.Mode()&fs.ModeSymlink != 0 {
			files++
			bytes += d.Stored
		}
		return nil
	})
	return files, bytes, fsys.Classify(err)
}

// durable writes a file into a folder, and has all of its file system on the disk.
func durable(dir *os.Root, name string, p []byte) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return fsys.Classify(err)
	}
	_, err = f.Write(p)
	if err = errors.Join(err, f.Close()); err != nil {
		return fsys.Classify(err)
	}
	at, err := dir.Open(".")
	if err != nil {
		return fsys.Classify(err)
	}
	defer at.Close()
	return fsys.Classify(fsys.SyncFS(at))
}

// openPart opens a file of a snapshot.
func (s *Snapshots) openPart(number int, name string) (io.ReadCloser, error) {
	dir, base := path.Split(name)
	p := s.parts[number]
	at, err := p.dirs.open(strings.TrimSuffix(dir, "/"))
	var f *os.File
	if err == nil {
		f, err = openRegular(at.root, base)
	}
	if err != nil {
		return nil, &SnapshotError{number, fsys.Classify(err)}
	}
	return f, nil
}

func (s *Snapshots) fill(ctx context.Context, _ *stage, root *os.Root, o Options, shut bool, res *Result) (*layer.Tree, error) {
	d := newDisk(ctx, root, o, shut, res)
	defer d.dirs.close()
	last := 0
	err := s.tree.Fill(d, func(number int, name string) (io.ReadCloser, error) {
		last = number
		return s.openPart(number, name)
	})
	if errors.Is(err, content.ErrCorrupt) && !errors.As(err, new(*SnapshotError)) {
		err = &SnapshotError{last, err}
	}
	if err != nil {
		return nil, err
	}
	o.hook("unpack.layer")
	d.dirs.close()
	return s.tree, s.tree.Folders(d.finish)
}

func (*Snapshots) open(root *os.Root, name string) (io.ReadCloser, error) {
	return Layers(nil).open(root, name)
}

func (*Snapshots) placed(context.Context, string) error { return nil }

// VerifySnapshot reads all files of a snapshot and holds them to the sums of its index, which
// is to have that digest. Errors: ErrCorrupt, in a SnapshotError, for what is another than it
// was or gone.
func VerifySnapshot(ctx context.Context, dir string, index oci.Digest) error {
	s := NewSnapshots(Options{})
	defer s.Close()
	if err := s.Add(dir, index); err != nil {
		return err
	}
	err := s.tree.Fill(&reader{ctx, make([]byte, 256<<10)}, s.openPart)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrConflict) {
		err = fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	if errors.Is(err, content.ErrCorrupt) {
		err = &SnapshotError{0, err}
	}
	return err
}

// StatSnapshot looks whether a snapshot is there, and at nothing of it. Errors: ErrNotFound.
func StatSnapshot(dir string) error {
	for _, name := range []string{partName, indexName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			return fsys.Classify(err)
		}
	}
	return nil
}

// reader is a layer.Disk on which nothing is made: content is read to its end.
type reader struct {
	ctx context.Context
	buf []byte
}

func (r *reader) Create(_ string, _ layer.Entry, from io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, content.UntilDone(r.ctx, from), r.buf)
	return err
}
func (*reader) Folder(string) error       { return nil }
func (*reader) Link(string, string) error { return nil }
func (*reader) Remove(string) error       { return nil }

// shareFrom is the size of the smallest file whose blocks are shared, in bytes.
const shareFrom = 16 << 10

// share has a file have the blocks of one of a snapshot, where the file system can; it
// says whether it does. Nobody reads them then.
func (d *disk) share(f *os.File, e layer.Entry, r io.Reader) bool {
	s, ok := r.(*layer.Summed)
	if !ok || d.apart || e.Size < shareFrom {
		return false
	}
	src, ok := s.From.(*os.File)
	if !ok {
		return false
	}
	if fi, err := src.Stat(); err != nil || fi.Size() != e.Size {
		return false // which reading it will tell
	}
	if fsys.Reflink(f, src) != nil {
		d.apart = true
		return false
	}
	return true
}

// partDisk is where a snapshot is made.
type partDisk struct {
	*disk
	marked bool // nothing keeps overlayfs from understanding it
}

// Create implements layer.Disk.
func (d *partDisk) Create(name string, e layer.Entry, r io.Reader) error {
	if e.Type == layer.TypeCharDevice && e.Major == 0 && e.Minor == 0 {
		d.marked = false // it would be taken for a whiteout
	}
	return d.disk.Create(name, e, r)
}

// Whiteout implements layer.PartDisk.
func (d *partDisk) Whiteout(name string) error {
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	at, err := dir.handle()
	if err != nil {
		return err
	}
	if err := fsys.Mknod(at, base, os.ModeDevice|os.ModeCharDevice, 0, 0); err != nil {
		if fsys.Classify(err) != err && !errors.Is(err, os.ErrPermission) { // no room, or the like
			return fsys.Classify(err)
		}
		d.marked = false
	}
	return nil
}

// Opaque implements layer.PartDisk.
func (d *partDisk) Opaque(name string) error {
	if name == "" {
		d.marked = false // of the root of a lower folder overlayfs does not ask
		return nil
	}
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	at, err := dir.handle()
	if err != nil {
		return err
	}
	key := opaqueTrusted
	if d.o.Rootless {
		key = opaqueUser
	}
	if fsys.SetXattr(at, base, key, "y") != nil {
		d.marked = false
	}
	return nil
}

// Finish implements layer.PartDisk.
func (d *partDisk) Finish(name string, e layer.Entry) error { return d.finish(name, e) }
