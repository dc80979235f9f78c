package blobstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/oci"
)

// backedUp is the backup of a store that has images, one as app:v1.
func backedUp(t *testing.T, old, im image) []byte {
	t.Helper()
	s := open(t, empty(t))
	named(t, s, old, "app:v1")
	named(t, s, im)
	defer s.Close()
	return tarOf(t, s)
}

func tarOf(t *testing.T, s *blobstore.Store) []byte {
	t.Helper()
	var tar bytes.Buffer
	_, err := s.Backup(t.Context(), &tar, t.TempDir(), blobstore.BackupOptions{})
	must(t, err)
	return tar.Bytes()
}

// restoreStep makes the store what a backup has, which knows the images and app:v1.
func restoreStep(backup *[]byte, im, old image) workStep {
	return workStep{"restore", func(b *bench) error {
		if b.s != nil {
			if err := b.s.Close(); err != nil {
				return err
			}
			b.s = nil
		}
		r, err := blobstore.Restore(b.ctx, b.dir, bytes.NewReader(*backup), blobstore.RestoreOptions{Force: true, FS: b.o.FS, Hook: b.o.Hook})
		if err != nil {
			return err
		}
		if len(r.Damaged) > 0 {
			return errors.New("the restore lacks something")
		}
		for _, p := range slices.Concat(im.blobs, old.blobs) {
			b.held(oci.DigestBytes(p))
		}
		b.promise(func(p *promises) { p.names["app:v1"] = []oci.Digest{old.manifest().Digest} })
		return nil
	}}
}

// backupStep makes a backup in the folder beside the store, which then has an image and
// some blobs.
func backupStep(im image, blobs ...[]byte) workStep {
	return workStep{"back up", func(b *bench) error {
		r, err := b.s.BackupFolder(b.ctx, folderBeside(b.dir), blobstore.BackupOptions{})
		if err != nil {
			return err
		}
		if len(r.Damaged) > 0 {
			return errors.New("the backup lacks something")
		}
		b.promise(func(p *promises) {
			p.copied = nil
			for _, blob := range append(slices.Clone(im.blobs), blobs...) {
				p.copied = append(p.copied, oci.DigestBytes(blob))
			}
		})
		return nil
	}}
}

// inBackup looks at a copy of the backup beside the store: it is written to.
func (b *bench) inBackup() error {
	if len(b.copied) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp(b.t.TempDir(), "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "copy")
	if err := os.CopyFS(dir, os.DirFS(folderBeside(b.dir))); err != nil {
		return err
	}
	s, err := blobstore.Open(b.ctx, dir, blobstore.Options{FS: b.o.FS})
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	defer s.Close()
	for _, d := range b.copied {
		if err := s.Check(b.ctx, d); err != nil {
			return fmt.Errorf("the backup: %s: %w", d, err)
		}
	}
	r, err := s.CheckAll(b.ctx, blobstore.CheckOptions{})
	if err == nil && !r.Clean() {
		err = fmt.Errorf("%+v", r)
	}
	if err != nil {
		return fmt.Errorf("the backup: %w", err)
	}
	return nil
}

func folderBeside(dir string) string { return filepath.Join(filepath.Dir(dir), "folder") }
