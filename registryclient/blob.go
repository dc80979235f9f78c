package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// Fetch streams content: manifests and indexes, told by their media type, whole
// and verified from /manifests/; everything else from /blobs/. A body that
// breaks or stalls is taken up again where it stopped. A blob larger than a
// segment of the window comes by parallel range requests, in order all the same,
// unless one stream is fast enough (Window.Enough).
//
// The reader reports ErrCorrupt in place of io.EOF when the bytes do not match
// desc, and ErrUnavailable when the registry does not give them all; it is not
// for concurrent use. The caller closes it. Errors: ErrNotFound, ErrDenied,
// ErrUnavailable, ErrCorrupt (manifests), ErrUnsupported (a manifest too large).
func (r *Repository) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	if oci.HasSuccessors(desc.MediaType) {
		return r.fetchManifestByDigest(ctx, desc)
	}
	b, err := r.openBlob(ctx, desc, 0, true)
	if err != nil {
		return nil, err
	}
	return &judged{content.VerifyCloser(b, desc), r}, nil
}

// judged lets mirrors rest when what came was corrupt, so that whoever fetches
// it again gets it from somebody else.
type judged struct {
	io.ReadCloser
	r *Repository
}

func (j *judged) Read(p []byte) (int, error) {
	n, err := j.ReadCloser.Read(p)
	if err != nil && errors.Is(err, content.ErrCorrupt) {
		j.r.restMirrors()
	}
	return n, err
}

// FetchFrom streams a blob from byte offset on, and verifies nothing but its
// length: whoever holds the first part checks the whole. With offset 0 it never
// fails for want of Range support, so that a caller that verifies by itself need
// not pay for Fetch's hashing. Errors: as Fetch; ErrUnsupported when the registry
// cannot start there, or for a manifest at an offset other than 0.
func (r *Repository) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	switch {
	case offset < 0 || (desc.Size >= 0 && offset > desc.Size):
		return nil, fmt.Errorf("fetch %s from byte %d: %w: it has %d bytes", desc.Digest, offset, content.ErrInvalid, desc.Size)
	case oci.HasSuccessors(desc.MediaType) && offset == 0:
		return r.fetchManifestByDigest(ctx, desc)
	case oci.HasSuccessors(desc.MediaType):
		return nil, fmt.Errorf("fetch %s from byte %d: %w: manifests come whole", desc.Digest, offset, content.ErrUnsupported)
	case offset == desc.Size:
		return io.NopCloser(strings.NewReader("")), nil
	}
	b, err := r.openBlob(ctx, desc, offset, offset == 0)
	if errors.Is(err, errBadRange) {
		err = fmt.Errorf("fetch %s from byte %d: %w: %w", desc.Digest, offset, content.ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// FetchStretch streams length bytes of a blob from byte offset on, with one request
// for no more than that, and verifies nothing but the length. Errors: as FetchFrom;
// ErrInvalid for a stretch that the blob does not have.
func (r *Repository) FetchStretch(ctx context.Context, desc oci.Descriptor, offset, length int64) (io.ReadCloser, error) {
	what := fmt.Sprintf("fetch bytes %d to %d of %s", offset, offset+length, desc.Digest)
	switch {
	case offset < 0 || length <= 0 || desc.Size < 0 || length > desc.Size-offset:
		return nil, fmt.Errorf("%s: %w: it has %d bytes", what, content.ErrInvalid, desc.Size)
	case oci.HasSuccessors(desc.MediaType):
		return nil, fmt.Errorf("%s: %w: manifests come whole", what, content.ErrUnsupported)
	}
	s := newStream(ctx, r, desc, span{offset, offset + length}, new(detour))
	s.restart = length == desc.Size
	if err := s.open(); err != nil {
		if errors.Is(err, errBadRange) {
			err = fmt.Errorf("%s: %w: %w", what, content.ErrUnsupported, err)
		}
		return nil, err
	}
	return s, nil
}

// StatBlob finds out what a digest is: a blob, of which the registry knows the
// size (-1 when it does not say) and no type, or a manifest. Errors: ErrNotFound,
// ErrDenied, ErrUnavailable.
func (r *Repository) StatBlob(ctx context.Context, d oci.Digest) (oci.Descriptor, error) {
	desc, err := eachHost(ctx, r, canPull, func(e *endpoint) (oci.Descriptor, error) {
		return r.headBlob(ctx, e, d, r.scope("pull"))
	})
	if !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrUnsupported) {
		return desc, err
	}
	found, manifestErr := r.Resolve(ctx, r.ref.WithDigest(d))
	if manifestErr == nil {
		return found, nil
	}
	if errors.Is(err, content.ErrUnsupported) && errors.Is(manifestErr, content.ErrNotFound) {
		return oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: d, Size: -1}, nil
	}
	return oci.Descriptor{}, manifestErr
}

