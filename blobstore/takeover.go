package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// openIngest takes over the ingest with opts.Key, or begins it. It waits while
// another owner lives. ErrExists when the expected content came in meanwhile; not
// for one that is alone.
func (s *Store) openIngest(ctx context.Context, opts content.IngestOptions, how opening) (*ingest, error) {
	f, err := s.lockIngest(ctx, opts, how)
	if err != nil {
		return nil, err
	}
	s.hook("ingest.created")
	in := &ingest{s: s, key: opts.Key, opts: opts, how: how, file: f}
	if err := in.restore(ctx); err != nil {
		in.Close()
		return nil, err
	}
	s.hook("ingest.begun")
	return in, nil
}

// lockIngest returns the key's file, locked. The name is looked at again once the
// lock is had: the owner before may have finished and unlinked it.
func (s *Store) lockIngest(ctx context.Context, opts content.IngestOptions, how opening) (fsys.File, error) {
	name := s.ingestPath(opts.Key)
	for {
		f, err := s.openIngestFile(name)
		if err != nil {
			return nil, fmt.Errorf("ingest %s: %w", opts.Key, fsys.Classify(err))
		}
		err = s.waitFor(ctx, f, opts.Key)
		if err == nil && how != alone {
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
			fsys.RemoveHeld(f, name, s.fs)
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("ingest %s: %w", opts.Key, err)
		}
	}
}

// openIngestFile opens a key's file, to be written unless it is sealed.
func (s *Store) openIngestFile(name string) (fsys.File, error) {
	f, err := s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	if f, err := s.fs.OpenFile(name, os.O_RDONLY, 0); !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	// Its owner has finished just now, or nothing may be made here.
	return s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
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
			orUnknown(row.Expected), row.Total, orUnknown(in.opts.Expected), in.opts.Total),
			"use another key, or drop what is there: dist active --abort %s", shellWord(in.key))
	}
	if err := in.takeOver(ctx, row, found); err != nil {
		return fmt.Errorf("ingest %s: %w", in.key, fsys.Classify(err))
	}
	in.started, in.markedAt = time.Now(), time.Now()
	if found {
		in.started = row.Started
	}
	return in.s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.PutIngest(in.row())
	})
}

// agrees says whether a part may be of what is wanted now. Where the digest is the
// same, what was said of the size does not matter: it may have been wrong.
func agrees(row db.Ingest, opts content.IngestOptions) bool {
	if row.Expected != "" && row.Expected == opts.Expected {
		return true
	}
	return (row.Expected == "" || opts.Expected == "" || row.Expected == opts.Expected) &&
		(row.Total < 0 || opts.Total < 0 || row.Total == opts.Total)
}

func orUnknown(d oci.Digest) string {
	if d == "" {
		return "an unknown digest"
	}
	return d.String()
}

// shellWord is a key as a person has to type it.
func shellWord(key string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@%+=:,./_-", r)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }) {
		return "'" + strings.ReplaceAll(key, "'", `'\''`) + "'"
	}
	return key
}

// row is the ingest as the catalog keeps it, at the checkpoint it goes on from.
func (in *ingest) row() db.Ingest {
	return db.Ingest{
		Key: in.key, Lease: in.opts.Lease, Expected: in.opts.Expected, Total: in.opts.Total,
		Offset: in.kept.Offset, HashState: in.kept.HashState, BootID: in.s.boot,
		Source: in.opts.Source, Started: in.started, PID: pid, MediaType: in.opts.MediaType,
	}
}

// takeOver decides what becomes of the part that was found under the key. What
// stays of it is durable when this returns, so that the row may say so.
func (in *ingest) takeOver(ctx context.Context, row db.Ingest, found bool) error {
	fi, err := in.file.Stat()
	if err != nil {
		return err
	}
	size := fi.Size()
	in.sealed = fi.Mode()&0o200 == 0
	if in.useless(size, found) {
		in.sealed = true
		return in.Reset()
	}
	sameBoot := row.BootID != "" && row.BootID == in.s.boot
	var state []byte
	if found && row.Offset <= size {
		in.kept.Offset, state = row.Offset, row.HashState
	}
	if size, err = in.cutUnsynced(size, sameBoot); err != nil {
		return err
	}
	in.hash = hasher(in.opts.Expected)
	in.marked = size
	switch {
	case size == 0:
		in.kept = db.Ingest{}
	case in.how == comparing:
		in.kept, in.again = db.Ingest{Offset: size}, &replay{size: size}
	default:
		if err := in.rehash(ctx, size, state, sameBoot); err != nil {
			return err
		}
	}
	return in.secure()
}

