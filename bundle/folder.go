package bundle

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// folder is the layout in a folder. Nothing outside of it is reached, whatever
// links it has.
type folder struct {
	path string
	root *os.Root
}

func openFolder(path string) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	return &folder{path, root}, nil
}

// makeFolder makes a folder, with those above it, and names those in which a new name
// stands now.
func makeFolder(path string) (in []string, err error) {
	path = filepath.Clean(path)
	for at := path; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		in = append(in, filepath.Dir(at))
	}
	return in, fsys.Classify(os.MkdirAll(path, 0o777))
}

// stat tells of a regular file.
func (f *folder) stat(name string) (os.FileInfo, error) {
	fi, err := f.root.Stat(name)
	if err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", name, content.ErrCorrupt)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && f.isLink(name) {
		return nil, fmt.Errorf("%s: %w: a link that leads out of the layout, or nowhere", name, content.ErrCorrupt)
	}
	return fi, fsys.Classify(err)
}

func (f *folder) isLink(name string) bool {
	fi, err := f.root.Lstat(name)
	return err == nil && fi.Mode()&fs.ModeSymlink != 0
}

// open opens a regular file: opening a pipe would wait for its other end.
func (f *folder) open(name string) (*os.File, int64, error) {
	if _, err := f.stat(name); err != nil {
		return nil, 0, err
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, fsys.Classify(err)
	}
	fi, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, 0, fsys.Classify(err)
	}
	return file, fi.Size(), nil
}

// document implements shelf.
func (f *folder) document(name string, limit int64) ([]byte, error) {
	file, size, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > limit {
		return nil, tooLarge(name, size, limit)
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if int64(len(data)) > limit {
		return nil, tooLarge(name, int64(len(data)), limit)
	}
	return data, fsys.Classify(err)
}

func tooLarge(name string, size, limit int64) error {
	return fmt.Errorf("%s of %d bytes: %w: the limit is %d", name, size, content.ErrUnsupported, limit)
}

// blob implements shelf.
func (f *folder) blob(d oci.Digest) (content.ReaderAt, error) {
	file, size, err := f.open(blobName(d))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return &blobFile{sectionOf(file, 0, size), file, 0}, nil
}

// size implements shelf.
func (f *folder) size(d oci.Digest) (int64, error) {
	fi, err := f.stat(blobName(d))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", d, err)
	}
	return fi.Size(), nil
}

// unlisted implements shelf: in a folder, what counts is listed, but for the referrers
// of an image that cosign has saved.
func (f *folder) unlisted(entries []entry) []oci.Digest {
	if cosignImage(entries) == "" {
		return nil
	}
	const dir = "blobs/sha256" // cosign knows no other
	names, err := fs.ReadDir(f.root.FS(), dir)
	if err != nil {
		return nil // what is looked for in it is not found either, and that is told
	}
	var out []oci.Digest
	for _, n := range names {
		if d, ok := blobDigest(dir + "/" + n.Name()); ok && f.mayBeManifest(d) {
			out = append(out, d)
		}
	}
	return out
}

func (f *folder) mayBeManifest(d oci.Digest) bool {
	file, size, err := f.open(blobName(d))
	if err != nil {
		return false
	}
	defer file.Close()
	first := make([]byte, 1)
	_, err = file.ReadAt(first, 0)
	return err == nil && size <= oci.MaxManifestSize && first[0] == '{'
}

// Close implements shelf.
func (f *folder) Close() error { return f.root.Close() }

// blobFile is a blob that is a file, or a stretch of one, which nobody else reads.
type blobFile struct {
	section
	file *os.File
	off  int64
}

var _ content.Backed = (*blobFile)(nil)

// File implements content.Backed.
func (b *blobFile) File() (f *os.File, offset, length int64) { return b.file, b.off, b.Size() }

// Close implements content.ReaderAt.
func (b *blobFile) Close() error {
	if err := b.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// tempPrefix begins the names of files that are not finished, and tempAge is when
// one is taken for left behind.
const (
	tempPrefix = ".dist-"
	tempAge    = 24 * time.Hour
)

// temp makes a file of a name that nobody else has.
func (f *folder) temp() (*os.File, string, error) {
	name := tempName()
	file, err := f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	return file, name, fsys.Classify(err)
}

func tempName() string {
	var p [8]byte
	_, _ = rand.Read(p[:]) // never fails
	return tempPrefix + hex.EncodeToString(p[:])
}

// place gives a finished file its name.
func (f *folder) place(file *os.File, temp, name string) error {
	err := file.Sync()
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.root.Rename(temp, name)
	}
	if err != nil {
		_ = f.root.Remove(temp)
	}
	return fsys.Classify(err)
}

// fill gives a small file its bytes, durably, without replacing it.
func (f *folder) fill(name string, data []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fsys.Classify(err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return fsys.Classify(err)
}

// write replaces a small file whole.
func (f *folder) write(name string, data []byte) error {
	file, temp, err := f.temp()
	if err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		_ = file.Close()
		_ = f.root.Remove(temp)
		return fsys.Classify(err)
	}
	return f.place(file, temp, name)
}

// sync makes the names in the folder's own folder rel durable.
func (f *folder) sync(rel string) error {
	return fsys.Classify(fsys.OS().SyncDir(filepath.Join(f.path, filepath.FromSlash(rel))))
}

// sweep removes temporary files that somebody left behind. What cannot be removed
// stays: it is in nobody's way.
func (f *folder) sweep(now time.Time) {
	dir, err := f.root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(-1)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if fi, err := e.Info(); err == nil && now.Sub(fi.ModTime()) > tempAge {
			_ = f.root.Remove(e.Name())
		}
	}
}