func (r *Repository) headBlob(ctx context.Context, e *endpoint, d oci.Digest, scopes []string) (oci.Descriptor, error) {
	resp, err := r.do(ctx, e, call{
		what: "blob " + d.String(), method: http.MethodHead,
		url:    r.at(e, "/blobs/"+d.String(), nil),
		scopes: scopes, ok: []int{http.StatusOK},
	})
	if err != nil {
		return oci.Descriptor{}, err
	}
	resp.Body.Close()
	return oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: d, Size: resp.ContentLength}, nil
}

// part is an answer with bytes of a blob, from the byte that was asked for.
type part struct {
	body  io.ReadCloser
	n     int64 // how many bytes it announces, -1 when it does not
	whole bool  // it is the blob from its first byte, whatever was asked for
}

// span is what is wanted of a blob: bytes from off to end, end -1 for all.
type span struct{ off, end int64 }

func (s span) header() string {
	if s.end < 0 {
		return fmt.Sprintf("bytes=%d-", s.off)
	}
	return fmt.Sprintf("bytes=%d-%d", s.off, s.end-1)
}

// openPart asks one host for s of a blob; with ranged false, for the blob. It
// fails with errBadRange when the answer is another range, or none. It is not
// tried again here.
func (r *Repository) openPart(ctx context.Context, e *endpoint, desc oci.Descriptor, s span, ranged bool, d *detour) (part, error) {
	q := call{
		what: "blob " + desc.Digest.String(), method: http.MethodGet,
		url:    r.at(e, "/blobs/"+desc.Digest.String(), nil),
		scopes: r.scope("pull"),
		ok:     []int{http.StatusOK},
		once:   true,
	}
	if ranged {
		q.header = http.Header{"Range": {s.header()}}
		q.ok = append(q.ok, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	}
	if ranged {
		if p, ok := r.openShort(ctx, e, q, s, desc.Size, d); ok {
			return p, nil
		}
	}
	resp, err := r.do(ctx, e, q)
	if err != nil {
		return part{}, err
	}
	if d, err := oci.ParseDigest(resp.Header.Get(digestHeader)); err == nil && d.Algorithm() == desc.Digest.Algorithm() && d != desc.Digest {
		resp.Body.Close()
		return part{}, r.wrongBlob(e, desc, "%s answered with %s", e.host(), d)
	}
	p, err := readPart(resp, s, desc.Size)
	if err == nil && !sameOrigin(resp.Request.URL, e.root()) {
		d.set(e, resp.Request.URL)
	}
	return p, err
}

// readPart judges an answer, and closes it when it is no good.
func readPart(resp *http.Response, s span, size int64) (part, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return part{resp.Body, resp.ContentLength, true}, nil
	case http.StatusPartialContent:
		if n, ok := matches(resp.Header.Get("Content-Range"), s, size); ok && (resp.ContentLength < 0 || resp.ContentLength == n) {
			return part{resp.Body, n, false}, nil
		}
	}
	resp.Body.Close()
	return part{}, errBadRange
}

// detour is where a registry sent the requests for one blob to, so that a window
// of ranges need not ask it for the way each time. Such addresses expire.
type detour struct {
	mu   sync.Mutex
	host *endpoint
	url  *url.URL
}

func (d *detour) set(e *endpoint, u *url.URL) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.host, d.url = e, u
}

// get is the way that e showed, nil when it showed none.
func (d *detour) get(e *endpoint) *url.URL {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.host != e {
		return nil
	}
	return d.url
}

// openShort asks where the registry pointed to the last time. Whatever goes
// wrong there ends the detour, and the registry is asked again.
func (r *Repository) openShort(ctx context.Context, e *endpoint, q call, s span, size int64, d *detour) (part, bool) {
	u := d.get(e)
	if u == nil {
		return part{}, false
	}
	q.url = u
	resp, _, err := r.client.exchange(ctx, e, q, "")
	if err == nil {
		if p, err := readPart(resp, s, size); err == nil && !p.whole {
			return p, true
		} else if err == nil {
			p.body.Close()
		}
	}
	d.set(nil, nil)
	return part{}, false
}

// matches reads a Content-Range header (RFC 9110, 14.4) and says how many bytes
// it announces. ok only if they begin at s.off and do not go past s.end, and the
// size, where it is told, is that of the blob.
func matches(header string, s span, size int64) (n int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return 0, false
	}
	bounds, total, ok1 := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(bounds, "-")
	if !ok1 || !ok2 {
		return 0, false
	}
	from, to := decimal(first), decimal(last)
	if from != s.off || to < from || (s.end >= 0 && to >= s.end) {
		return 0, false
	}
	if total != "*" && (decimal(total) <= to || (size >= 0 && decimal(total) != size)) {
		return 0, false
	}
	return to - from + 1, true
}

// decimal reads digits and nothing else; -1 for all other text.
func decimal(s string) int64 {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return -1
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}
