package blobstore

import (
	"sync"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// append writes the fresh records and the notes of media types behind the pack's
// end.
func (c *committing) append() error {
	out := &appender{file: c.pack.file, at: c.pack.end}
	defer out.release()
	for _, it := range c.b.items {
		if c.fresh[it] {
			it.offset = out.end()
			if err := out.add(it.encoded); err != nil {
				return err
			}
		}
	}
	enc := pack.NewEncoder()
	defer enc.Release()
	for _, it := range c.b.items {
		if !it.noted {
			continue
		}
		note, _, err := enc.AppendNote(nil, it.mediaNote())
		if err == nil {
			err = out.add(note)
		}
		if err != nil {
			return err
		}
	}
	if err := out.flush(); err != nil {
		return err
	}
	if c.end = out.end(); c.end == c.pack.end {
		return nil
	}
	c.s.hook("pack.appended")
	return nil
}

// syncAppended makes durable what append wrote. With names still to come that
// waits for their notes, so that there is one fsync.
func (c *committing) syncAppended() error {
	if c.pack == nil || c.end == c.pack.end || c.moves() {
		return nil
	}
	return c.sync()
}

// appender writes many small pieces in large ones.
type appender struct {
	file fsys.File
	at   int64 // of the next write
	buf  *[]byte
}

var appendBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 1<<20); return &b }}

// end is where the next piece will be.
func (a *appender) end() int64 {
	if a.buf == nil {
		return a.at
	}
	return a.at + int64(len(*a.buf))
}

func (a *appender) add(p []byte) error {
	if a.buf == nil {
		a.buf = appendBuffers.Get().(*[]byte)
	}
	if len(*a.buf)+len(p) > cap(*a.buf) {
		if err := a.flush(); err != nil {
			return err
		}
	}
	if len(p) > cap(*a.buf) {
		return a.write(p)
	}
	*a.buf = append(*a.buf, p...)
	return nil
}

func (a *appender) flush() error {
	if a.buf == nil || len(*a.buf) == 0 {
		return nil
	}
	err := a.write(*a.buf)
	*a.buf = (*a.buf)[:0]
	return err
}

func (a *appender) write(p []byte) error {
	n, err := a.file.WriteAt(p, a.at)
	a.at += int64(n)
	return err
}

func (a *appender) release() {
	if a.buf != nil {
		*a.buf = (*a.buf)[:0]
		appendBuffers.Put(a.buf)
	}
}

func (c *committing) sync() error {
	c.synced = true
	if err := c.pack.file.DataSync(); err != nil {
		return err
	}
	c.s.hook("pack.synced")
	return nil
}

// needsNote says whether a rebuild could not tell the item's media type: that of
// a loose blob, one that a record's hint cannot name, and one that changes. What
// has no type needs no word. row is what was there before.
func (it *item) needsNote(row db.Object) bool {
	now := it.knownType()
	switch {
	case now == "":
		return false
	case row.Loc.Held():
		return it.retypes(row.Media)
	case it.loose(), row.Media != "" && row.Media != now: // an earlier note may say otherwise
		return true
	}
	_, known := pack.MediaHint(now)
	return !known
}

// knownType is the item's media type as the catalog keeps it: what nobody gave a
// type has none, so that one given later counts.
func (it *item) knownType() string {
	if it.desc.MediaType == oci.MediaTypeOctets {
		return ""
	}
	return it.desc.MediaType
}

// retypes says whether an object that is held gets the item's type: the last word
// counts, unless it is to keep the one it has, and save that a manifest stays one,
// since its edges are known.
func (it *item) retypes(was string) bool {
	now := it.knownType()
	switch {
	case now == "" || was == now:
		return false
	case oci.HasSuccessors(now):
		return true
	case oci.HasSuccessors(was):
		return false
	}
	return !it.keepType || was == ""
}

// mediaNote's seq is the time: of two processes that write one object with two
// types at once, either may win.
func (it *item) mediaNote() pack.Note {
	return pack.Note{
		Type: pack.NoteMedia, Seq: time.Now().UnixNano(),
		Digest: it.desc.Digest, Media: it.desc.MediaType, Size: it.desc.Size,
	}
}
