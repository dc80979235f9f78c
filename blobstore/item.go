package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// item is one blob ready to be committed: verified, and durable already where it
// is a loose file.
type item struct {
	desc   oci.Descriptor
	edges  []oci.Edge
	source string
	lease  string   // "" for none of its own
	repos  []string // that it was pushed to

	sums []byte // of its blocks, nil for none

	encoded []byte      // the pack record, nil for a loose blob
	record  pack.Record // as it is in encoded
	offset  int64       // in its pack, once it is placed
	ingest  *ingest     // to be removed with the commit, nil for none

	temp     string    // the other name of a batched loose blob, see batchedItem
	tempFile fsys.File // still to be synced; nil for all others
	lost     bool      // its sync failed: it has to come again

	keepType bool // see content.IngestOptions

	noted bool // its media type goes into the pack as a note
	when  time.Time
	was   *content.Info      // what was held before and stays, nil for none
	done  func(content.Info) // told after the commit, may be nil
	spare []*ingest          // of the same content, written twice
}

// ingests lists the ingests that end with the item.
func (it *item) ingests() []*ingest {
	if it.ingest == nil {
		return it.spare
	}
	return append(it.spare[:len(it.spare):len(it.spare)], it.ingest)
}

func (it *item) loose() bool { return it.encoded == nil }

func (it *item) info() content.Info {
	if it.was != nil {
		return *it.was
	}
	i := content.Info{
		Digest: it.desc.Digest, Size: it.desc.Size, MediaType: it.desc.MediaType,
		Stored: it.desc.Size, Place: placeLoose, Committed: it.when,
	}
	if !it.loose() {
		i.Stored, i.Place = it.record.StoredSize, placePack
	}
	return i
}

// The words for places in content.Info.
const (
	placePack    = "pack"
	placeLoose   = "loose"
	placeDamaged = "damaged"
)

// scratches holds buffers that records are encoded in: how long one becomes is
// known only afterwards.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// newItem checks p against what opts expect and parses its edges.
func newItem(opts content.IngestOptions, d oci.Digest, size int64, manifest []byte) (*item, error) {
	if opts.Expected != "" && d != opts.Expected {
		return nil, fmt.Errorf("ingest %s: %w: the bytes hash to %s", opts.Expected, content.ErrCorrupt, d)
	}
	media := opts.MediaType
	if media == "" {
		media = oci.MediaTypeOctets
	}
	edges, err := oci.Successors(media, manifest)
	if err != nil {
		return nil, fmt.Errorf("ingest %s: %w", d, err)
	}
	it := &item{
		desc:  oci.Descriptor{MediaType: media, Digest: d, Size: size},
		edges: edges, source: opts.Source, lease: opts.Lease, keepType: opts.KeepType, when: time.Now(),
	}
	if opts.Repository != "" {
		it.repos = []string{opts.Repository}
	}
	return it, nil
}

// smallItem makes an item for a pack, nil when p does not belong into one.
func (s *Store) smallItem(opts content.IngestOptions, p []byte) (*item, error) {
	if !pack.Belongs(opts.MediaType, int64(len(p)), p[:min(len(p), 64<<10)]) {
		return nil, nil
	}
	d := algorithm(opts.Expected).FromBytes(p)
	it, err := newItem(opts, d, int64(len(p)), p)
	if err != nil {
		return nil, err
	}
	enc, scratch := pack.NewEncoder(), scratches.Get().(*[]byte)
	defer enc.Release()
	defer scratches.Put(scratch)
	if *scratch, it.record, err = enc.AppendBlob((*scratch)[:0], d, it.desc.MediaType, p); err != nil {
		return nil, err
	}
	it.encoded = bytes.Clone(*scratch)
	return it, nil
}

// looseItem gives a finished ingest its name among the loose blobs. The name
// counts only once the row is there; the transaction looks at it again.
func (s *Store) looseItem(ctx context.Context, opts content.IngestOptions, in *ingest) (*item, error) {
	d, err := in.seal()
	if err != nil {
		return nil, fmt.Errorf("ingest %s: %w", in.key, fsys.Classify(err))
	}
	var manifest []byte
	if oci.HasSuccessors(opts.MediaType) {
		if in.size() > oci.MaxManifestSize {
			return nil, fmt.Errorf("ingest %s: %w: a manifest of %d bytes, at most %d are read", in.key, content.ErrInvalid, in.size(), oci.MaxManifestSize)
		}
		if manifest, err = in.bytes(); err != nil {
			return nil, err
		}
	}
	it, err := newItem(opts, d, in.size(), manifest)
	if err != nil {
		return nil, err
	}
	it.ingest, it.sums = in, in.sums.sums(in.size())
	s.hook("loose.sealed")
	if err := s.linkLoose(in, d); err != nil {
		return nil, fmt.Errorf("ingest %s: %w", in.key, fsys.Classify(err))
	}
	s.hook("loose.durable")
	return it, ctx.Err()
}

// linkLoose links an ingest's file into blobs/. A file that is there already
// stays: the transaction decides which of the two it trusts.
func (s *Store) linkLoose(in *ingest, d oci.Digest) error {
	if err := s.fs.Chmod(s.ingestPath(in.key), 0o444); err != nil {
		return err
	}
	in.sealed = true
	s.hook("loose.readonly")
	err := s.fs.Link(s.ingestPath(in.key), s.blobPath(d))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	s.hook("loose.linked")
	// Also a name that is there already may be one that an earlier try could not
	// sync any more.
	return s.fs.SyncDir(s.blobDir(d))
}

// newSuffix ends the name of a loose blob that is about to take the place of
// another file.
const newSuffix = ".new"

// placeLoose makes sure, under the write lock, that the blob's name leads to the
// item's file: whatever else has the name is an orphan that nobody has
// verified.
func (s *Store) placeLoose(it *item) error {
	name, file, from := s.blobPath(it.desc.Digest), it.tempFile, it.temp
	if it.ingest != nil {
		file, from = it.ingest.file, s.ingestPath(it.ingest.key)
	}
	same, err := fsys.SameFile(file, name, s.fs)
	if err != nil || same {
		return err
	}
	tmp := name + newSuffix
	s.fs.Remove(tmp)
	if err := s.fs.Link(from, tmp); err != nil {
		return err
	}
	s.hook("loose.replacing")
	if err := s.fs.Rename(tmp, name); err != nil {
		return err
	}
	s.hook("loose.replaced")
	return s.fs.SyncDir(s.blobDir(it.desc.Digest))
}
