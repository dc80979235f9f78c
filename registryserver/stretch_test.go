package registryserver

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
)

// part is a part of a file.
type part struct {
	*io.SectionReader
	file      *os.File
	off, size int64
}

func (p part) Close() error                   { return nil }
func (p part) File() (*os.File, int64, int64) { return p.file, p.off, p.size }

func partOf(t *testing.T, data string, off, size int64) part {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return part{io.NewSectionReader(f, off, size), f, off, size}
}

func TestAStretchIsThatPartOfTheFile(t *testing.T) {
	s := newStretch(partOf(t, "..0123456789..", 2, 10))
	if s == nil {
		t.Fatal("no stretch")
	}
	if err := iotest.TestReader(s, []byte("0123456789")); err != nil {
		t.Error(err)
	}
	p := partOf(t, "0123", 0, 4)
	p.size = 3
	if newStretch(p) != nil {
		t.Error("a file that is not what the blob is is a stretch")
	}
}

// The kernel moves the file on by itself; what is read after that follows on.
func TestAStretchLeavesByTheConnection(t *testing.T) {
	s := newStretch(partOf(t, "..0123456789..", 2, 10))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		defer c.Close()
		data, _ := io.ReadAll(c)
		got <- string(data)
	}()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seek(1, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(c, io.LimitReader(s, 4)); n != 4 || err != nil {
		t.Errorf("%d bytes left: %v", n, err)
	}
	if n, err := io.CopyN(c, s, 5); n != 5 || err != nil {
		t.Errorf("%d bytes left: %v", n, err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	c.Close()
	if data := <-got; data != "123456789" {
		t.Errorf("%q arrived", data)
	}
}
