package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// What is copied out of a pack between two transactions.
const (
	copyBytes   = 8 << 20
	copyRecords = 1000
)

// Emptied is what became of a pack that was to go.
type Emptied struct {
	Bytes  int64  // the file's length, 0 when the pack stays
	Copied int64  // bytes of objects, as stored, that lie in other packs now
	Grown  int64  // bytes by which other packs have grown: those, headers and notes
	Kept   string // why the pack stays, "" when it is gone
}

// Why a pack stays.
const (
	packBusy    = "it is being written"
	packOpen    = "another process has it open: the next collection removes it"
	packDamaged = "it is damaged"
	packNewer   = "it holds what only a newer version of dist understands"
)

// EmptyPack gives a pack up: what is live in it is copied, as it is stored, to an open
// pack, and so are the notes that still count, then the pack is dead, then its file
// goes. A pack that is open is sealed first. One that is being written stays, and so does
// a damaged one while objects are in it, as Emptied says; what else it has lost and the
// catalog knows is written again before it goes. progress, which may be nil, is told of the
// bytes that were copied.
//
// A crash leaves a pack with less in it, or a dead one.
func (m *Maintenance) EmptyPack(ctx context.Context, id int64, progress func(n int64)) (Emptied, error) {
	f, err := m.s.fs.OpenFile(m.s.packPath(id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return m.forgetPack(ctx, id)
	}
	if err != nil {
		return Emptied{}, fmt.Errorf("open pack %d: %w", id, fsys.Classify(err))
	}
	defer f.Close()
	ok, err := f.TryLock(true)
	if err != nil || !ok {
		return Emptied{Kept: packBusy}, err
	}
	var row db.Pack
	err = m.s.db.Write(ctx, func(tx *db.Tx) (err error) {
		if err = tx.SealPack(id); err != nil {
			return err
		}
		row, ok, err = tx.Pack(id)
		return err
	})
	if err != nil || !ok || row.State == db.PackDead {
		return Emptied{}, err
	}
	m.s.hook("gc.sealed")
	e := &emptying{m: m, id: id, file: f, end: row.End, progress: progress, newest: map[string]heldNote{}}
	if err := e.run(ctx); err != nil {
		return Emptied{Copied: e.copied, Grown: e.grown}, fmt.Errorf("empty pack %d: %w", id, err)
	}
	if e.kept != "" {
		return Emptied{Copied: e.copied, Grown: e.grown, Kept: e.kept}, nil
	}
	size := row.End
	if fi, err := f.Stat(); err == nil {
		size = fi.Size()
	}
	f.Close() // nobody writes to a dead pack, and Windows keeps the name of what is open
	err = m.removePack(ctx, id)
	if fsys.InUse(err) {
		return Emptied{Copied: e.copied, Grown: e.grown, Kept: packOpen}, nil
	}
	if err != nil {
		return Emptied{Copied: e.copied, Grown: e.grown}, fmt.Errorf("remove pack %d: %w", id, err)
	}
	return Emptied{Bytes: size, Copied: e.copied, Grown: e.grown}, nil
}

// emptying is one run of EmptyPack. The pack's lock is held.
type emptying struct {
	m        *Maintenance
	id       int64
	file     fsys.File
	end      int64
	progress func(int64)
	kept     string
	damaged  bool  // it lacks records that it had
	copied   int64 // see Emptied
	grown    int64

	batch []pack.Entry // blobs looked at together
	bytes int64        // of their records
	notes []heldNote   // looked at together

	carry  []pack.Entry        // notes that still count for certain
	newest map[string]heldNote // and those that do if they are the newest of their key
}

// run copies what is live and ends with the transaction after which the pack is dead.
func (e *emptying) run(ctx context.Context) error {
	fi, err := e.file.Stat()
	if err != nil {
		return fsys.Classify(err)
	}
	for entry, err := range pack.Scan(legible{e.file}, e.end, min(e.end, fi.Size())) {
		if errors.Is(err, content.ErrCorrupt) {
			e.damaged = true
			continue
		}
		if err != nil {
			return fsys.Classify(err)
		}
		if err := e.take(ctx, entry); err != nil || e.kept != "" {
			return err
		}
	}
	for _, end := range []func(context.Context) error{e.flush, e.retell, e.judgeNotes, e.kill} {
		if err := end(ctx); err != nil || e.kept != "" {
			return err
		}
	}
	return nil
}

// retell has what the pack has lost told again.
func (e *emptying) retell(ctx context.Context) (err error) {
	if e.damaged {
		e.kept, err = e.m.retell(ctx, e.id)
	}
	return err
}

func (e *emptying) take(ctx context.Context, entry pack.Entry) error {
	switch entry.Kind {
	case pack.KindBlob:
		e.batch = append(e.batch, entry)
		if e.bytes += entry.Len(); len(e.batch) < copyRecords && e.bytes < copyBytes {
			return nil
		}
		return e.flush(ctx)
	case pack.KindNote:
		return e.note(ctx, entry)
	default:
		e.damaged = e.damaged || entry.Salvaged
		if !entry.Salvaged {
			e.kept = packNewer
		}
		return nil
	}
}

// flush copies the records of the batch that are live.
func (e *emptying) flush(ctx context.Context) error {
	batch := e.batch
	e.batch, e.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	live, err := e.live(ctx, batch)
	if err != nil || len(live) == 0 {
		return err
	}
	var buf bytes.Buffer
	for i := range live {
		live[i].at = int64(buf.Len())
		if err := e.record(&buf, live[i]); err != nil || e.kept != "" {
			return err
		}
	}
	var moved int64
	moves := make([]db.Moved, len(live))
	err = e.m.s.appendRecords(ctx, "gc.copied", buf.Bytes(), func(tx *db.Tx, id, at int64) (_, _ int64, err error) {
		var all int64
		for i, l := range live {
			moves[i] = db.Moved{ID: l.row.ID, From: l.entry.Offset, To: at + l.at, Stored: l.row.Stored}
			all += l.row.Stored
		}
		moved, err = tx.MoveObjects(e.id, id, moves)
		return moved, all - moved, err
	})
	if err != nil {
		return err
	}
	e.m.s.hook("gc.moved")
	e.copied += moved
	e.grown += int64(buf.Len())
	if e.progress != nil {
		e.progress(moved)
	}
	return nil
}

// liveRecord is a record that a row points to.
type liveRecord struct {
	entry pack.Entry
	row   db.Object
	at    int64 // in the buffer
}

// live finds the records that rows point to. Where one is marked as damaged, the pack
// stays: it may still be looked into.
func (e *emptying) live(ctx context.Context, batch []pack.Entry) (live []liveRecord, err error) {
	digests := make([]oci.Digest, len(batch))
	for i, entry := range batch {
		digests[i] = entry.Digest
	}
	err = e.m.s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Objects(digests)
		if err != nil {
			return err
		}
		for _, entry := range batch {
			row, ok := rows[entry.Digest]
			if !ok || row.Pack != e.id || row.Off != entry.Offset {
				continue
			}
			switch row.Loc {
			case db.LocPack:
				live = append(live, liveRecord{entry: entry, row: row})
			case db.LocDamaged:
				e.kept = packDamaged
			}
		}
		return nil
	})
	return live, err
}

