package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Library shows all that a layout or an archive holds as a content.Library, in place:
// nothing is unpacked, copied or written. It is a content.Fetcher as well. It is safe
// for concurrent use.
//
// Names are those that the place gives: the full reference where there is one, else
// the tag in a repository of the place's own, localhost/ and the last part of its path
// without .tar. What would have no name is named there by its digest: manifests that
// nothing else here is made of and that are about nothing here. A repository has what
// its names reach, and what is about any of that.
//
// Manifests are read and verified when the place is opened and whenever one is asked
// for. Other blobs are not: their size has to be what the manifests say, and nothing
// else is looked at before Verify. Content that fails is ErrCorrupt.
//
// An archive has to stay what it was when it was opened: once another file has its
// name, or its size or time is another, every method returns ErrUnavailable. A layout
// may grow: index.json is read anew when it has changed, at most once a second. One
// that cannot be read then leaves what was there before.
type Library struct {
	path   string
	own    oci.Reference
	warn   func(string)
	close  func() error
	tar    os.FileInfo // the archive as it was opened, nil for a folder
	change sync.Once   // telling of a changed archive

	current atomic.Pointer[view]

	reading sync.Mutex // held by who looks at index.json
	list    os.FileInfo
	looked  time.Time
	failing bool          // the last look found no list that can be read
	pause   time.Duration // between two looks
}

var (
	_ content.Library = (*Library)(nil)
	_ content.Fetcher = (*Library)(nil)
)

// OpenLibrary opens the layout in the folder path, or the archive that path is; which
// form that has it finds out. warn is told, in a line each, what the owner of the place
// should know; nil is fine. The caller closes the Library.
//
// Errors: ErrNotFound where nothing of that kind is, ErrInvalid for a file that is no
// tar, ErrUnsupported for a compressed one, ErrCorrupt, ErrDenied.
func OpenLibrary(ctx context.Context, path string, warn func(line string)) (*Library, error) {
	if warn == nil {
		warn = func(string) {}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	l := &Library{path: path, own: ownRepository(path), warn: warn, pause: time.Second}
	sh, err := l.openShelf(ctx)
	if err != nil {
		return nil, err
	}
	l.close = sync.OnceValue(sh.Close)
	if err := l.read(ctx, sh); err != nil {
		_ = sh.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// openShelf opens what is there. Errors name the path.
func (l *Library) openShelf(ctx context.Context) (shelf, error) {
	fi, err := os.Stat(l.path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	if fi.IsDir() {
		return openFolder(l.path)
	}
	l.tar = fi
	a, err := openArchive(ctx, l.path)
	if err != nil {
		return nil, err
	}
	a.reopen = l.reopen
	sh, err := dockerOrOCIShelf(ctx, a)
	if errors.Is(err, content.ErrNotFound) {
		err = fmt.Errorf("%w: neither index.json nor a manifest.json of Docker's that is whole", err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", l.path, err)
	} else {
		err = l.unchanged(nil)
	}
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	return sh, nil
}

// read finds out what sh holds.
func (l *Library) read(ctx context.Context, sh shelf) error {
	var list os.FileInfo
	if f, ok := sh.(*folder); ok { // before it is read, or a change between would be missed
		list, _ = f.stat("index.json")
	}
	entries, err := readListing(sh)
	if err != nil {
		return err
	}
	s := surveyor{shelf: sh, nodes: map[oci.Digest]*node{}}
	if v := l.current.Load(); v != nil {
		s.known = v.nodes
	}
	if err := s.survey(ctx, entries); err != nil {
		return err
	}
	v, err := s.arrange(entries, l.own, l.warn)
	if err != nil {
		return err
	}
	if written := cmp.Or(l.tar, list); written != nil {
		v.written = written.ModTime()
	}
	l.current.Store(v)
	l.list = list
	return nil
}

// view is what the place holds now.
func (l *Library) view(ctx context.Context) (*view, error) {
	err := context.Cause(ctx)
	if err == nil && l.tar != nil {
		err = l.unchanged(nil)
	}
	if err != nil {
		return nil, err
	}
	if l.tar == nil && l.reading.TryLock() {
		defer l.reading.Unlock()
		if now := time.Now(); now.Sub(l.looked) >= l.pause {
			l.looked = now
			l.refresh(ctx)
		}
	}
	return l.current.Load(), nil
}

// refresh reads the list of a layout again if it is another one.
func (l *Library) refresh(ctx context.Context) {
	f, ok := l.current.Load().shelf.(*folder)
	if !ok {
		return
	}
	fi, err := f.stat("index.json")
	if err == nil && unlike(fi, l.list) {
		err = l.read(ctx, f)
	}
	if err != nil && ctx.Err() == nil && !l.failing {
		l.warn(fmt.Sprintf("%s: what was read before is served: %v", l.path, err))
	}
	l.failing = err != nil
}

// unchanged says whether the archive is still the one that was opened; f, if it is
// not nil, is a file of it, which else is looked up by its name.
func (l *Library) unchanged(f *os.File) error {
	stat := func() (os.FileInfo, error) { return os.Stat(l.path) }
	if f != nil {
		stat = f.Stat
	}
	fi, err := stat()
	if err == nil && !unlike(fi, l.tar) {
		return nil
	}
	l.change.Do(func() {
		l.warn(l.path + " is not the file any more that it was when it was opened: it has to be opened again")
	})
	return fmt.Errorf("%s: %w: the file has changed since it was opened", l.path, content.ErrUnavailable)
}

// unlike says whether two looks at a file have found different ones.
func unlike(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a != b
	}
	return !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}

// reopen opens the archive once more.
func (l *Library) reopen() (*os.File, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	if err := l.unchanged(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Close gives the place up. It is idempotent, and for when nothing is read any more.
func (l *Library) Close() error { return l.close() }
