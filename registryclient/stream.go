package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"dist.example/content"
	"dist.example/oci"
)

// progress is how much has to come through before earlier failures are forgiven:
// a registry that breaks off after every few bytes is not worth endless tries.
const progress = 64 << 10

// stream reads one span of a blob in order, and asks for the rest of it when an
// answer breaks off.
type stream struct {
	r    *Repository
	ctx  context.Context //nolint:containedctx // a reader's, ended by its Close
	desc oci.Descriptor
	span // off is the next byte to give out

	body  io.ReadCloser
	left  int64 // bytes that body may still give, -1 when not known
	whole bool  // body is the blob's, to its end
	// restart lets an answer from the blob's first byte do: what was read already
	// is skipped, and the stream goes on to the end of the blob.
	restart  bool
	noRange  bool // the registry cannot
	tries    tries
	since    int64 // bytes since the last failure
	ended    int   // failures in a row in which the registry took its end for the blob's
	lastHost *endpoint
	detour   *detour
}

func newStream(ctx context.Context, r *Repository, desc oci.Descriptor, s span, d *detour) *stream {
	return &stream{
		r: r, ctx: ctx, desc: desc, span: s, detour: d,
		tries: tries{client: r.client, what: "blob " + desc.Digest.String()},
	}
}

// open asks for what is left, until somebody answers or patience ends.
func (s *stream) open() error {
	for {
		err := s.openOnce()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errBadRange) && s.restart && !s.noRange:
			s.noRange = true
			continue
		}
		var f *failure
		if !errors.As(err, &f) {
			return err
		}
		if !f.transient {
			return f.error
		}
		if err := s.pause(f); err != nil {
			return err
		}
	}
}

// pause waits after a failure; it returns the failure's error when there were
// too many. When all of them were ends that the registry takes for the right
// ones, it holds something else under that digest.
func (s *stream) pause(f *failure) error {
	s.since = 0
	if s.ended++; !errors.Is(f.cause, errEndsEarly) {
		s.ended = 0
	}
	if s.lastHost != nil {
		s.tries.host = s.lastHost.host()
	}
	more, err := s.tries.again(s.ctx, f.cause, f.after)
	switch {
	case err != nil:
		return fmt.Errorf("blob %s in %s: %w", s.desc.Digest, s.r.ref.Name(), err)
	case more:
		return nil
	case s.ended > s.tries.failed:
		return s.r.wrongBlob(s.lastHost, s.desc, "it ends before its %d bytes", s.desc.Size)
	}
	return f.error
}

// errEndsEarly says that an answer with the whole blob was complete in itself,
// and shorter than the blob.
var errEndsEarly = errors.New("the answer ends before the blob does")

// wrongBlob is the error of an answer that came and is not the blob.
func (r *Repository) wrongBlob(e *endpoint, desc oci.Descriptor, format string, args ...any) error {
	return &content.RemoteError{
		Registry: e.host(), Status: http.StatusOK,
		Err: fmt.Errorf("blob %s in %s: %w: %s", desc.Digest, r.ref.Name(), content.ErrCorrupt, fmt.Sprintf(format, args...)),
	}
}

func (s *stream) openOnce() error {
	p, err := eachHost(s.ctx, s.r, canPull, func(e *endpoint) (part, error) {
		s.lastHost = e
		return s.r.openPart(s.ctx, e, s.desc, s.span, s.ranged(), s.detour)
	})
	if err != nil {
		return err
	}
	if !p.whole {
		s.body, s.left, s.whole = p.body, p.n, false
		if s.end < 0 {
			s.end = s.off + p.n
		}
		return nil
	}
	if !s.restart {
		p.body.Close()
		return errBadRange
	}
	if s.off > 0 {
		if n, err := io.CopyN(io.Discard, p.body, s.off); err != nil {
			p.body.Close()
			if errors.Is(err, io.EOF) {
				err = errEndsEarly
			}
			return s.broken(fmt.Errorf("the body ended after %d bytes: %w", n, err))
		}
	}
	s.body, s.left, s.whole = p.body, -1, true
	s.end = s.desc.Size
	if s.end < 0 && p.n >= 0 {
		s.end = p.n
	}
	return nil
}

// ranged says whether to ask for a range: not for the whole of a blob that is to
// come in one stream.
func (s *stream) ranged() bool {
	if s.noRange {
		return false
	}
	return s.off > 0 || (s.end >= 0 && s.end != s.desc.Size)
}

// broken makes the failure of an answer that broke off.
func (s *stream) broken(cause error) *failure {
	return &failure{error: s.r.connError(s.lastHost, "blob "+s.desc.Digest.String(), cause), cause: cause, transient: true}
}

// Read gives out the span's bytes and io.EOF at its end, be they right or wrong.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.end >= 0 && s.off >= s.end {
			return 0, s.finish()
		}
		if s.body == nil {
			if err := s.open(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := s.body.Read(p[:s.room(len(p))])
		s.advance(n)
		if err == nil || (s.end >= 0 && s.off >= s.end) {
			return n, nil
		}
		done, err := s.interrupted(err)
		if n > 0 && err == nil && !done {
			return n, nil
		}
		if done || err != nil {
			return n, err
		}
	}
}

// room is how much of a buffer of n bytes may be filled.
func (s *stream) room(n int) int64 {
	room := int64(n)
	if s.end >= 0 {
		room = min(room, s.end-s.off)
	}
	if s.left >= 0 {
		room = min(room, s.left)
	}
	return room
}

func (s *stream) advance(n int) {
	s.r.received.Add(int64(n))
	s.off += int64(n)
	if s.left >= 0 {
		s.left -= int64(n)
	}
	if s.since += int64(n); s.since >= progress {
		s.tries.reset()
		s.ended = 0
	}
}

// interrupted deals with a body that ended before the span did. done when that
// is its right end, with io.EOF as error.
func (s *stream) interrupted(err error) (done bool, _ error) {
	s.closeBody()
	switch {
	case !errors.Is(err, io.EOF):
	case s.end < 0:
		return true, io.EOF
	case s.left == 0:
		return false, nil // a shorter range than asked for, which is the registry's right
	case s.whole:
		err = errEndsEarly
	default:
		err = io.ErrUnexpectedEOF
	}
	if s.ctx.Err() != nil {
		return false, fmt.Errorf("blob %s in %s: %w", s.desc.Digest, s.r.ref.Name(), s.ctx.Err())
	}
	s.r.letDown(s.lastHost, err, s.tries.failed > 0)
	return false, s.pause(s.broken(err))
}

// finish reads on to the end of the answer, which lets its connection be used
// again, and finds what is longer than it should be.
func (s *stream) finish() error {
	if s.body == nil {
		return io.EOF
	}
	defer s.closeBody()
	var one [1]byte
	if n, _ := s.body.Read(one[:]); n > 0 && s.whole {
		return fmt.Errorf("blob %s in %s: %w: more than its %d bytes", s.desc.Digest, s.r.ref.Name(), content.ErrCorrupt, s.end)
	}
	return io.EOF
}

func (s *stream) closeBody() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

// Close gives the connection back, or up.
func (s *stream) Close() error {
	s.closeBody()
	return nil
}
