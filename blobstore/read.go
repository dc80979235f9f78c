package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// ReaderAt implements content.Provider. A packed blob is read and verified here;
// a loose one is checked for its length only, and verified by Fetch.
func (s *Store) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	ra, _, err := s.readerAt(ctx, desc.Digest)
	return ra, err
}

// readerAt opens d and returns the row that says where it is. What is damaged is
// healed first, where somebody does that.
func (s *Store) readerAt(ctx context.Context, d oci.Digest) (content.ReaderAt, db.Object, error) {
	ra, row, err := s.readAsItIs(ctx, d)
	if damaged := new(DamagedError); errors.As(err, &damaged) && s.healed(ctx, d) {
		return s.readAsItIs(ctx, d)
	}
	return ra, row, err
}

func (s *Store) readAsItIs(ctx context.Context, d oci.Digest) (content.ReaderAt, db.Object, error) {
	row, err := s.row(ctx, d)
	if err != nil {
		return nil, row, err
	}
	ra, err := s.open(d, row)
	if err == nil || !suspicious(err) {
		return ra, row, err
	}
	// It may have moved between the look and the read.
	again, rerr := s.row(ctx, d)
	if rerr != nil {
		return nil, again, rerr
	}
	if again != row {
		if ra, err = s.open(d, again); err == nil || !suspicious(err) {
			return ra, again, err
		}
	}
	s.markDamaged(d, again)
	return nil, again, damagedError(d, err)
}

// suspicious says whether an error may mean damage: the bytes are wrong, gone, or
// where the disk cannot be read.
func suspicious(err error) bool {
	return errors.Is(err, content.ErrCorrupt) || errors.Is(err, fs.ErrNotExist)
}

// DamagedError says that what the store has of a blob is not what its digest says. It
// is content.ErrCorrupt.
type DamagedError struct {
	Digest oci.Digest
	cause  error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("read %s: %v: the stored bytes are damaged: %v", e.Digest, content.ErrCorrupt, e.cause)
}

// Unwrap returns the class.
func (e *DamagedError) Unwrap() error { return content.ErrCorrupt }

// HintDamaged is what helps when content is damaged.
const HintDamaged = "`dist repair` fetches what is damaged; a pull or put of it replaces it, too"

func damagedError(d oci.Digest, cause error) error {
	return content.WithHint(&DamagedError{d, cause}, HintDamaged)
}

// row finds the object of d among what is held. Absent and doomed ones are not.
func (s *Store) row(ctx context.Context, d oci.Digest) (db.Object, error) {
	row, found, err := s.db.Object(ctx, d)
	switch {
	case err != nil:
		return row, err
	case found && row.Loc == db.LocDamaged:
		return row, damagedError(d, errors.New("found earlier"))
	case !found || !row.Loc.Held():
		return row, fmt.Errorf("blob %s: %w in this store", d, content.ErrNotFound)
	}
	return row, nil
}

// locatedFor is for how long it counts where Locate has found a blob. What is found to be
// damaged meanwhile is healed before it is read only by who looks again.
const locatedFor = time.Second

// Locate finds where many blobs are with one look at the catalog, for who is going to
// read them one after the other: ReaderAt of what it returns does not ask for each that is
// read for the first time, and within a second. All else is looked for when it is read, as
// Store.ReaderAt does it: what has moved, was not found or not sound, and what is read
// again, since it may have been healed in between. It takes some 300 bytes of memory for
// each blob.
func (s *Store) Locate(ctx context.Context, digests ...oci.Digest) (content.Provider, error) {
	until := time.Now().Add(locatedFor)
	rows, err := s.db.Objects(ctx, digests)
	return &located{s: s, until: until, rows: rows}, err
}

// located is a store that has looked where some blobs are.
type located struct {
	s     *Store
	until time.Time // the rows count

	mu   sync.Mutex
	rows map[oci.Digest]db.Object
}

// ReaderAt implements content.Provider.
func (l *located) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	if row, ok := l.take(desc.Digest); ok {
		if ra, err := l.s.open(desc.Digest, row); err == nil {
			return ra, nil
		}
	}
	return l.s.ReaderAt(ctx, desc)
}

