package registryserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// watchedListener counts the files that its connections are given to send.
type watchedListener struct {
	net.Listener
	files atomic.Int64
}

type watchedConn struct {
	*net.TCPConn
	ln *watchedListener
}

func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{conn.(*net.TCPConn), l}, nil
}

func (c *watchedConn) ReadFrom(r io.Reader) (int64, error) {
	if part, ok := r.(*io.LimitedReader); ok {
		if _, ok := part.R.(syscall.Conn); ok {
			c.ln.files.Add(1)
		}
	}
	return c.TCPConn.ReadFrom(r)
}

func fileOf(t *testing.T, data []byte) fileStore {
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return fileStore{memory.New(), path, int64(len(data))}
}

func TestTheKernelSendsFilesBehindTheRecorder(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &watchedListener{Listener: inner}
	data := registrytest.Bytes(1, 5<<20) // two pieces
	h := registryserver.New(fileOf(t, data), registryserver.Options{})
	served(t, ln, h, registryserver.Run{})
	r := &rig{t, nil, "http://" + inner.Addr().String()}
	path := "/v2/app/blobs/" + oci.DigestBytes(nil).String()
	a := r.do("GET", path, nil)
	if string(a.body) != string(data) {
		t.Error("the blob is not what is in the file")
	}
	if n := ln.files.Load(); n != 2 {
		t.Errorf("the connection was given %d pieces of the file, want 2", n)
	}
	a = r.do("GET", path, nil, "Range", "bytes=4000000-4999999")
	if string(a.body) != string(data[4000000:5000000]) {
		t.Error("the part is not that of the file")
	}
	if n := ln.files.Load(); n != 3 {
		t.Errorf("a part was not sent from the file: %d", n)
	}
	r.do("HEAD", path, nil)
	if n := ln.files.Load(); n != 3 {
		t.Error("HEAD sends the file")
	}
}

// served serves h on ln until the test ends, or the returned function is called,
// which is what Serve returned.
func served(t *testing.T, ln net.Listener, h http.Handler, run registryserver.Run) func() error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- registryserver.Serve(ctx, ln, h, run) }()
	stop := func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// pipes is a listener whose connections are net.Pipe's, so that the clock of a
// synctest bubble rules their deadlines.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// dial returns the client's end. A direct one is a TCP connection to the server.
func (p *pipes) dial(direct bool) net.Conn {
	client, server := net.Pipe()
	if direct {
		server = tcpLike{server}
	}
	p.conns <- server
	return client
}

// tcpLike sends files as a TCP connection does where the kernel cannot: what it has
// read and cannot send is lost.
type tcpLike struct{ net.Conn }

func (c tcpLike) LocalAddr() net.Addr { return &net.TCPAddr{} }

func (c tcpLike) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// getSlowly asks for a blob and takes some of it every now and then; it returns the
// length of the answer and what came before the connection ended.
func getSlowly(t *testing.T, conn net.Conn, some int, pause time.Duration) (length int64, got []byte) {
	fmt.Fprintf(conn, "GET /v2/app/blobs/%s HTTP/1.1\r\nHost: x\r\n\r\n", oci.DigestBytes(nil))
	br := bufio.NewReaderSize(conn, 16)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, some)
	for {
		time.Sleep(pause)
		n, err := io.ReadFull(resp.Body, buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return resp.ContentLength, got
		}
	}
}

func TestAReaderMayBeSlowButNotStop(t *testing.T) {
	data := registrytest.Bytes(1, 300_000)
	file := fileOf(t, data)
	held := blobStore{memory.New(), data}
	for name, direct := range map[string]bool{"file": true, "buffer": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var store content.Store = held
				if direct {
					store = file
				}
				ln := newPipes()
				stop := served(t, ln, registryserver.New(store, registryserver.Options{}), registryserver.Run{})
				// Of a file any part of a write counts that is taken within a minute, of
				// a buffer all of it.
				some := map[bool]int{true: 20_000, false: 70_000}[direct]
				length, got := getSlowly(t, ln.dial(direct), some, 40*time.Second)
				if length != int64(len(data)) || string(got) != string(data) {
					t.Errorf("a slow reader has got %d of %d bytes, or others", len(got), length)
				}
				begin := time.Now()
				_, got = getSlowly(t, ln.dial(direct), 1000, 10*time.Minute)
				if len(got) == len(data) || time.Since(begin) > 21*time.Minute {
					t.Errorf("who takes nothing for ten minutes gets %d bytes", len(got))
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// blobStore holds one blob in memory.
type blobStore struct {
	*memory.Store
	data []byte
}

func (blobStore) InRepository(context.Context, string, ...oci.Digest) ([]bool, error) {
	return []bool{true}, nil
}

type blobReader struct {
	io.ReaderAt
	size int64
}

func (blobReader) Close() error  { return nil }
func (b blobReader) Size() int64 { return b.size }

func (s blobStore) ReaderAt(context.Context, oci.Descriptor) (content.ReaderAt, error) {
	return blobReader{strings.NewReader(string(s.data)), int64(len(s.data))}, nil
}
