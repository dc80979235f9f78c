package blobstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/fsys"
)

// minding is a file system that keeps the names of open files, as that of Windows does.
type minding struct {
	fsys.FS
	mu   sync.Mutex
	open map[string]int
}

func newMinding() *minding { return &minding{FS: fsys.OS(), open: map[string]int{}} }

func (m *minding) OpenFile(name string, flag int, perm os.FileMode) (fsys.File, error) {
	f, err := m.FS.OpenFile(name, flag, perm)
	if err == nil {
		m.count(name, 1)
		f = &mindedFile{File: f, m: m}
	}
	return f, err
}

func (m *minding) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.open[name]; n > 0 && filepath.Ext(name) == ".pack" {
		return fmt.Errorf("remove %s: it is open %d times", name, n)
	}
	return m.FS.Remove(name)
}

func (m *minding) count(name string, by int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[name] += by
}

type mindedFile struct {
	fsys.File
	m    *minding
	once sync.Once
}

func (f *mindedFile) Close() error {
	f.once.Do(func() { f.m.count(f.Name(), -1) })
	return f.File.Close()
}

// onePack is a store with a blob in its pack.
func onePack(t *testing.T) (dir string, p []byte) {
	t.Helper()
	dir, p = empty(t), noise(1, 1000)
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	must(t, err)
	mustStore(t, s, p)
	must(t, s.Close())
	return dir, p
}

// emptied has a store give up its first pack.
func emptied(t *testing.T, s *blobstore.Store) blobstore.Emptied {
	t.Helper()
	m, err := s.Maintain(t.Context())
	must(t, err)
	defer m.Close()
	got, err := m.EmptyPack(t.Context(), 1, nil)
	must(t, err)
	return got
}

// A pack that goes is closed first: where names of open files stay, it could not go.
func TestAPackIsClosedBeforeItGoes(t *testing.T) {
	t.Parallel()
	dir, p := onePack(t)
	s := openWith(t, dir, blobstore.Options{FS: newMinding()})
	holds(t, s, p)
	if got := emptied(t, s); got.Kept != "" || got.Bytes == 0 {
		t.Errorf("%+v", got)
	}
	holds(t, s, p)
	clean(t, s)
}

// Who reads from packs for long lets go of those that others give up, though it reads
// nothing more.
func TestAProcessLetsGoOfPacksThatAreGone(t *testing.T) {
	t.Parallel()
	dir, p := onePack(t)
	s, other := open(t, dir), open(t, dir)
	holds(t, s, p)
	if again, n := s.LookForPacks(); !again || n != 1 {
		t.Errorf("%d packs are open, and there is another look: %v", n, again)
	}
	emptied(t, other)
	if again, n := s.LookForPacks(); again || n != 0 {
		t.Errorf("%d packs are open, and there is another look: %v", n, again)
	}
	holds(t, s, p)
	if again, n := s.LookForPacks(); !again || n != 1 {
		t.Errorf("%d packs are open, and there is another look: %v", n, again)
	}
	must(t, s.Close())
	if _, n := s.LookForPacks(); n != 0 {
		t.Errorf("%d packs are open in a store that is closed", n)
	}
}