// take gives the row of what is read for the first time.
func (l *located) take(d oci.Digest) (row db.Object, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row, ok = l.rows[d]
	delete(l.rows, d)
	return row, ok && row.Loc.Held() && time.Now().Before(l.until)
}

// open opens the bytes that a row points to.
func (s *Store) open(d oci.Digest, row db.Object) (content.ReaderAt, error) {
	if row.Loc == db.LocPack {
		p, err := s.readPacked(record(d, row), row.Pack)
		if err != nil {
			return nil, err
		}
		return &packReader{bytes.NewReader(p), p}, nil
	}
	f, err := s.openContent(s.blobPath(d))
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() != row.Size {
		err = fmt.Errorf("%w: %d bytes in place of %d", content.ErrCorrupt, fi.Size(), row.Size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &looseReader{f, row.Size}, nil
}

// readPacked reads a blob from its pack. The file may be given up between being
// found open and being read: then it is opened for this one time.
func (s *Store) readPacked(r pack.Record, id int64) ([]byte, error) {
	f, err := s.packFile(id)
	if err != nil {
		return nil, err
	}
	p, err := pack.ReadBlob(f, r)
	if !errors.Is(err, fs.ErrClosed) {
		return p, err
	}
	if f, err = s.openContent(s.packPath(id)); err != nil {
		return nil, err
	}
	defer f.Close()
	return pack.ReadBlob(f, r)
}

// record is where the pack has the blob, as package pack reads it.
func record(d oci.Digest, row db.Object) pack.Record {
	return pack.Record{
		Kind: pack.KindBlob, Codec: pack.Codec(row.Codec), Digest: d,
		RawSize: row.Size, StoredSize: row.Stored, Offset: row.Off,
	}
}

// packReader is a packed blob, read and verified.
type packReader struct {
	*bytes.Reader
	p []byte
}

func (r *packReader) bytes() []byte { return r.p }
func (r *packReader) Size() int64   { return int64(len(r.p)) }
func (r *packReader) Close() error  { return nil }

// looseReader is a loose blob's file.
type looseReader struct {
	f    fsys.File
	size int64
}

func (r *looseReader) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(p, off) }
func (r *looseReader) Size() int64                             { return r.size }

func (r *looseReader) Close() error {
	if err := r.f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// File implements content.Backed.
func (r *looseReader) File() (*os.File, int64, int64) { return r.f.OS(), 0, r.size }

// Fetch implements content.Fetcher. A mismatch found at the end of the stream
// marks the object, so that the next pull replaces it.
func (s *Store) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	ra, row, err := s.readerAt(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	if desc.Size < 0 {
		desc.Size = row.Size
	}
	if p, ok := ra.(*packReader); ok && p.Size() == desc.Size {
		return p, nil // verified when it was read
	}
	r := io.NewSectionReader(ra, 0, ra.Size())
	return &fetched{
		Reader: content.Verify(content.UntilDone(ctx, r), desc), ra: ra,
		failed: func(err error) error {
			if desc.Size != row.Size {
				return err // the caller's mistake, not damage
			}
			s.markDamaged(desc.Digest, row)
			return damagedError(desc.Digest, err)
		},
	}, nil
}

type fetched struct {
	io.Reader
	ra     content.ReaderAt
	failed func(error) error
	err    error
}

func (f *fetched) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.Reader.Read(p)
	if errors.Is(err, content.ErrCorrupt) {
		err = f.failed(err)
	}
	f.err = err
	return n, err
}

func (f *fetched) Close() error { return f.ra.Close() }

// markDamaged records what a reader found, as well as it can: a store that
// cannot be written is read all the same.
func (s *Store) markDamaged(d oci.Digest, row db.Object) {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if !s.notes(ctx) {
		return
	}
	s.hook("damage.found")
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.MarkDamaged(row)
		return err
	})
	if err != nil {
		s.warn(fmt.Sprintf("%s is damaged, and that could not be recorded: %v", d, err))
	}
}

// Check reads all of d and returns nil when it is held and its bytes are right.
func (s *Store) Check(ctx context.Context, d oci.Digest) error {
	r, err := s.Fetch(ctx, oci.Descriptor{Digest: d, Size: -1})
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, chunk))
	return err
}
