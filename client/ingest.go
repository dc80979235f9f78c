package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// maxKeyLength is far beyond any name or digest.
const maxKeyLength = 4096

// IngestOptions direct Ingest.
type IngestOptions struct {
	// Type is as in PutOptions.
	Type string
	// Expected and Size, where they are known, are what the content must have. Where
	// neither is, the end of the stream is the end of the content. "" and nil ask for
	// nothing.
	Expected oci.Digest
	Size     *int64
	// Keep is for how long the object is kept without a name, 0 means DefaultKeep.
	Keep time.Duration
}

func (o IngestOptions) session() blobstore.SessionOptions {
	so := PutOptions{Keep: o.Keep}.session()
	so.Note = "ingest"
	return so
}

func (o IngestOptions) total() int64 {
	if o.Size == nil {
		return -1
	}
	return *o.Size
}

// Ingest stores what r has to its end under a key, durably, and makes the store
// when there is none. Of all that ingest under the same key one writes at a time,
// here and in other processes; the others wait. Once the expected content is held,
// Ingest returns its Info and reads nothing of r.
//
// Every try brings the whole stream in r. What an earlier one left under the key is
// compared with it, and counts as far as it is equal. When r ends before the
// expected content is complete that is ErrCorrupt, and what came is kept for the
// next try; so it is when ctx ends. Content that is wrong and not just incomplete
// is ErrCorrupt too, and is dropped; only a Size tells the two apart.
//
// Errors besides: ErrInvalid for a key that is empty, longer than 4096 bytes, no
// UTF-8 or has control characters, for the type, and for a manifest that is none;
// ErrConflict when what is left under the key expects another digest or size;
// ErrNoSpace.
func (c *Client) Ingest(ctx context.Context, key string, o IngestOptions, r io.Reader) (content.Info, error) {
	if err := checkKey(key); err != nil {
		return content.Info{}, err
	}
	if _, err := mediaTypeOf(o.Type, nil); err != nil {
		return content.Info{}, err
	}
	ses, err := c.begin(ctx, o.session())
	if err != nil {
		return content.Info{}, err
	}
	defer ses.Close()
	fsys.Widen(r)
	in := &ingesting{c: c, ses: ses, key: key, o: o, r: bufio.NewReader(content.UntilDone(ctx, r))}
	for {
		w, err := in.open(ctx)
		switch {
		case err == nil:
			return in.stream(ctx, w)
		case !errors.Is(err, content.ErrExists):
			return content.Info{}, err
		}
		info, err := in.held(ctx)
		if !errors.Is(err, content.ErrNotFound) { // else it is given up by now
			return info, err
		}
	}
}

// checkKey refuses keys that could not be shown, or typed again.
func checkKey(key string) error {
	what := ""
	switch {
	case key == "":
		what = "a key that is empty"
	case len(key) > maxKeyLength:
		what = fmt.Sprintf("a key of %d bytes, more than %d", len(key), maxKeyLength)
	case strings.ContainsRune(key, utf8.RuneError): // also where somebody made it of what was none
		what = "a key that is no UTF-8 text"
	case strings.ContainsFunc(key, unicode.IsControl):
		what = "a key with control characters"
	default:
		return nil
	}
	return fmt.Errorf("ingest: %w: %s", content.ErrInvalid, what)
}

// ingesting is one run of Ingest.
type ingesting struct {
	c   *Client
	ses *blobstore.Session
	key string
	o   IngestOptions
	r   *bufio.Reader
}

// held keeps the expected content, which is there.
func (in *ingesting) held(ctx context.Context) (content.Info, error) {
	info, err := in.commit(ctx, in.o.Expected)
	if err != nil {
		return content.Info{}, err
	}
	if total := in.o.total(); total >= 0 && info.Size != total {
		return content.Info{}, fmt.Errorf("ingest %s: %w: %s has %d bytes, not %d", in.key, content.ErrCorrupt, info.Digest, info.Size, total)
	}
	in.c.opts.Observe(content.Event{Kind: content.EventReused, Name: in.key, Offset: info.Size, Total: info.Size})
	return info, nil
}

