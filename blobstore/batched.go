package blobstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
	"golang.org/x/sync/errgroup"
)

const (
	// batchedLoose is the size up to which a session's loose blobs become durable
	// together, with their batch, and have no ingest of their own: what is lost of
	// them in a crash is soon fetched again.
	batchedLoose = 1 << 20
	// syncsAtOnce is how many files are synced at the same time: the journal of the
	// file system takes those that wait together.
	syncsAtOnce = 16
)

// batchedItem writes a loose blob that waits for its batch to be synced. Until
// then its file has a name among the ingests, too.
func (s *Store) batchedItem(opts content.IngestOptions, p []byte) (*item, error) {
	var manifest []byte
	if oci.HasSuccessors(opts.MediaType) {
		manifest = p
	}
	it, err := newItem(opts, algorithm(opts.Expected).FromBytes(p), int64(len(p)), manifest)
	if err != nil {
		return nil, err
	}
	if err := s.spend(int64(len(p))); err != nil {
		return nil, fmt.Errorf("write %s: %w", it.desc.Digest, err)
	}
	if it.temp, it.tempFile, err = s.writeTemp(p); err == nil {
		s.hook("batched.written")
		err = s.fs.Link(it.temp, s.blobPath(it.desc.Digest))
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		s.dropTemp(it)
		return nil, fmt.Errorf("write %s: %w", it.desc.Digest, fsys.Classify(err))
	}
	s.hook("batched.linked")
	return it, nil
}

// writeTemp makes a read-only file among the ingests and leaves it open, to be synced,
// and locked, so that no collection takes it away; the disk may begin with it.
func (s *Store) writeTemp(p []byte) (name string, f fsys.File, err error) {
	for ours := false; !ours; {
		name = s.path(ingestDir, freshKey())
		if f, err = s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return "", nil, err
		}
		if ours, err = s.claim(f, name); err != nil || !ours {
			f.Close()
		}
		if err != nil {
			return "", nil, err
		}
	}
	if _, err = f.WriteAt(p, 0); err == nil {
		err = f.WriteBack(0, int64(len(p)))
	}
	if err == nil {
		err = s.fs.Chmod(name, 0o444)
	}
	if err != nil {
		f.Close()
		s.fs.Remove(name)
		return "", nil, err
	}
	return name, f, nil
}

// endTemp is dropTemp for an item that is committed.
func (s *Store) endTemp(it *item) {
	if it.tempFile != nil {
		s.hook("batched.done")
	}
	s.dropTemp(it)
}

// dropTemp ends the name that a batched item has beside its blob's.
func (s *Store) dropTemp(it *item) {
	if it.tempFile == nil {
		return
	}
	it.tempFile.Close()
	s.fs.Remove(it.temp)
	it.tempFile = nil
}

// syncBatched makes the files of batched items durable, and their names. After an
// error none of them can be trusted: asking again might get a yes for bytes that
// are not on the disk.
func (c *committing) syncBatched() (err error) {
	defer func() {
		for _, it := range c.b.items {
			it.lost = it.lost || err != nil && it.tempFile != nil
		}
	}()
	var files []fsys.File
	dirs := map[string]bool{}
	for _, it := range c.b.items {
		if it.tempFile != nil {
			files = append(files, it.tempFile)
			dirs[c.s.blobDir(it.desc.Digest)] = true
		}
	}
	if len(files) == 0 {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(syncsAtOnce)
	for _, f := range files {
		g.Go(f.DataSync)
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.s.hook("batched.synced")
	for dir := range dirs {
		if err := c.s.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}
