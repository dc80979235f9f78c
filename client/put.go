package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// DefaultKeep is how long what was put is kept when no name comes to reach it.
const DefaultKeep = 7 * 24 * time.Hour

// PutOptions direct Put and PutBatch.
type PutOptions struct {
	// Type is a media type or one of the short names of oci.ParseMediaType. The word
	// layer becomes the layer type of the compression that the bytes have. "" is
	// application/octet-stream.
	Type string
	// Expected and Size, where they are known, are what the content must have: any
	// other is ErrCorrupt, and nothing is stored. "" and nil ask for nothing.
	Expected oci.Digest
	Size     *int64
	// Keep is for how long the objects are kept without a name, 0 means DefaultKeep.
	Keep time.Duration

	keepType bool // see content.IngestOptions
}

func (o PutOptions) session() blobstore.SessionOptions {
	keep := o.Keep
	if keep <= 0 {
		keep = DefaultKeep
	}
	return blobstore.SessionOptions{Note: "put", Keep: keep}
}

// mediaType is the type for content that begins with head.
func (o PutOptions) mediaType(head []byte) (string, error) { return mediaTypeOf(o.Type, head) }

// wordLayer is the type whose meaning depends on the content.
const wordLayer = "layer"

// mediaTypeOf is what a word for a type means for content that begins with head.
func mediaTypeOf(word string, head []byte) (string, error) {
	switch word {
	case "":
		return oci.MediaTypeOctets, nil
	case wordLayer:
		return layer.Detect(head).MediaType(), nil
	}
	return oci.ParseMediaType(word)
}

// Put stores what r has to its end as one object, durably, and makes the store
// when there is none. Errors: ErrInvalid for the type and for a manifest that is
// none, ErrNoSpace.
//
// Options.Observe is told of what does not fit a buffer of 256 KiB, under the name
// "stdin".
func (c *Client) Put(ctx context.Context, o PutOptions, r io.Reader) (content.Info, error) {
	return c.put(ctx, o, "stdin", r)
}

func (c *Client) put(ctx context.Context, o PutOptions, name string, r io.Reader) (content.Info, error) {
	if _, err := o.mediaType(nil); err != nil {
		return content.Info{}, err
	}
	ses, err := c.begin(ctx, o.session())
	if err != nil {
		return content.Info{}, err
	}
	defer ses.Close()
	fsys.Widen(r)
	var info content.Info
	p := &putting{ses, o, c.opts.Observe}
	if _, err := p.put(ctx, name, r, func(i content.Info) { info = i }); err != nil {
		return content.Info{}, err
	}
	c.hook("put.streamed")
	if err := ses.Commit(ctx); err != nil {
		return content.Info{}, err
	}
	c.hook("put.committed")
	return info, nil
}

