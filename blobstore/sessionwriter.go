package blobstore

import (
	"context"
	"errors"
	"fmt"

	"dist.example/content"
	"dist.example/oci"
)

// Writer implements content.Ingester.
func (ses *Session) Writer(ctx context.Context, opts content.IngestOptions) (content.Writer, error) {
	batched := opts.Total >= 0 && opts.Total <= batchedLoose
	if batched || opts.Total >= 0 && opts.Total <= memoryLimit(opts.MediaType) {
		opts.Key = ""
	}
	w, err := ses.open(ctx, opts, resuming)
	if err != nil {
		return nil, err
	}
	if batched {
		w.batched, w.limit = true, max(w.limit, opts.Total)
	}
	return w, nil
}

// Ingest is Writer for a stream that comes from its first byte again on every
// try, as the standard input does. It needs a key. Status tells 0 at first: a part
// that an earlier try left is compared with what is written, and from the first
// difference on, or from its end, what is written takes its place. The content is
// that of the stream as a whole, never of two.
//
// A stream that ends in the middle of the part is the content, if nothing else was
// expected. With an expectation that it does not meet, Commit says ErrCorrupt, and
// Close keeps the part for another try; unless the content is certain to be wrong
// (more bytes than Total, or as many with another digest, or no manifest where
// one was to be), or there is none at all: then Close drops it. More bytes than
// Total end the ingest, too.
//
// Errors: as Writer; ErrInvalid without a key.
func (ses *Session) Ingest(ctx context.Context, opts content.IngestOptions) (content.Writer, error) {
	if opts.Key == "" {
		return nil, fmt.Errorf("ingest: %w: it needs a key", content.ErrInvalid)
	}
	w, err := ses.open(ctx, opts, comparing)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// open opens a writer, unless what is expected is held: then it is put under the
// session's lease.
func (ses *Session) open(ctx context.Context, opts content.IngestOptions, how opening) (*writer, error) {
	opts.Lease = ses.lease.id
	for {
		if opts.Expected != "" && !opts.Again {
			held, err := ses.hold(ctx, opts.Expected, opts.MediaType)
			if err != nil {
				return nil, err
			}
			if held {
				return nil, fmt.Errorf("ingest %s: %w", opts.Expected, content.ErrExists)
			}
		}
		w, err := ses.s.openWriter(ctx, opts, ses, how)
		if !errors.Is(err, content.ErrExists) { // else it came in while this waited
			return w, err
		}
	}
}

// NewWriter is Writer for content that is given, held or not, so that it is judged
// in any case: it does not return ErrExists. done, if it is not nil, is told as in
// Blob.
func (ses *Session) NewWriter(ctx context.Context, opts content.IngestOptions, done func(content.Info)) (content.Writer, error) {
	opts.Lease = ses.lease.id
	w, err := ses.s.openWriter(ctx, opts, ses, resuming)
	if err != nil {
		return nil, err
	}
	w.told = done
	return w, nil
}

// hold puts an object that is held under the session's lease, with the next
// batch, and says whether it is.
func (ses *Session) hold(ctx context.Context, d oci.Digest, mediaType string) (bool, error) {
	if ses.isUncommitted(d, mediaType) {
		return true, nil
	}
	held, err := ses.s.has(ctx, d, mediaType)
	if held {
		ses.mu.Lock()
		ses.batch.held[d] = true
		ses.wake()
		ses.mu.Unlock()
	}
	return held, err
}

func (ses *Session) isUncommitted(d oci.Digest, mediaType string) bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	for b := range ses.uncommitted() {
		if b.has(d, mediaType) {
			return true
		}
	}
	return false
}
