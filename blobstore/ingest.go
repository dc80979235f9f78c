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
	"os"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// checkpointEvery is how far an ingest goes between two checkpoints, and
	// checkpointPause how long, from the second on: a resume in the same boot hashes no
	// more again than came in the longer of both, and while that was recorded.
	checkpointEvery = 64 << 20
	checkpointPause = 250 * time.Millisecond
)

var pid = os.Getpid()

// opening says what an ingest does with the part that an owner before it left.
type opening int

const (
	// resuming goes on where the part ends.
	resuming opening = iota
	// comparing writes a stream that comes from its first byte again.
	comparing
	// alone has a key that is nobody's, so that there is no part. Its content is given
	// and judged in any case.
	alone
)

// ingest is content on its way into a file of its own. Its owner holds the lock
// on the file; its row tells everybody else how far it is.
type ingest struct {
	s       *Store
	key     string
	opts    content.IngestOptions
	how     opening
	file    fsys.File
	started time.Time

	// sealed says that the file is whole and may have a second name among the
	// blobs: it must never be written again.
	sealed  bool
	hash    hash.Hash // what the pipe continues with
	sums    blockSums // of what this process has hashed: all, but after a checkpoint
	resumed int64     // bytes found at opening
	pipe    *pipe     // nil until the first write
	again   *replay   // while there is a part to compare with, else nil

	kept db.Ingest // offset and hash state of the checkpoint at opening, zero for none
	// failed is the error of a sync. The system may take for written by now what is
	// not on the disk, and would not tell if it were asked again: only Reset helps.
	failed   error
	marked   int64      // offset of the last checkpoint begun
	markedAt time.Time  // and when it was
	mark     chan error // the running checkpoint, nil when there is none
	named    bool       // the file's name is durable, as far as the checkpoints know
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

// Write appends to the ingest, after what it was found equal to.
func (in *ingest) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if in.sealed {
		return 0, fmt.Errorf("ingest %s: %w: it is complete", in.key, content.ErrInvalid)
	}
	n, err := in.compare(p)
	if err == nil && n < len(p) {
		var m int
		m, err = in.append(p[n:])
		n += m
	}
	if err != nil {
		return n, fmt.Errorf("ingest %s: %w", in.key, fsys.Classify(err))
	}
	return n, nil
}

func (in *ingest) append(p []byte) (int, error) {
	if err := in.s.spend(int64(len(p))); err != nil {
		return 0, err
	}
	in.start()
	n, err := in.pipe.Write(p)
	return n, in.written(err)
}

// start makes the pipe.
func (in *ingest) start() {
	if in.pipe == nil {
		in.pipe = newPipe(in.file, in.hash, &in.sums, in.resumed)
		in.pipe.eager = in.how == comparing // its source may be slow, and is watched
	}
}

// written is for after each piece of content that the pipe got.
func (in *ingest) written(err error) error {
	in.s.hook("ingest.written")
	if err == nil && in.markDue() {
		err = in.checkpoint()
	}
	return err
}

func (in *ingest) markDue() bool {
	return in.pipe.size()-in.marked >= in.s.checkpoints && (in.marked == 0 || time.Since(in.markedAt) >= in.s.checkpointPause)
}

// room is where the next bytes may be put, for took; nothing where they have to be
// looked at first.
func (in *ingest) room() []byte {
	if in.sealed || in.how == comparing {
		return nil
	}
	in.start()
	return in.pipe.room()
}

// took appends the n bytes that were put to where room said.
func (in *ingest) took(n int) error {
	err := in.s.spend(int64(n))
	if err == nil {
		err = in.written(in.pipe.took(n))
	}
	if err != nil {
		return fmt.Errorf("ingest %s: %w", in.key, fsys.Classify(err))
	}
	return nil
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
	offset, at, done := in.pipe.size(), time.Now(), make(chan error, 1)
	in.marked, in.markedAt, in.mark = offset, at, done
	disk := in.pipe.disk
	go func() { done <- in.record(disk, offset, state, at) }()
	return nil
}

