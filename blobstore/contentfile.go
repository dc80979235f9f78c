package blobstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dist.example/content"
	"dist.example/fsys"
)

// errNoFile says that something else than a file bears a blob's or a pack's name.
var errNoFile = fmt.Errorf("%w: it is no file", content.ErrCorrupt)

// openContent opens a blob or a pack for reading. What the disk cannot give back
// is content.ErrCorrupt, as bytes are that are wrong, and so is what is no file.
func (l layout) openContent(name string) (fsys.File, error) {
	f, err := l.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, readError(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		f.Close()
		return nil, readError(err)
	}
	return contentFile{f}, nil
}

// readError gives what the disk cannot give back the class of damage.
func readError(err error) error {
	if fsys.Unreadable(err) {
		return fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return err
}

// isNoFile says whether a blob's or a pack's name is there in vain: it is a
// folder's, or that of a link to nothing.
func isNoFile(err error) bool { return errors.Is(err, errNoFile) || errors.Is(err, fs.ErrNotExist) }

// contentFile is a blob or a pack, open for reading.
type contentFile struct{ fsys.File }

func (f contentFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	return n, readError(err)
}

func (f contentFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	return n, readError(err)
}

// legible reads zeros where the disk cannot be read, so that a walk through a pack
// meets damage there and goes on behind it.
type legible struct{ r io.ReaderAt }

// sector is how much is given up where the disk cannot be read: what it reads and
// writes at once.
const sector = 4096

func (l legible) ReadAt(p []byte, off int64) (int, error) {
	return l.read(p, off, func(int64, int64) {})
}

// read is ReadAt, and tells where it reads zeros.
func (l legible) read(p []byte, off int64, blank func(from, to int64)) (int, error) {
	n, err := l.r.ReadAt(p, off)
	if !fsys.Unreadable(err) {
		return n, err
	}
	for n = 0; n < len(p); {
		part := p[n:min(len(p), n+int(sector-(off+int64(n))%sector))]
		m, err := l.r.ReadAt(part, off+int64(n))
		if fsys.Unreadable(err) {
			clear(part[m:])
			blank(off+int64(n+m), off+int64(n+len(part)))
			m, err = len(part), nil
		}
		if n += m; m < len(part) {
			return n, err // the end of the file
		}
	}
	return n, nil
}

// blanking is legible, and keeps where it has ever read zeros.
type blanking struct {
	legible
	blank stretches
}

func (b *blanking) ReadAt(p []byte, off int64) (int, error) { return b.read(p, off, b.blank.add) }