// record appends a record as it is stored.
func (e *emptying) record(buf *bytes.Buffer, l liveRecord) error {
	err := e.copy(buf, l.entry, func(r io.ReaderAt, rec pack.Record) error {
		_, err := pack.ReadBlob(r, rec)
		return err
	})
	switch {
	case errors.Is(err, content.ErrUnsupported):
		e.kept = packNewer
		return nil
	case errors.Is(err, content.ErrCorrupt):
		e.m.s.markDamaged(l.row.Digest, l.row)
		e.kept = packDamaged
		return nil
	}
	return fsys.Classify(err)
}

// copy appends a record as it is stored, once verify has found right what was read:
// damage must not look like something written just now.
func (e *emptying) copy(buf *bytes.Buffer, entry pack.Entry, verify func(io.ReaderAt, pack.Record) error) error {
	p := make([]byte, entry.Len())
	if _, err := (legible{e.file}).ReadAt(p, entry.Offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	read := shifted{bytesAt(p), -entry.Offset}
	again, err := pack.ReadRecord(read, entry.Offset)
	if err == nil && again != entry.Record {
		err = fmt.Errorf("record at %d: %w: it reads as another", entry.Offset, content.ErrCorrupt)
	}
	if err == nil {
		err = verify(read, entry.Record)
	}
	if err == nil {
		buf.Write(p)
	}
	return err
}

// errStillLive says that something points into a pack that was found empty.
var errStillLive = errors.New("something points into the pack")

// kill carries the notes that still count on and makes the pack dead, in the
// transaction of the last of them.
func (e *emptying) kill(ctx context.Context) error {
	err := e.carryOn(ctx)
	if errors.Is(err, errStillLive) { // found damaged since, or counted wrong, as `check` tells
		e.kept, err = packDamaged, nil
	}
	return err
}

func (e *emptying) dead(tx *db.Tx) error {
	row, found, err := tx.Pack(e.id)
	if err != nil || !found {
		return err
	}
	if row.Live != 0 {
		return errStillLive
	}
	return tx.KillPack(e.id)
}
