package bundle

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"time"

	"dist.example/fsys"
)

// tarFile writes members one behind the other. A member that fails is cut off again.
// It is for one writer at a time.
type tarFile struct {
	file  fsys.File
	epoch time.Time
	size  int64 // of the members that are whole
	err   error // why nothing more can be written
}

// document is a small member.
type document struct {
	name string
	data []byte
}

// add writes one member of size bytes.
func (f *tarFile) add(name string, size int64, r io.Reader) (member, error) {
	if f.err != nil {
		return member{}, f.err
	}
	m, end, err := f.write(name, size, r)
	if err != nil {
		f.cut()
		return member{}, err
	}
	f.size = end
	return m, nil
}

func (f *tarFile) write(name string, size int64, r io.Reader) (m member, end int64, err error) {
	w := &position{file: f.file, off: f.size}
	tw := tar.NewWriter(w)
	h := memberHeader(name, size, memberTime(f.epoch))
	if err := tw.WriteHeader(&h); err != nil {
		return m, 0, fsys.Classify(err)
	}
	m = member{off: w.off, size: size}
	// The type hides what would make io.CopyBuffer go another way.
	if _, err := io.CopyBuffer(struct{ io.Writer }{tw}, r, make([]byte, 256<<10)); err != nil {
		return m, 0, fsys.Classify(err)
	}
	// It complains of content that is shorter than the header says.
	return m, roundUp(w.off), fsys.Classify(tw.Flush())
}

// roundUp is where the block ends that n lies in.
func roundUp(n int64) int64 { return (n + 511) &^ 511 }

// cut takes a member that failed off again. Without that the file cannot be what it
// should, and nothing more is written.
func (f *tarFile) cut() {
	if err := f.file.Truncate(f.size); err != nil {
		f.err = fmt.Errorf("the archive cannot be cut back: %w", fsys.Classify(err))
	}
}

// end writes docs and the mark of a tar's end, all or nothing.
func (f *tarFile) end(docs []document) error {
	start := f.size
	for _, d := range docs {
		if _, err := f.add(d.name, int64(len(d.data)), bytes.NewReader(d.data)); err != nil {
			f.size = start
			f.cut()
			return err
		}
	}
	if _, err := f.file.WriteAt(make([]byte, 1024), f.size); err != nil {
		f.size = start
		f.cut()
		return fsys.Classify(err)
	}
	return nil
}

// position writes to a file from an offset on.
type position struct {
	file fsys.File
	off  int64
}

func (p *position) Write(b []byte) (int, error) {
	n, err := p.file.WriteAt(b, p.off)
	p.off += int64(n)
	return n, err
}
