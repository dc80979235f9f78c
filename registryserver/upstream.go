package registryserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"

	"dist.example/content"
	"dist.example/oci"
)

// Upstream gets from other registries what the store does not have, and knows better
// than the store what their tags stand for. What it got is in the store when it says
// so. It is safe for concurrent use, and asked only for what a client may have.
//
// Errors of its methods: ErrNotFound, ErrDenied, ErrUnavailable, ErrOffline,
// ErrCorrupt, ErrUnsupported, ErrNoSpace.
type Upstream interface {
	// Mirrors says whether the repositories of registry are its business.
	Mirrors(registry string) bool
	// Manifest finds the manifest that ref's digest or tag names, whether the store
	// has it or not.
	Manifest(ctx context.Context, ref oci.Reference) (Manifest, error)
	// Blob gets d of repo. Nil says that the store has it; else it is on its way, and
	// its reader, which knows the size, waits for the bytes. A reader that reports an
	// error other than io.EOF has not given all of the blob. The caller closes it.
	Blob(ctx context.Context, repo oci.Reference, d oci.Digest) (io.ReadSeekCloser, error)
	// StatBlob tells the size of d of repo without getting it, -1 when that is not
	// known. held says that the store has it.
	StatBlob(ctx context.Context, repo oci.Reference, d oci.Digest) (size int64, held bool, err error)
	// Tags lists the tags of repo in no order. With an error, they are what was known
	// before, if anything was.
	Tags(ctx context.Context, repo oci.Reference) ([]string, error)
	// Referrers lists what is about subject in repo. Errors are as those of Tags.
	Referrers(ctx context.Context, repo oci.Reference, subject oci.Digest) ([]oci.Descriptor, error)
}

// Manifest is a manifest or index with its bytes.
type Manifest struct {
	oci.Descriptor
	Data []byte
	// Warning says in what respect this may not be what was asked for, "" for none.
	Warning string
}

// mirrored says whether repo is one of another registry that is stood for.
func (s *server) mirrored(repo oci.Reference) bool {
	return s.o.Upstream != nil && s.o.Upstream.Mirrors(repo.Registry)
}

// fromUpstream answers requests for manifests and blobs that the upstream has to be
// asked about. done is false where the store has what it takes.
func (s *server) fromUpstream(w http.ResponseWriter, r *http.Request, at route) (done bool, err error) {
	if s.o.Upstream == nil || writes(r.Method, at.kind) || at.kind != KindManifest && at.kind != KindBlob {
		return false, nil
	}
	repo, err := s.names.repository(r.Context(), at.name)
	if err != nil || !s.mirrored(repo) {
		return false, err
	}
	switch {
	case at.kind == KindManifest:
		return true, s.upstreamManifest(w, r, at, repo)
	case r.Method == http.MethodHead:
		return s.statUpstreamBlob(w, r, at, repo)
	}
	return s.upstreamBlob(w, r, at, repo)
}

func (s *server) upstreamManifest(w http.ResponseWriter, r *http.Request, at route, repo oci.Reference) error {
	repo.Tag, repo.Digest = at.tag, at.digest
	m, err := s.o.Upstream.Manifest(r.Context(), repo)
	if err != nil {
		return upstreamError(err, unknownManifest(at))
	}
	s.noteUse(repo)
	if m.Warning != "" {
		w.Header().Set("Warning", "299 - "+strconv.Quote(m.Warning))
	}
	return serve(w, r, m.Digest, m.MediaType, bytes.NewReader(m.Data))
}

func (s *server) statUpstreamBlob(w http.ResponseWriter, r *http.Request, at route, repo oci.Reference) (done bool, err error) {
	size, held, err := s.o.Upstream.StatBlob(r.Context(), repo, at.digest)
	switch {
	case err != nil:
		return true, upstreamError(err, unknownBlob(at.digest))
	case held:
		return false, nil
	case size < 0:
		describe(w.Header(), at.digest, oci.MediaTypeOctets)
		w.WriteHeader(http.StatusOK)
		return true, nil
	}
	return true, serve(w, r, at.digest, oci.MediaTypeOctets, io.NewSectionReader(nil, 0, size)) // HEAD reads nothing
}

// upstreamBlob passes a blob on while it comes in. When that breaks, the connection is
// cut: nothing else could tell a client that what it got is not all.
func (s *server) upstreamBlob(w http.ResponseWriter, r *http.Request, at route, repo oci.Reference) (done bool, err error) {
	in, err := s.o.Upstream.Blob(r.Context(), repo, at.digest)
	if err != nil {
		return true, upstreamError(err, unknownBlob(at.digest))
	}
	if in == nil {
		return false, nil
	}
	defer in.Close()
	body := &breaking{ReadSeeker: in}
	err = serve(w, r, at.digest, oci.MediaTypeOctets, body)
	if body.err != nil {
		panic(http.ErrAbortHandler)
	}
	return true, err
}

// breaking remembers how a reader broke.
type breaking struct {
	io.ReadSeeker
	err error
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.ReadSeeker.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// upstreamError is the answer when another registry did not give what it was asked
// for. What it said is for the log alone: it may be about credentials. A registry that
// denies something is taken to have nothing, as it would be by those who cannot log in.
func upstreamError(err error, unknown error) error {
	switch {
	case errors.Is(err, content.ErrNotFound), errors.Is(err, content.ErrDenied), errors.Is(err, content.ErrOffline):
		return unknown
	case errors.Is(err, content.ErrCorrupt), errors.Is(err, content.ErrUnsupported):
		return fmt.Errorf("%w: %w", refuse(http.StatusBadGateway, codeUnknown, "the registry that is mirrored gave no answer that can be used"), err)
	case errors.Is(err, content.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", refuse(http.StatusServiceUnavailable, codeTooManyRequests, "the registry that is mirrored does not answer"), err)
	}
	return err
}

// referrers lists what is about the digest of a path in its repository: what the store
// has, then what of theirs, which the upstream knows, is not among that.
func (s *server) referrers(ctx context.Context, at route, artifactType string, theirs []oci.Descriptor) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		seen := map[oci.Digest]bool{}
		for d, err := range s.those(ctx, at.name, s.lib.Referrers(ctx, at.digest, artifactType)) {
			seen[d.Digest] = true
			if !yield(d, err) {
				return
			}
		}
		for _, d := range theirs {
			if (artifactType == "" || d.ArtifactType == artifactType) && !seen[d.Digest] && !yield(d, nil) {
				return
			}
		}
	}
}

// upstreamReferrers are those that the upstream of path knows, none where it has none.
func (s *server) upstreamReferrers(ctx context.Context, path string, subject oci.Digest) ([]oci.Descriptor, error) {
	if s.o.Upstream == nil {
		return nil, nil
	}
	repo, err := s.names.repository(ctx, path)
	if err != nil || !s.mirrored(repo) {
		return nil, err
	}
	theirs, err := s.o.Upstream.Referrers(ctx, repo, subject)
	if ctx.Err() != nil {
		return nil, err
	}
	return theirs, nil // what is known is better than nothing
}

// upstreamTags are the tags of repo that its registry lists, false when it does not.
func (s *server) upstreamTags(ctx context.Context, repo oci.Reference) ([]string, bool) {
	if !s.mirrored(repo) {
		return nil, false
	}
	all, err := s.o.Upstream.Tags(ctx, repo)
	if err != nil && len(all) == 0 {
		return nil, false
	}
	slices.Sort(all)
	return slices.Compact(all), true
}
