package blobstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// checkpointEvery is how far an ingest goes between two checkpoints: what at most
// is hashed again by a resume in the same boot.
const checkpointEvery = 64 << 20

var pid = os.Getpid()

// ingest is content on its way into a file of its own. Its owner holds the lock
// on the file; its row tells everybody else how far it is.
type ingest struct {
	s       *Store
	key     string
	opts    content.IngestOptions
	file    fsys.File
	started time.Time

	// sealed says that the file is whole and may have a second name among the
	// blobs: it must never be written again.
	sealed  bool
	hash    hash.Hash // what the pipe continues with
	resumed int64     // bytes found at opening
	pipe    *pipe     // nil until the first write

	kept db.Ingest // the checkpoint found at opening, zero for none
	// failed is the error of a sync. The system may take for written by now what is
	// not on the disk, and would not tell if it were asked again: only Reset helps.
	failed error
	marked int64      // offset of the last checkpoint begun
	mark   chan error // the running checkpoint, nil when there is none
}

// ingestPath is where the ingest with this key lives. It follows from the key,
// so that a rerun finds a file whose row was lost.
func (l layout) ingestPath(key string) string {
	sum := sha256.Sum256([]byte(key))
	return l.path(ingestDir, hex.EncodeToString(sum[:16]))
}

// freshKey is a key that nobody else has.
func freshKey() string {
	var b [12]byte
	rand.Read(b[:])
	return "ingest-" + hex.EncodeToString(b[:])
}

// openIngest takes over the ingest with opts.Key, or begins it. It waits while
// another owner lives. ErrExists when the expected content came in meanwhile; not
// for an own key, whose content is given and judged in any case.
func (s *Store) openIngest(ctx context.Context, opts content.IngestOptions, own bool) (*ingest, error) {
	f, err := s.lockIngest(ctx, opts, own)
	if err != nil {
		return nil, err
	}
	in := &ingest{s: s, key: opts.Key, opts: opts, file: f}
	if err := in.restore(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return in, nil
}

// lockIngest returns the key's file, locked. The name is looked at again once the
// lock is had: the owner before may have finished and unlinked it.
func (s *Store) lockIngest(ctx context.Context, opts content.IngestOptions, own bool) (fsys.File, error) {
	name := s.ingestPath(opts.Key)
	for {
		f, err := s.openIngestFile(name)
		if err != nil {
			return nil, fmt.Errorf("ingest %s: %w", opts.Key, fsys.Classify(err))
		}
		err = s.waitFor(ctx, f, opts.Key)
		if err == nil && !own {
			err = s.missing(ctx, opts)
		}
		same := false
		if err == nil {
			same, err = fsys.SameFile(f, name, s.fs)
		}
		if err == nil && same {
			return f, nil
		}
		if errors.Is(err, content.ErrExists) && s.unused(f, name) {
			s.fs.Remove(name)
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("ingest %s: %w", opts.Key, err)
		}
	}
}

// openIngestFile opens a key's file, to be written unless it is sealed.
func (s *Store) openIngestFile(name string) (fsys.File, error) {
	for {
		f, err := s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrPermission) {
			f, err = s.fs.OpenFile(name, os.O_RDONLY, 0)
			if errors.Is(err, fs.ErrNotExist) {
				continue // its owner has finished just now
			}
		}
		return f, err
	}
}

// unused says whether f is the empty file that opening it has just made.
func (s *Store) unused(f fsys.File, name string) bool {
	fi, err := f.Stat()
	same, serr := fsys.SameFile(f, name, s.fs)
	return err == nil && serr == nil && same && fi.Size() == 0
}

// waitFor locks f, and says after a while whom it waits for.
func (s *Store) waitFor(ctx context.Context, f fsys.File, key string) error {
	if ok, err := f.TryLock(true); ok || err != nil {
		return err
	}
	t := time.AfterFunc(waitNotice, func() {
		s.warn(fmt.Sprintf("waiting for another process that writes %s", key))
	})
	defer t.Stop()
	return f.Lock(ctx, true)
}

// restore finds out how far the ingest is and makes its row ours.
func (in *ingest) restore(ctx context.Context) error {
	var (
		row   db.Ingest
		found bool
	)
	err := in.s.db.Read(ctx, func(tx *db.Tx) (err error) {
		row, found, err = tx.Ingest(in.key)
		return err
	})
	if err != nil {
		return err
	}
	if found && !agrees(row, in.opts) {
		return content.WithHint(fmt.Errorf("ingest %s: %w: begun for %s of %d bytes, now for %s of %d", in.key, content.ErrConflict,
			orUnknown(row.Expected), row.Total, orUnknown(in.opts.Expected), in.opts.Total), "use another key")
	}
	if err := in.rehash(ctx, row, found); err != nil {
		return err
	}
	in.started = time.Now()
	if found {
		in.started = row.Started
	}
	return in.s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.PutIngest(in.row())
	})
}

