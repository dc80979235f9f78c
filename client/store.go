package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/gc"
)

// The reports of Backup, Restore and Compact.
type (
	// BackupReport is what a backup has.
	BackupReport = blobstore.BackupReport
	// RestoreReport is what a restore has brought.
	RestoreReport = blobstore.RestoreReport
)

// BackupOptions direct Backup.
type BackupOptions struct {
	// CatalogOnly leaves the content out; for a file or stdout alone.
	CatalogOnly bool
}

// Backup writes the store to a tar file, to stdout ("-") as a tar, or, where to ends
// with a slash or is a folder, to that folder, which gets what it lacks. A file appears
// when it is whole and durable. See blobstore.Store.Backup and BackupFolder. What is
// damaged is in the report and no error.
func (c *Client) Backup(ctx context.Context, to string, stdout io.Writer, o BackupOptions) (BackupReport, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return BackupReport{}, err
	}
	opts := blobstore.BackupOptions{CatalogOnly: o.CatalogOnly, Observe: c.opts.Observe}
	switch {
	case to == "-":
		return c.backupTo(ctx, s, stdout, "", opts)
	case strings.HasSuffix(filepath.ToSlash(to), "/") || isFolder(to):
		return s.BackupFolder(ctx, to, opts)
	}
	return c.backupFile(ctx, s, to, opts)
}

func isFolder(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

func (c *Client) backupFile(ctx context.Context, s *blobstore.Store, to string, o blobstore.BackupOptions) (report BackupReport, err error) {
	tmp, err := createBeside(to)
	if err != nil {
		return report, err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if report, err = c.backupTo(ctx, s, tmp, tmp.Name()+".", o); err != nil {
		return report, err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return report, fsys.Classify(err)
	}
	c.hook("backup.written")
	if err := os.Rename(tmp.Name(), to); err != nil {
		return report, fsys.Classify(err)
	}
	return report, fsys.Classify(fsys.OS().SyncDir(filepath.Dir(to)))
}

// backupTo streams a backup. The copy of the catalog is made in a folder whose name
// begins with beside, or, where that is no local disk, which SQLite needs, or is empty,
// where temporary files are.
func (c *Client) backupTo(ctx context.Context, s *blobstore.Store, w io.Writer, beside string, o blobstore.BackupOptions) (BackupReport, error) {
	parent, pattern := "", "dist-backup-"
	if beside != "" && fsys.CheckLocal(filepath.Dir(beside)) == nil {
		parent, pattern = filepath.Split(beside)
		parent = filepath.Clean(parent)
	}
	tmp, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return BackupReport{}, fsys.Classify(err)
	}
	defer os.RemoveAll(tmp)
	buffered := bufio.NewWriterSize(w, 1<<20)
	report, err := s.Backup(ctx, buffered, tmp, o)
	if err == nil {
		err = fsys.Classify(buffered.Flush())
	}
	return report, err
}

// RestoreOptions direct Restore.
type RestoreOptions struct {
	// Force replaces the catalog of a store that is there.
	Force bool
}

// Restore makes the client's store from a backup: a tar file, stdin ("-"), or a folder
// that is a store, of which nothing is changed. The client must not have opened its
// store before. See blobstore.Restore.
func (c *Client) Restore(ctx context.Context, from string, stdin io.Reader, o RestoreOptions) (RestoreReport, error) {
	opts := blobstore.RestoreOptions{Force: o.Force, Observe: c.opts.Observe, Warn: c.opts.Warn, Hook: c.opts.Hook}
	if from == "-" {
		return blobstore.Restore(ctx, c.opts.Store, bufio.NewReaderSize(stdin, 1<<20), opts)
	}
	if isFolder(from) {
		return c.restoreFolder(ctx, from, opts)
	}
	f, err := os.Open(from)
	if err != nil {
		return RestoreReport{}, fsys.Classify(err)
	}
	defer f.Close()
	return blobstore.Restore(ctx, c.opts.Store, bufio.NewReaderSize(f, 1<<20), opts)
}

// restoreFolder restores from a store, by a backup of it that nobody keeps. The folder
// is not changed.
func (c *Client) restoreFolder(ctx context.Context, from string, o blobstore.RestoreOptions) (RestoreReport, error) {
	there, err := os.Stat(from)
	if here, herr := os.Stat(c.opts.Store); err == nil && herr == nil && os.SameFile(there, here) {
		return RestoreReport{}, fmt.Errorf("restore %s: %w: it is the store itself", c.opts.Store, content.ErrInvalid)
	}
	s, err := blobstore.Open(ctx, from, blobstore.Options{Apart: true, Warn: c.opts.Warn})
	if err != nil {
		return RestoreReport{}, err
	}
	defer s.Close()
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := c.backupTo(ctx, s, w, "", blobstore.BackupOptions{})
		w.CloseWithError(err)
	}()
	report, err := blobstore.Restore(ctx, c.opts.Store, r, o)
	r.Close()
	<-done
	return report, err
}

// CompactReport is what Compact gave back: bytes on the disk before and after.
type CompactReport struct {
	Collected Collection
	Catalog   db.Compacted
}

// GivenBack is how many bytes the disk has more now.
func (r CompactReport) GivenBack() int64 {
	return r.Collected.Freed + max(0, r.Catalog.Before-r.Catalog.After)
}

// CompactStore collects garbage, packs with dead bytes included, and then gives back what
// the catalog does not need. See db.DB.Compact. No name goes, whatever the quota.
func (c *Client) CompactStore(ctx context.Context) (CompactReport, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return CompactReport{}, err
	}
	told, err := s.Settings(ctx)
	if err != nil {
		return CompactReport{}, err
	}
	opts := CollectOptions{Compact: true}.options(told)
	opts.Observe = c.opts.Observe
	var r CompactReport
	if r.Collected, err = gc.Run(ctx, s, opts); err != nil {
		return r, err
	}
	r.Catalog, err = s.CompactCatalog(ctx)
	return r, err
}
