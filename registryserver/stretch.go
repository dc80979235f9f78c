package registryserver

import (
	"errors"
	"io"
	"os"
	"syscall"

	"dist.example/content"
)

// stretch reads a part of a file from its beginning. Behind the io.LimitedReader that
// http.ServeContent sends by, its SyscallConn lets package net have the kernel move
// the bytes from where the file stands; where that is not possible they are read.
type stretch struct {
	file        *os.File
	first, size int64
}

// newStretch is the content of ra if it is a part of a file, which nobody else must
// move in as long as it is read; else nil.
func newStretch(ra content.ReaderAt) *stretch {
	b, ok := ra.(content.Backed)
	if !ok {
		return nil
	}
	file, first, size := b.File()
	if file == nil || size != ra.Size() {
		return nil
	}
	s := &stretch{file: file, first: first, size: size}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	return s
}

// Read implements io.Reader. It keeps to the stretch.
func (s *stretch) Read(p []byte) (int, error) {
	at, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at >= s.size {
		return 0, io.EOF
	}
	return s.file.Read(p[:min(int64(len(p)), s.size-at)])
}

// Seek implements io.Seeker. The file stands where it says: the kernel may have moved
// it meanwhile.
func (s *stretch) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		at, err := s.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return 0, err
		}
		if offset == 0 {
			return at - s.first, nil
		}
		offset += at - s.first
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, errors.New("seek to before the beginning")
	}
	at, err := s.file.Seek(s.first+offset, io.SeekStart)
	return at - s.first, err
}

// SyscallConn implements syscall.Conn.
func (s *stretch) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }
