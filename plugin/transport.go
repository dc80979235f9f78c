package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// prefix begins the names of the programs.
const prefix = "dist-transport-"

// Options direct how programs are run. The zero value is fine.
type Options struct {
	// Stall is how long a program may be silent, or take no input, in the middle of a
	// request; 0 means 30 s.
	Stall time.Duration
	// Offline tells programs by DIST_OFFLINE that no network may be used.
	Offline bool
	// Warn is told what programs say on their standard error, a line at a time, and
	// from several goroutines. Nil discards.
	Warn func(string)
}

// Transport is a program.
type Transport struct {
	name, path string
	opts       Options
}

var _ content.Transport = (*Transport)(nil)

// Valid says whether name can be that of a program's transport.
func Valid(name string) bool {
	return name != "" && name[0] != '-' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// Find looks up the program of the transport name on PATH and runs nothing. Errors:
// ErrInvalid for what is no name, ErrNotFound when there is no such program.
func Find(name string, o Options) (*Transport, error) {
	if !Valid(name) {
		return nil, fmt.Errorf("transport %q: %w: want a to z, 0 to 9 and -", name, content.ErrInvalid)
	}
	path, err := exec.LookPath(prefix + name)
	if errors.Is(err, exec.ErrDot) {
		return nil, content.WithHint(fmt.Errorf("transport %s: %w: %w", name, content.ErrNotFound, err),
			"PATH has a folder that is not absolute; programs there are not run")
	}
	if err != nil {
		return nil, content.WithHint(fmt.Errorf("transport %s: %w", name, content.ErrNotFound),
			"install a program %s%s where PATH finds it", prefix, name)
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return &Transport{name, path, o}, nil
}

func (t *Transport) program() string { return prefix + t.name }

// Source implements content.Transport. The source is a content.RangeFetcher and,
// where the program can list them, a content.ReferrerLister.
func (t *Transport) Source(ctx context.Context, at string) (content.ImageSource, error) {
	l, p, err := newPool(ctx, t, "read", at)
	if err != nil {
		return nil, err
	}
	s := &source{pool: l}
	if p.can("referrers") {
		return &lister{s}, nil
	}
	return s, nil
}

// Target implements content.Transport. The target is for concurrent use.
func (t *Transport) Target(ctx context.Context, at string) (content.ImageTarget, error) {
	l, _, err := newPool(ctx, t, "write", at)
	if err != nil {
		return nil, err
	}
	return &target{l}, nil
}

func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// source reads by way of a program.
type source struct{ *pool }

var _ content.RangeFetcher = (*source)(nil)

// Image implements content.ImageSource.
func (s *source) Image(ctx context.Context) (name oci.Reference, desc oci.Descriptor, err error) {
	p, err := s.get(ctx)
	if err != nil {
		return name, desc, err
	}
	defer func() { s.done(p, err) }()
	words, err := p.call(ctx, "resolve")
	if err != nil {
		return name, desc, err
	}
	desc, rest, err := descriptor(words, true)
	if err == nil && len(rest) > 0 {
		name, err = reference(rest[0])
	}
	if err != nil {
		return name, desc, p.about(err)
	}
	return name, desc, nil
}

// Fetch implements content.Fetcher.
func (s *source) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	rc, err := s.FetchFrom(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return content.VerifyCloser(rc, desc), nil
}

// FetchFrom implements content.RangeFetcher.
func (s *source) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if _, err := oci.ParseDigest(desc.Digest.String()); err != nil {
		return nil, err
	}
	if offset < 0 || (desc.Size >= 0 && offset > desc.Size) {
		return nil, fmt.Errorf("fetch %s from byte %d: %w: it has %d bytes", desc.Digest, offset, content.ErrInvalid, desc.Size)
	}
	p, err := s.get(ctx)
	if err != nil {
		return nil, err
	}
	n, err := p.length(ctx, "fetch", desc.Digest.String(), size(desc.Size), strconv.FormatInt(offset, 10))
	if err == nil && desc.Size >= 0 && n != desc.Size-offset {
		err = fmt.Errorf("%s: %s: %w: %d bytes in place of %d", p.name, desc.Digest, content.ErrCorrupt, n, desc.Size-offset)
	}
	if err != nil {
		s.done(p, err)
		return nil, err
	}
	return &body{ctx: ctx, pool: s.pool, p: p, left: n}, nil
}

// length makes a request that is answered with bytes, and returns how many.
func (p *process) length(ctx context.Context, words ...string) (int64, error) {
	answer, err := p.call(ctx, words...)
	if err != nil {
		return 0, err
	}
	if len(answer) == 0 {
		return 0, p.about(fmt.Errorf("%w: no length", errProtocol))
	}
	n, err := number(answer[0])
	if err != nil {
		return 0, p.about(err)
	}
	return n, nil
}

// body reads the bytes of an answer. It reports io.EOF after the announced length.
type body struct {
	ctx    context.Context //nolint:containedctx // a reader's, ended by its Close
	pool   *pool
	p      *process
	left   int64
	closed bool
}

func (b *body) Read(buf []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	err = b.p.guard(b.ctx, func() (err error) {
		n, err = b.p.out.Read(buf[:min(int64(len(buf)), b.left)])
		return err
	})
	b.left -= int64(n)
	return n, err
}

// Close gives the process back. One that has more to say is ended.
func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	if b.left == 0 {
		b.pool.put(b.p)
		return nil
	}
	b.p.kill(context.Canceled)
	b.pool.drop(b.p)
	return nil
}

// lister is a source whose program lists referrers.
type lister struct{ *source }

var _ content.ReferrerLister = (*lister)(nil)

// Referrers implements content.ReferrerLister.
func (l *lister) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		all, err := l.list(ctx, subject)
		if err != nil {
			yield(oci.Descriptor{}, err)
			return
		}
		for _, d := range all {
			if (artifactType == "" || d.ArtifactType == artifactType) && !yield(d, nil) {
				return
			}
		}
	}
}

func (l *lister) list(ctx context.Context, subject oci.Digest) ([]oci.Descriptor, error) {
	if _, err := oci.ParseDigest(subject.String()); err != nil {
		return nil, err
	}
	p, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	n, err := p.length(ctx, "referrers", subject.String())
	if err == nil && n > oci.MaxManifestSize {
		err = fmt.Errorf("%s: %w: a list of %d bytes", p.name, content.ErrUnsupported, n)
	}
	if err != nil {
		l.done(p, err)
		return nil, err
	}
	b := &body{ctx: ctx, pool: l.pool, p: p, left: n}
	defer b.Close()
	data, err := io.ReadAll(b)
	if err != nil {
		return nil, err
	}
	x, err := oci.ParseIndex(oci.MediaTypeIndex, data)
	if err != nil {
		return nil, fmt.Errorf("%s: referrers: %w: %w", p.name, content.ErrCorrupt, err)
	}
	return x.Manifests, nil
}