func agrees(row db.Ingest, opts content.IngestOptions) bool {
	return (row.Expected == "" || opts.Expected == "" || row.Expected == opts.Expected) &&
		(row.Total < 0 || opts.Total < 0 || row.Total == opts.Total)
}

func orUnknown(d oci.Digest) string {
	if d == "" {
		return "an unknown digest"
	}
	return d.String()
}

// row is the ingest as the catalog keeps it, at the checkpoint it goes on from.
func (in *ingest) row() db.Ingest {
	return db.Ingest{
		Key: in.key, Lease: in.opts.Lease, Expected: in.opts.Expected, Total: in.opts.Total,
		Offset: in.kept.Offset, HashState: in.kept.HashState, BootID: in.s.boot,
		Source: in.opts.Source, Started: in.started, PID: pid, MediaType: in.opts.MediaType,
	}
}

// rehash brings the hash to the end of the file: from the checkpoint when it was
// made in this boot (the page cache has everything since), else from 0.
func (in *ingest) rehash(ctx context.Context, row db.Ingest, found bool) error {
	fi, err := in.file.Stat()
	if err != nil {
		return err
	}
	size := fi.Size()
	in.sealed = fi.Mode()&0o200 == 0
	// A file without a row is what a finished ingest left when it was killed before
	// it could unlink it: its bytes are a blob's by now.
	if !found && size > 0 || in.sealed && size != in.opts.Total || in.opts.Total >= 0 && size > in.opts.Total {
		in.sealed = true
		return in.Reset()
	}
	in.hash, in.resumed = hasher(in.opts.Expected), 0
	sameBoot := row.BootID != "" && row.BootID == in.s.boot
	if found && row.Offset <= size {
		in.kept.Offset = row.Offset
		if h, err := restore(in.opts.Expected, row.HashState); err == nil && sameBoot {
			in.hash, in.resumed, in.kept = h, row.Offset, row
		}
	}
	if size, err = in.cutUnsynced(size, sameBoot); err != nil {
		return err
	}
	r := io.NewSectionReader(in.file, in.resumed, size-in.resumed)
	if _, err := io.CopyBuffer(in.hash, content.UntilDone(ctx, r), make([]byte, chunk)); err != nil {
		return fmt.Errorf("ingest %s: %w", in.key, err)
	}
	in.resumed, in.marked = size, size
	return nil
}

// cutUnsynced drops what another boot may have lost, zeros in place of bytes for
// all that can be told, unless an expected digest will tell.
func (in *ingest) cutUnsynced(size int64, sameBoot bool) (int64, error) {
	if sameBoot || in.sealed || in.opts.Expected != "" || size <= in.kept.Offset {
		return size, nil
	}
	return in.kept.Offset, in.file.Truncate(in.kept.Offset)
}

// Write appends to the ingest.
func (in *ingest) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if in.sealed {
		return 0, fmt.Errorf("ingest %s: %w: it is complete", in.key, content.ErrInvalid)
	}
	if in.pipe == nil {
		in.pipe = newPipe(in.file, in.hash, in.resumed)
	}
	n, err := in.pipe.Write(p)
	if err == nil && in.pipe.offset-in.marked >= checkpointEvery {
		err = in.checkpoint()
	}
	if err != nil {
		return n, fmt.Errorf("ingest %s: %w", in.key, fsys.Classify(err))
	}
	return n, nil
}

// checkpoint makes the bytes so far durable and then records offset and hash
// state, while writing goes on.
func (in *ingest) checkpoint() error {
	if err := in.awaitMark(); err != nil {
		return err
	}
	if err := in.pipe.drain(); err != nil {
		return err
	}
	state, err := in.pipe.state()
	if err != nil {
		return err
	}
	offset, done := in.pipe.offset, make(chan error, 1)
	in.marked, in.mark = offset, done
	go func() { done <- in.record(offset, state) }()
	return nil
}