// commit makes durable what the session has, and tells of the object.
func (in *ingesting) commit(ctx context.Context, d oci.Digest) (content.Info, error) {
	if err := in.ses.Commit(ctx); err != nil {
		return content.Info{}, err
	}
	in.c.hook("ingest.stored")
	s, err := in.c.Open(ctx)
	if err != nil {
		return content.Info{}, err
	}
	return s.Info(ctx, d)
}

// open opens the ingest; ErrExists when there is nothing to do. Only where the type
// depends on the content is any of that read before.
func (in *ingesting) open(ctx context.Context) (content.Writer, error) {
	var head []byte
	if in.o.Type == wordLayer {
		if in.o.Expected != "" {
			held, err := in.ses.Exists(ctx, oci.Descriptor{Digest: in.o.Expected, Size: in.o.total()})
			if err != nil {
				return nil, err
			}
			if held {
				return nil, content.ErrExists
			}
		}
		// An error, or an end so soon, comes again with the next read.
		head, _ = in.r.Peek(4)
	}
	mediaType, err := mediaTypeOf(in.o.Type, head)
	if err != nil {
		return nil, err
	}
	return in.ses.Ingest(ctx, content.IngestOptions{
		Key: in.key, Expected: in.o.Expected, Total: in.o.total(), MediaType: mediaType,
	})
}

// fits refuses content of a known size that there is no room for. What an earlier try
// left is there already.
func (in *ingesting) fits(ctx context.Context) error {
	total := in.o.total()
	if total < 0 {
		return nil
	}
	s, err := in.c.Open(ctx)
	if err != nil {
		return err
	}
	st, err := s.Status(ctx, in.key)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	return s.Fits(ctx, total-st.Offset)
}

// stream stores all of the input, and tells of progress.
func (in *ingesting) stream(ctx context.Context, w content.Writer) (content.Info, error) {
	defer w.Close()
	if err := in.fits(ctx); err != nil {
		return content.Info{}, err
	}
	t := &told{w: w, observe: in.c.opts.Observe, name: in.key, total: in.o.total()}
	var info content.Info
	err := t.during(func() (err error) {
		if info, err = in.copy(ctx, t, w); err == nil {
			info, err = in.commit(ctx, info.Digest)
		}
		return err
	})
	if err != nil {
		return content.Info{}, err
	}
	return info, nil
}

func (in *ingesting) copy(ctx context.Context, t io.Writer, w content.Writer) (content.Info, error) {
	// Through the plain interface: the buffer is only there for Peek.
	if _, err := io.CopyBuffer(t, struct{ io.Reader }{in.r}, make([]byte, 256<<10)); err != nil {
		return content.Info{}, fsys.Classify(err)
	}
	in.c.hook("ingest.streamed")
	return w.Commit(ctx)
}

// Active lists ingests by key: those that a process writes (Live) and those that
// were left behind. Errors: ErrNoStore.
func (c *Client) Active(ctx context.Context) iter.Seq2[content.Status, error] {
	s, err := c.Open(ctx)
	if err != nil {
		return func(yield func(content.Status, error) bool) { yield(content.Status{}, err) }
	}
	return s.Active(ctx)
}

// Leftover is an ingest that nobody writes, and until when it is kept.
type Leftover = blobstore.Leftover

// Leftovers lists by key the ingests that were left behind, abandoned ones too. Errors:
// ErrNoStore.
func (c *Client) Leftovers(ctx context.Context) iter.Seq2[Leftover, error] {
	s, err := c.Open(ctx)
	if err != nil {
		return func(yield func(Leftover, error) bool) { yield(Leftover{}, err) }
	}
	return s.Leftovers(ctx)
}

// Abort drops an ingest that was left behind, with its bytes. Errors: ErrNotFound,
// ErrConflict while a process writes it, ErrNoStore.
func (c *Client) Abort(ctx context.Context, key string) error {
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	return s.Abort(ctx, key)
}