// PutFile is Put of a file, whose path is its name in what is told.
func (c *Client) PutFile(ctx context.Context, o PutOptions, path string) (content.Info, error) {
	f, err := openInput(ctx, path)
	if err != nil {
		return content.Info{}, err
	}
	defer f.Close()
	info, err := c.put(ctx, o, path, f)
	if err != nil {
		return info, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}

func (c *Client) begin(ctx context.Context, o blobstore.SessionOptions) (*blobstore.Session, error) {
	s, err := c.Init(ctx)
	if err != nil {
		return nil, err
	}
	return s.Begin(ctx, o)
}

// openInput opens a file to be put, which a folder is not. A pipe or a device is
// read like any other; opening and reading one ends with ctx.
func openInput(ctx context.Context, path string) (*os.File, error) {
	if strings.ContainsRune(path, 0) {
		return nil, content.WithHint(fmt.Errorf("%q: %w: a file name with a NUL byte", path, content.ErrInvalid), "-0 says that names in a list end so")
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	if fi.IsDir() {
		return nil, content.WithHint(fmt.Errorf("%s: %w: it is a folder", path, content.ErrInvalid), "`dist pack NAME %s` makes an image of a folder", path)
	}
	f, err := fsys.OpenPatiently(ctx, path, os.O_RDONLY)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	return f, nil
}

// heads holds buffers for the beginning of content: all of it when it is small.
var heads = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// putting is what all that one command puts has in common.
type putting struct {
	ses     *blobstore.Session
	o       PutOptions
	observe content.Observer
}

// put writes one object into the session.
func (p *putting) put(ctx context.Context, name string, r io.Reader, done func(content.Info)) (content.Info, error) {
	o := p.o
	buf := heads.Get().(*[]byte)
	defer heads.Put(buf)
	n, err := io.ReadFull(content.UntilDone(ctx, r), *buf)
	whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !whole {
		return content.Info{}, fsys.Classify(err)
	}
	head := (*buf)[:n]
	opts := content.IngestOptions{Expected: o.Expected, Total: -1, KeepType: o.keepType}
	if o.Size != nil {
		opts.Total = *o.Size
	}
	if opts.MediaType, err = o.mediaType(head); err != nil {
		return content.Info{}, err
	}
	if !whole {
		t := &told{observe: p.observe, name: name, total: opts.Total}
		if t.total < 0 {
			t.total = sizeOf(r, n)
		}
		if err := p.ses.Fits(ctx, t.total); err != nil {
			return content.Info{}, err
		}
		return p.stream(ctx, opts, t, io.MultiReader(bytes.NewReader(head), r), done)
	}
	if o.Size != nil && *o.Size != int64(n) {
		return content.Info{}, fmt.Errorf("%w: %d bytes in place of %d", content.ErrCorrupt, n, *o.Size)
	}
	return p.ses.Put(ctx, blobstore.Blob{Data: head, MediaType: opts.MediaType, Expected: o.Expected, KeepType: o.keepType, Done: done})
}

// sizeOf is how much r has in all if it is a file of which read bytes were read, -1
// where nobody can tell.
func sizeOf(r io.Reader, read int) int64 {
	f, ok := r.(*os.File)
	if !ok {
		return -1
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return -1
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil || at > fi.Size() {
		return -1
	}
	return fi.Size() - at + int64(read)
}

// stream is put for content that does not fit a buffer; t tells of it.
func (p *putting) stream(ctx context.Context, opts content.IngestOptions, t *told, r io.Reader, done func(content.Info)) (content.Info, error) {
	// Whether it is held is found out by reading it: what was given is to be judged
	// in any case.
	w, err := p.ses.NewWriter(ctx, opts, done)
	if err != nil {
		return content.Info{}, err
	}
	defer w.Close()
	t.w = w
	var info content.Info
	err = t.during(func() (err error) {
		if _, err = io.CopyBuffer(t, content.UntilDone(ctx, r), make([]byte, 256<<10)); err != nil {
			return fsys.Classify(err)
		}
		info, err = w.Commit(ctx)
		return err
	})
	if err != nil {
		return content.Info{}, err
	}
	return info, nil
}

// PutBatch stores many files in one go: small ones share an fsync and a
// transaction by the thousand. done is called for each file in the order of
// paths, once it is durable. The first error ends the batch; what was durable by
// then stays.
func (c *Client) PutBatch(ctx context.Context, o PutOptions, paths iter.Seq2[string, error], done func(path string, info content.Info)) error {
	if _, err := o.mediaType(nil); err != nil {
		return err
	}
	ses, err := c.begin(ctx, o.session())
	if err != nil {
		return err
	}
	defer ses.Close()
	p := &putting{ses, o, c.opts.Observe}
	if err := p.all(ctx, paths, &inOrder{done: done, ready: map[int]putResult{}}); err != nil {
		return errors.Join(err, ses.Flush(ctx))
	}
	c.hook("put.batched")
	return ses.Commit(ctx)
}

// job is one file of a batch.
type job struct {
	number int
	path   string
}

// all reads, hashes and encodes in a few workers that live as long as the
// batch: a goroutine for each file would grow a stack for each.
func (p *putting) all(ctx context.Context, paths iter.Seq2[string, error], order *inOrder) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs, listed := make(chan job, 64), make(chan error, 1)
	for range max(2, runtime.GOMAXPROCS(0)) {
		g.Go(func() error { return p.jobs(ctx, jobs, order) })
	}
	// Not one of the group: it may be reading a list from a pipe that nobody ends.
	go func() {
		listed <- number(ctx, paths, jobs)
		close(jobs)
	}()
	if err := g.Wait(); err != nil {
		return err
	}
	return <-listed
}

func (p *putting) jobs(ctx context.Context, jobs <-chan job, order *inOrder) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case j, more := <-jobs:
			if !more {
				return nil
			}
			err := p.file(ctx, j.path, func(info content.Info) { order.add(j.number, putResult{j.path, info}) })
			if err != nil {
				return err
			}
		}
	}
}

// number hands the paths out with their places in the order.
func number(ctx context.Context, paths iter.Seq2[string, error], jobs chan<- job) error {
	n := 0
	for path, err := range paths {
		if err != nil {
			return err
		}
		select {
		case jobs <- job{n, path}:
			n++
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *putting) file(ctx context.Context, path string, done func(content.Info)) error {
	f, err := openInput(ctx, path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := p.put(ctx, path, f, done); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type putResult struct {
	path string
	info content.Info
}

// inOrder passes results on in the order of their numbers, however they come.
type inOrder struct {
	mu    sync.Mutex
	next  int
	ready map[int]putResult
	done  func(string, content.Info)
}

func (o *inOrder) add(i int, r putResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ready[i] = r
	for {
		r, ok := o.ready[o.next]
		if !ok {
			return
		}
		delete(o.ready, o.next)
		o.next++
		o.done(r.path, r.info)
	}
}
