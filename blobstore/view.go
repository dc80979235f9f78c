package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Path returns the absolute name of a file that has exactly the bytes of d and
// belongs to the store: nobody may write to it, and it is there for 24 hours at
// least, as long as the object is. For a loose blob it is the blob; for a packed
// one a copy is made and kept.
//
// Errors: content.ErrNotFound, content.ErrCorrupt, content.ErrDenied for a packed
// blob in a read-only store.
func (s *Store) Path(ctx context.Context, d oci.Digest) (string, error) {
	ra, err := s.ReaderAt(ctx, oci.Descriptor{Digest: d, Size: -1})
	if err != nil {
		return "", err
	}
	defer ra.Close()
	if _, loose := ra.(*looseReader); loose {
		return s.blobPath(d), nil
	}
	return s.view(d, ra.(*packReader).bytes())
}

// view makes the copy of a packed blob, unless there is a good one. A copy was
// never synced, so an old one counts only if it still has the right bytes.
func (s *Store) view(d oci.Digest, p []byte) (string, error) {
	name := s.path(viewsDir, d.Algorithm().String(), d.Encoded())
	if old, err := os.ReadFile(name); err == nil && d.Algorithm().FromBytes(old) == d {
		if err := s.pinView(name); !errors.Is(err, fs.ErrNotExist) { // else collected just now
			return name, err
		}
	}
	if err := s.writable(); err != nil {
		return "", content.WithHint(err, "`dist get -o FILE` writes a copy elsewhere")
	}
	if err := s.writeView(name, p); err != nil {
		return "", fmt.Errorf("path of %s: %w", d, fsys.Classify(err))
	}
	s.hook("view.renamed")
	return name, nil
}

func (s *Store) writeView(name string, p []byte) error {
	if err := s.fs.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	var r [6]byte
	rand.Read(r[:])
	tmp := name + "." + hex.EncodeToString(r[:])
	f, err := s.fs.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	err = errors.Join(err, f.Close())
	s.hook("view.written")
	if err == nil {
		err = s.fs.Rename(tmp, name)
	}
	if err != nil {
		s.fs.Remove(tmp)
	}
	return err
}

// pinView begins the 24 hours anew: a collection goes by the file's time. A
// read-only store has no collection.
func (s *Store) pinView(name string) error {
	now := time.Now()
	if err := os.Chtimes(name, now, now); err != nil && !errors.Is(err, fs.ErrPermission) && !s.readOnly {
		return fmt.Errorf("path: %w", fsys.Classify(err))
	}
	return nil
}