// useless says whether nothing of a part can be gone on with. A file without a row
// is what a finished ingest left when it was killed before it could unlink it: its
// bytes are a blob's by now, as those of a sealed one may be. That one is whole: where
// nothing says how long the content is, it is only to be committed.
func (in *ingest) useless(size int64, found bool) bool {
	if !found && size > 0 {
		return true
	}
	if in.how == comparing {
		return in.sealed
	}
	return in.opts.Total >= 0 && (size > in.opts.Total || in.sealed && size != in.opts.Total)
}

// cutUnsynced drops what another boot may have lost, zeros in place of bytes for
// all that can be told. Where it would have to be fetched again, an expected
// digest will tell.
func (in *ingest) cutUnsynced(size int64, sameBoot bool) (int64, error) {
	if sameBoot || in.sealed || size <= in.kept.Offset || in.how == resuming && in.opts.Expected != "" {
		return size, nil
	}
	return in.kept.Offset, in.file.Truncate(in.kept.Offset)
}

// rehash brings the hash to the end of the part: from the checkpoint when it was
// made in this boot (the page cache has everything since), else from 0.
func (in *ingest) rehash(ctx context.Context, size int64, state []byte, sameBoot bool) error {
	var from int64
	if h, err := restore(in.opts.Expected, state); err == nil && sameBoot {
		in.hash, from = h, in.kept.Offset
	}
	r := io.NewSectionReader(in.file, from, size-from)
	if _, err := io.CopyBuffer(hashing{in.hash, in.sums.write}, content.UntilDone(ctx, r), make([]byte, chunk)); err != nil {
		return err
	}
	in.resumed, in.kept.Offset = size, size
	var err error
	in.kept.HashState, err = stateOf(in.hash)
	return err
}

// secure makes the part and its name durable. Where that fails nobody can tell
// what the disk has, and the part goes.
func (in *ingest) secure() error {
	if in.marked == 0 || in.sealed { // else it was synced before it was sealed
		return nil
	}
	err := in.file.DataSync()
	if err == nil {
		err = in.s.fs.SyncDir(in.s.path(ingestDir))
	}
	if err != nil {
		return errors.Join(err, in.Reset())
	}
	in.s.hook("ingest.secured")
	return nil
}

// replay is a part that a stream is compared with while it comes again. As long as
// it is equal nothing is written.
type replay struct {
	size int64 // of the part
	at   int64 // equal so far
	buf  []byte
}

// compare takes of p what is equal to the part, and returns its length. The rest
// is to be appended: at the first difference the part is cut off.
func (in *ingest) compare(p []byte) (n int, err error) {
	for in.again != nil && n < len(p) {
		k, differs, err := in.again.equal(in.file, p[n:])
		if err != nil {
			return n, err
		}
		in.hash.Write(p[n : n+k])
		in.sums.write(p[n : n+k])
		in.again.at += int64(k)
		n += k
		if differs {
			if err := in.cut(); err != nil {
				return n, err
			}
		} else if in.again.at == in.again.size {
			in.resumed, in.again = in.again.size, nil
		}
	}
	return n, nil
}

// equal counts the bytes at the beginning of p that are the part's next ones, up
// to a chunk of them, and says whether a difference ended that.
func (r *replay) equal(part io.ReaderAt, p []byte) (n int, differs bool, err error) {
	if r.buf == nil {
		r.buf = make([]byte, chunk)
	}
	p = p[:min(int64(len(p)), r.size-r.at, chunk)]
	got, err := part.ReadAt(r.buf[:len(p)], r.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false, err
	}
	if bytes.Equal(r.buf[:got], p) {
		return got, false, nil
	}
	for n < got && r.buf[n] == p[n] {
		n++
	}
	return n, true, nil
}

// cut drops what the part has beyond the bytes that the stream had so far. The
// row goes first: it must never speak for bytes that are not there.
func (in *ingest) cut() error {
	if in.again == nil {
		return nil
	}
	at := in.again.at
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	err := in.s.db.Write(ctx, func(tx *db.Tx) error {
		in.markedAt = tx.Now
		return tx.Checkpoint(in.key, at, nil, in.s.boot, tx.Now)
	})
	if err != nil {
		return err
	}
	in.s.hook("ingest.cutting")
	if err := in.file.Truncate(at); err != nil {
		return err
	}
	in.again, in.resumed, in.marked, in.kept = nil, at, at, db.Ingest{Offset: at}
	return nil
}

// remains counts the bytes that another try would find.
func (in *ingest) remains() int64 {
	if in.again != nil {
		return in.again.size
	}
	return in.size()
}
