package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"dist.example/content"
)

const (
	// maxFile bounds the files that are read: tens of thousands of users or rules.
	maxFile = 4 << 20
	// lookEvery is how often a file is looked at.
	lookEvery = time.Second
	// settled is the age from which a file that looks the same is the same. A younger
	// one may have been written again within one tick of the file system's clock.
	settled = 2 * time.Second
)

// watched is what a file says, as of a second ago at most. It is safe for
// concurrent use.
type watched[T any] struct {
	what  string // names the file in errors: "password file"
	path  string
	parse func([]byte) (T, error)
	warn  func(string)
	now   func() time.Time

	mu     sync.Mutex
	value  T
	looked time.Time
	seen   os.FileInfo // as of the last reading, nil when it did not end well
	sum    [sha256.Size]byte
	told   string // the last warning
}

// load reads the file for the first time. Errors: ErrInvalid, those of opening a
// file.
func (w *watched[T]) load() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked = w.now()
	return w.read()
}

// get returns what the file says. A file that cannot be read any more, or does not
// parse, is warned of once, and the last good one counts.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); now.Sub(w.looked) >= lookEvery || now.Before(w.looked) {
		w.looked = now
		w.look()
	}
	return w.value
}

// look reads the file again if it has changed.
func (w *watched[T]) look() {
	info, err := os.Stat(w.path)
	if err == nil && w.same(info) {
		return
	}
	if err = w.read(); err == nil {
		w.told = ""
		return
	}
	if text := err.Error(); text != w.told {
		w.told = text
		w.warn(text + ": what it said before counts")
	}
}

// same says whether info is that of what was read.
func (w *watched[T]) same(info os.FileInfo) bool {
	return w.seen != nil && os.SameFile(w.seen, info) && w.seen.Size() == info.Size() &&
		w.seen.ModTime().Equal(info.ModTime()) && w.now().Sub(info.ModTime()) > settled
}

func (w *watched[T]) read() error {
	data, info, err := readFile(w.path)
	if err != nil {
		w.seen = nil
		return fmt.Errorf("%s %s: %w", w.what, w.path, err)
	}
	sum := sha256.Sum256(data)
	if w.seen != nil && sum == w.sum {
		w.seen = info
		return nil
	}
	value, err := w.parse(data)
	if err != nil {
		w.seen = nil
		return fmt.Errorf("%s %s: %w", w.what, w.path, err)
	}
	w.value, w.seen, w.sum = value, info, sum
	return nil
}

// readFile reads a regular file of bounded size. The information is that of before
// the reading: who writes meanwhile changes it.
func readFile(path string) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: not a file", content.ErrInvalid)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, withoutPath(err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	if len(data) > maxFile {
		return nil, nil, fmt.Errorf("%w: larger than %d bytes", content.ErrInvalid, maxFile)
	}
	return data, info, nil
}

// withoutPath is what went wrong with a file that the message names already.
func withoutPath(err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		return named.Err
	}
	return err
}
