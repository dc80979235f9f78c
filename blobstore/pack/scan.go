package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"dist.example/content"
)

// scanWindow is how much Scan reads at once.
const scanWindow = 256 << 10

// Entry is a record that Scan has met.
type Entry struct {
	Record
	// Salvaged says that damage of more than a bit came before it, so that it was
	// found by its magic and not by following the records before it. It may then be a record within a
	// blob: a blob proves itself by its digest, a note needs another witness.
	Salvaged bool
}

// GapError is a stretch of a pack, before its recorded end, in which no record
// could be found. It is content.ErrCorrupt.
type GapError struct {
	From, To int64 // offsets in the file, To exclusive
}

func (e *GapError) Error() string {
	return fmt.Sprintf("bytes %d to %d of the pack: %v", e.From, e.To, content.ErrCorrupt)
}

// Unwrap makes it an integrity error.
func (e *GapError) Unwrap() error { return content.ErrCorrupt }

// Scan walks the records of a pack that is size bytes long, in order, reading
// headers only. end is the recorded end of the pack; where it is not known,
// which a rebuild without a catalog does not, it is size.
//
// A bad header before end yields a *GapError, beside an Entry that means
// nothing, and the walk goes on at the next good header. At or after end it is
// junk that an append left: the walk ends. Records whose Offset is end or more
// are sound but were never committed. Any other error is the disk's and ends the
// walk. The file's header is not looked at.
func Scan(r io.ReaderAt, end, size int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s := &scanner{window: window{r: r, size: size}, end: min(end, size)}
		if s.walk(yield) && end > size {
			yield(Entry{}, &GapError{From: size, To: end}) // the file was cut
		}
	}
}

type scanner struct {
	window
	end      int64
	salvaged bool
}

// walk goes from record to record, and says whether more may be said of the pack.
func (s *scanner) walk(yield func(Entry, error) bool) bool {
	for off := int64(HeaderSize); off < s.size; {
		rec, ok, err := s.record(off)
		switch {
		case err != nil:
			yield(Entry{}, fmt.Errorf("scan pack at %d: %w", off, err))
			return false
		case ok && !yield(Entry{rec, s.salvaged}, nil):
			return false
		case ok:
			off = rec.End()
		case off >= s.end:
			return true
		default:
			if off = s.skip(off, yield); off < 0 {
				return false
			}
		}
	}
	return true
}

// skip handles the bad header at off, before the end: it reports the gap and
// returns where to go on, or -1 where the walk ends.
func (s *scanner) skip(off int64, yield func(Entry, error) bool) int64 {
	next, err := s.bridge(off)
	if err == nil && next == 0 {
		s.salvaged = true
		next, err = s.resync(off + 1)
	}
	if err != nil {
		yield(Entry{}, fmt.Errorf("scan pack at %d: %w", off, err))
		return -1
	}
	// A hit past the end is in the junk: the records below the end are over.
	next = min(next, s.end)
	if !yield(Entry{}, &GapError{From: off, To: next}) {
		return -1
	}
	return next
}

// record parses the header at off. A record that would run past the file's end
// is none.
func (s *scanner) record(off int64) (Record, bool, error) {
	p, err := s.from(off)
	if err != nil {
		return Record{}, false, err
	}
	rec, ok := parseRecord(p, off)
	return rec, ok && rec.End() <= s.size, nil
}

// bridge finds the end of a record whose header has one flipped bit, 0 for any
// other damage. The checksum tells which bit it is: with a single one no other
// header fits. So the way to the next record stays a proved one.
func (s *scanner) bridge(off int64) (int64, error) {
	p, err := s.from(off)
	if err != nil {
		return 0, err
	}
	p = bytes.Clone(p[:min(len(p), maxHeader)])
	for bit := range 8 * len(p) {
		p[bit/8] ^= 1 << (bit % 8)
		if rec, ok := parseRecord(p, off); ok && rec.End() <= s.size {
			return rec.End(), nil
		}
		p[bit/8] ^= 1 << (bit % 8)
	}
	return 0, nil
}

// resync looks for the next good header from off on, and returns size when there
// is none.
func (s *scanner) resync(off int64) (int64, error) {
	for {
		p, err := s.from(off)
		if err != nil || len(p) < minRecord {
			return s.size, err
		}
		hit := bytes.Index(p, []byte(recordMagic))
		if hit < 0 {
			// The magic may lie across the end of what was read.
			off += int64(len(p) - len(recordMagic) + 1)
			continue
		}
		off += int64(hit)
		if _, ok, err := s.record(off); ok || err != nil {
			return off, err
		}
		off++
	}
}

// window is the stretch of a file that was read last.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	base int64 // offset of buf
}

// from returns what the window has from off on: room for a header at least, less
// only at the file's end. It is good until the next call. It reads on only when
// a header would not fit, so that a search which meets the magic at every step
// still reads each byte once.
func (w *window) from(off int64) ([]byte, error) {
	if w.buf == nil {
		w.buf, w.base = make([]byte, 0, min(scanWindow, w.size)), off
	}
	have := w.base + int64(len(w.buf))
	if off < w.base || min(off+maxHeader, w.size) > have {
		if err := w.fill(off); err != nil {
			return nil, err
		}
	}
	return w.buf[off-w.base:], nil
}

func (w *window) fill(off int64) error {
	w.buf, w.base = w.buf[:min(scanWindow, w.size-off)], off
	n, err := w.r.ReadAt(w.buf, off)
	whole := n == len(w.buf)
	w.buf = w.buf[:n]
	if whole || errors.Is(err, io.EOF) {
		return nil // an end before size is damage, and found as such
	}
	return err
}
