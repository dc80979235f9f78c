package bundle

import (
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
	tars   []tarred  // the archive as it was opened, or its volumes; none for a folder
	change sync.Once // telling of a changed archive

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
// form that has it finds out. Of a bundle in volumes, path is any of them, and all have
// to be there. warn is told, in a line each, what the owner of the place
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
	if l.tars, err = openTars(ctx, l.path); err != nil {
		return nil, err
	}
	for _, t := range l.tars {
		t.reopen = func() (*os.File, error) { return l.reopen(t) }
	}
	sh, err := together(ctx, l.tars)
	if errors.Is(err, content.ErrNotFound) {
		err = fmt.Errorf("%w: neither index.json nor a manifest.json of Docker's that is whole", err)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", l.path, err)
	} else {
		err = l.unchanged()
	}
	if err != nil {
		closeTars(l.tars)
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
	if list != nil {
		v.written = list.ModTime()
	}
	for _, t := range l.tars {
		if at := t.info.ModTime(); at.After(v.written) {
			v.written = at
		}
	}
	l.current.Store(v)
	l.list = list
	return nil
}

// view is what the place holds now.
func (l *Library) view(ctx context.Context) (*view, error) {
	err := context.Cause(ctx)
	if err == nil {
		err = l.unchanged()
	}
	if err != nil {
		return nil, err
	}
	if l.tars == nil && l.reading.TryLock() {
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

// unchanged says whether the files are still those that were opened.
func (l *Library) unchanged() error {
	for _, t := range l.tars {
		fi, err := os.Stat(t.path)
		if err != nil || unlike(fi, t.info) {
			return l.changed(t)
		}
	}
	return nil
}

func (l *Library) changed(t tarred) error {
	l.change.Do(func() {
		l.warn(t.path + " is not the file any more that it was when it was opened: it has to be opened again")
	})
	return fmt.Errorf("%s: %w: the file has changed since it was opened", t.path, content.ErrUnavailable)
}

// unlike says whether two looks at a file have found different ones.
func unlike(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a != b
	}
	return !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}

// reopen opens an archive once more.
func (l *Library) reopen(t tarred) (*os.File, error) {
	f, err := os.Open(t.path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	if fi, err := f.Stat(); err != nil || unlike(fi, t.info) {
		_ = f.Close()
		return nil, l.changed(t)
	}
	return f, nil
}

// Close gives the place up. It is idempotent, and for when nothing is read any more.
func (l *Library) Close() error { return l.close() }