// record is the durable half of a checkpoint.
func (in *ingest) record(disk *fsys.Behind, offset int64, state []byte, at time.Time) error {
	if err := disk.Sync(); err != nil {
		return err
	}
	if !in.named { // the name, too, has to outlive a crash
		if err := in.s.fs.SyncDir(in.s.path(ingestDir)); err != nil {
			return err
		}
		in.named = true
	}
	in.s.hook("ingest.synced")
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	err := in.s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.Checkpoint(in.key, offset, state, in.s.boot, at)
	})
	if err != nil { // the bytes are there all the same: there is just no checkpoint
		in.s.warn(fmt.Sprintf("how far %s is could not be recorded: %v", in.key, err))
	}
	in.s.hook("ingest.checkpointed")
	return nil
}

// awaitMark waits for the running checkpoint, and returns the error of a sync before it, too.
func (in *ingest) awaitMark() error {
	if in.mark != nil {
		if err := <-in.mark; err != nil {
			in.failed = err
		}
		in.mark = nil
	}
	return in.failed
}

// settle waits for what syncs in the background. The pipe is drained.
func (in *ingest) settle() error {
	if err := in.awaitMark(); err == nil && in.pipe != nil {
		in.failed = in.pipe.disk.Wait()
	}
	return in.failed
}

// size counts the bytes accepted.
func (in *ingest) size() int64 {
	switch {
	case in.again != nil:
		return in.again.at
	case in.pipe == nil:
		return in.resumed
	}
	return in.pipe.size()
}

// sum is the digest of the bytes accepted.
func (in *ingest) sum() (oci.Digest, error) {
	if in.pipe != nil {
		if err := in.pipe.drain(); err != nil {
			return "", err
		}
	}
	return oci.NewDigest(algorithm(in.opts.Expected), in.hash), nil
}

// seal ends writing: all bytes are in the file and durable. It returns the
// content's digest.
func (in *ingest) seal() (oci.Digest, error) {
	d, err := in.sum()
	if err != nil {
		return "", err
	}
	if err := in.settle(); err != nil {
		return "", err
	}
	if !in.sealed { // else it was synced before it was sealed
		if err := in.file.DataSync(); err != nil {
			in.failed = err
			return "", err
		}
	}
	return d, nil
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
	in.s.hook("ingest.reset")
	switch {
	case err != nil:
	case in.sealed:
		err = in.replace()
	default:
		err = in.file.Truncate(0)
	}
	in.again, in.hash, in.resumed, in.failed = nil, hasher(in.opts.Expected), 0, nil
	in.sums = blockSums{}
	in.marked, in.markedAt = 0, time.Now()
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
		err := tx.Checkpoint(in.key, 0, nil, in.s.boot, tx.Now)
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
	var f fsys.File
	for ours := false; !ours; { // only a collection looks for this name while the key is ours
		var err error
		if f, err = in.s.fs.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return err
		}
		if ours, err = in.s.claim(f, name+".new"); err != nil || !ours {
			f.Close()
		}
		if err != nil {
			return err
		}
	}
	in.s.hook("ingest.replacing")
	if err := in.s.fs.Rename(name+".new", name); err != nil {
		f.Close()
		return err
	}
	in.s.hook("ingest.replaced")
	in.file.Close()
	in.file, in.sealed, in.named = f, false, false
	return nil
}

// stop waits for everything that runs in the background.
func (in *ingest) stop() {
	in.awaitMark()
	if in.pipe != nil {
		in.pipe.drain()
		if err := in.pipe.close(); err != nil {
			in.failed = err
		}
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
	in.s.hook("ingest.abandoned")
	in.remove()
	return nil
}

// remove unlinks the file. The row must be gone already, or go with it.
func (in *ingest) remove() {
	in.stop()
	fsys.RemoveHeld(in.file, in.s.ingestPath(in.key), in.s.fs)
}