// record is the durable half of a checkpoint.
func (in *ingest) record(offset int64, state []byte) error {
	if err := in.file.DataSync(); err != nil {
		return err
	}
	if offset <= 2*checkpointEvery { // the name, too, has to outlive a crash
		if err := in.s.fs.SyncDir(in.s.path(ingestDir)); err != nil {
			return err
		}
	}
	in.s.hook("ingest.synced")
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	return in.s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.Checkpoint(in.key, offset, state, in.s.boot)
	})
}

func (in *ingest) awaitMark() error {
	if in.mark == nil {
		return nil
	}
	err := <-in.mark
	in.mark = nil
	if err != nil {
		in.failed = err
	}
	return err
}

func (in *ingest) size() int64 {
	if in.pipe == nil {
		return in.resumed
	}
	return in.pipe.size()
}

// seal ends writing: all bytes are in the file and durable. It returns the
// content's digest.
func (in *ingest) seal() (oci.Digest, error) {
	if in.failed != nil {
		return "", in.failed
	}
	h := in.hash
	if in.pipe != nil {
		if err := in.pipe.drain(); err != nil {
			return "", err
		}
		h = in.pipe.hash
	}
	if err := in.awaitMark(); err != nil {
		return "", err
	}
	if !in.sealed { // else it was synced before it was sealed
		if err := in.file.DataSync(); err != nil {
			in.failed = err
			return "", err
		}
	}
	return oci.NewDigest(algorithm(in.opts.Expected), h), nil
}

func algorithm(expected oci.Digest) oci.Algorithm {
	if expected == "" {
		return oci.SHA256
	}
	return expected.Algorithm()
}

// bytes reads the whole ingest, which is known to be small.
func (in *ingest) bytes() ([]byte, error) {
	if in.pipe != nil {
		if err := in.pipe.drain(); err != nil {
			return nil, err
		}
	}
	p := make([]byte, in.size())
	_, err := in.file.ReadAt(p, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return p, err
}

// Reset begins again from nothing.
func (in *ingest) Reset() error {
	in.stop()
	err := in.forget()
	switch {
	case err != nil:
	case in.sealed:
		err = in.replace()
	default:
		err = in.file.Truncate(0)
	}
	in.hash, in.resumed, in.marked, in.failed = hasher(in.opts.Expected), 0, 0, nil
	if err != nil {
		return fmt.Errorf("reset ingest %s: %w", in.key, fsys.Classify(err))
	}
	return nil
}

// forget drops the checkpoint, which must not outlive the bytes that it vouches
// for: a resume would hash other bytes than the file has.
func (in *ingest) forget() error {
	if in.marked == 0 && in.kept.Offset == 0 {
		return nil
	}
	in.kept = db.Ingest{}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	return in.s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.Checkpoint(in.key, 0, nil, in.s.boot)
		if errors.Is(err, content.ErrNotFound) { // opened just now: its row is yet to come
			return nil
		}
		return err
	})
}

// replace begins a new file under the key. Who waits for the lock on the old one
// finds that the name leads elsewhere.
func (in *ingest) replace() error {
	name := in.s.ingestPath(in.key)
	f, err := in.s.fs.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	// Nobody else looks for this name while the key is ours.
	ok, err := f.TryLock(true)
	if err == nil && !ok {
		err = fmt.Errorf("%w: another process has it", content.ErrConflict)
	}
	if err == nil {
		err = in.s.fs.Rename(name+".new", name)
	}
	if err != nil {
		f.Close()
		return err
	}
	in.file.Close()
	in.file, in.sealed = f, false
	return nil
}

// stop waits for everything that runs in the background.
func (in *ingest) stop() {
	in.awaitMark()
	if in.pipe != nil {
		in.pipe.drain()
		in.pipe.close()
		in.pipe = nil
	}
}

// Close keeps file and row for another run.
func (in *ingest) Close() error {
	if in.pipe != nil {
		in.pipe.drain()
		in.resumed = in.pipe.size()
	}
	in.stop()
	if in.failed != nil {
		return errors.Join(in.Reset(), in.file.Close())
	}
	return in.file.Close()
}

// abandon drops file and row. The bytes go first: they may be what has filled the
// disk.
func (in *ingest) abandon() error {
	in.stop()
	if !in.sealed {
		_ = in.file.Truncate(0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	err := in.s.db.Write(ctx, func(tx *db.Tx) error { return tx.DeleteIngest(in.key) })
	if err != nil {
		return errors.Join(err, in.Close())
	}
	in.remove()
	return nil
}

// remove unlinks the file. The row must be gone already, or go with it.
func (in *ingest) remove() {
	in.stop()
	in.s.fs.Remove(in.s.ingestPath(in.key))
	in.file.Close()
}
