package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// storing takes a stream into the store: whole blobs by the session, parts of blobs into
// ingests, see volumes.
type storing struct {
	im      *imports
	begun   bool
	came    []oci.Digest        // whole blobs of this tar, taken or here before
	taken   map[oci.Digest]bool // by this run
	volumes *volumes            // nil for a bundle in one piece
}

// Begin implements bundle.Receiver: the bundle is judged, and has room, before anything of
// it is taken.
func (s *storing) Begin(ctx context.Context, h bundle.Head) error {
	s.came = nil
	if !s.begun {
		if err := s.im.admitBundle(ctx, h); err != nil {
			return err
		}
		if err := s.im.begin(ctx); err != nil {
			return err
		}
		if h.Contents != nil {
			if err := s.im.fitContents(ctx, h.Contents); err != nil {
				return err
			}
		}
	}
	s.begun = true
	if h.Volume == nil {
		return nil
	}
	if s.volumes == nil {
		s.volumes = &volumes{im: s.im, bundle: h.Volume.Bundle, of: h.Volume.Of}
	}
	return s.volumes.begin(ctx, h.Volume.Number)
}

// Blob implements bundle.Receiver.
func (s *storing) Blob(ctx context.Context, b bundle.Coming) (oci.Digest, error) {
	desc, data, err := identify(b)
	if err != nil {
		return "", err
	}
	if desc.Digest != "" {
		here, err := s.im.session().Exists(ctx, desc)
		if err != nil {
			return "", err
		}
		if here {
			s.im.stats.ReusedBytes += desc.Size
			s.im.stats.ReusedBlobs++
			s.tell(content.EventReused, desc, desc.Size)
			s.came = append(s.came, desc.Digest)
			return desc.Digest, nil
		}
	}
	in := b.Reader
	if data != nil {
		in = bytes.NewReader(data)
	}
	d, err := s.take(ctx, desc, in)
	if err != nil {
		s.tell(content.EventFailed, desc, 0)
		return "", fmt.Errorf("%.200q: %w", b.Name, wrong(err))
	}
	s.im.stats.MovedBytes += desc.Size
	s.im.stats.MovedBlobs++
	desc.Digest = d
	s.tell(content.EventFinished, desc, desc.Size)
	s.came = append(s.came, d)
	s.taken[d] = true
	s.im.c.hook("import.blob")
	return d, nil
}

// noteTypes gives blobs the types that manifests say: what came of a stream came before
// anybody knew, or with a type that nothing vouched for.
func (s *storing) noteTypes(ctx context.Context) error {
	if err := s.im.ses.Flush(ctx); err != nil {
		return err
	}
	var descs []oci.Descriptor
	for _, d := range slices.Sorted(maps.Keys(s.im.types)) {
		info, err := s.im.store.Info(ctx, d)
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			return err
		}
		desc := s.im.types[d]
		if err == nil && info.MediaType != desc.MediaType && (s.taken[d] || info.MediaType == oci.MediaTypeOctets) {
			descs = append(descs, desc)
		}
	}
	return s.im.store.NoteTypes(ctx, descs...)
}

// wrong gives a blob that is not what it is said to be its class.
func wrong(err error) error {
	if errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrCorrupt) {
		return fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return err
}

// identify finds out what a blob is where nobody says: it may be a manifest, which is read
// into memory then.
func identify(b bundle.Coming) (oci.Descriptor, []byte, error) {
	desc := descriptor(b.BlobEntry)
	if oci.HasSuccessors(desc.MediaType) && desc.Size > oci.MaxManifestSize {
		return desc, nil, fmt.Errorf("%.200q: %w: a manifest of %d bytes", b.Name, content.ErrCorrupt, desc.Size)
	}
	if desc.MediaType != "" || b.Digest == "" || desc.Size > oci.MaxManifestSize || desc.Size == 0 {
		return desc, nil, nil
	}
	data := make([]byte, desc.Size)
	if _, err := io.ReadFull(b.Reader, data); err != nil {
		return desc, nil, err
	}
	if data[0] == '{' {
		mediaType := oci.DetectManifest(data)
		if _, err := oci.Successors(mediaType, data); err == nil && oci.HasSuccessors(mediaType) {
			desc.MediaType = mediaType
		}
	}
	return desc, data, nil
}

// take writes a blob.
func (s *storing) take(ctx context.Context, desc oci.Descriptor, in io.Reader) (oci.Digest, error) {
	w, err := s.writer(ctx, desc)
	if errors.Is(err, content.ErrExists) { // it came in by somebody else just now
		return desc.Digest, nil
	}
	if err != nil {
		return "", err
	}
	defer w.Close()
	s.tell(content.EventStarted, desc, 0)
	if err := s.fill(ctx, w, in, desc); err != nil {
		return "", err
	}
	info, err := w.Commit(ctx)
	return info.Digest, err
}

// writer opens the ingest of a blob that comes from its first byte. Where an earlier try
// left a part, it is compared with what comes.
func (s *storing) writer(ctx context.Context, desc oci.Descriptor) (content.Writer, error) {
	o := content.IngestOptions{Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType, KeepType: true}
	if desc.Digest == "" {
		return s.im.ses.Writer(ctx, o)
	}
	o.Key = desc.Digest.String()
	_, err := s.im.store.Status(ctx, o.Key)
	switch {
	case errors.Is(err, content.ErrNotFound):
		return s.im.ses.Writer(ctx, o)
	case err != nil:
		return nil, err
	}
	return s.im.ses.Ingest(ctx, o)
}

// fill copies to a writer, which may have a place of its own to read to.
func (s *storing) fill(ctx context.Context, w io.Writer, in io.Reader, desc oci.Descriptor) error {
	r := &arriving{Reader: content.UntilDone(ctx, in), s: s, desc: desc}
	if rf, ok := w.(io.ReaderFrom); ok {
		_, err := rf.ReadFrom(r)
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 256<<10))
	return err
}

// arriving tells of every 256 KiB or so.
type arriving struct {
	io.Reader
	s       *storing
	desc    oci.Descriptor
	n, told int64
}

func (r *arriving) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.n += int64(n); r.n-r.told >= 256<<10 {
		r.told = r.n
		r.s.tell(content.EventAdvanced, r.desc, r.n)
	}
	return n, err
}

func (s *storing) tell(kind content.EventKind, desc oci.Descriptor, offset int64) {
	s.im.c.opts.Observe(content.Event{Kind: kind, Descriptor: desc, Offset: offset, Total: desc.Size})
}

// Part implements bundle.Receiver.
func (s *storing) Part(ctx context.Context, whole bundle.BlobEntry, offset int64, b bundle.Coming) error {
	desc := descriptor(whole)
	here, err := s.im.session().Exists(ctx, desc)
	if err != nil {
		return err
	}
	if here {
		s.im.stats.ReusedBytes += b.Size
		s.came = append(s.came, desc.Digest)
		return nil
	}
	if err := s.volumes.take(ctx, s, desc, offset, b); err != nil {
		return fmt.Errorf("%.200q: %w", b.Name, err)
	}
	s.im.stats.MovedBytes += b.Size
	s.im.c.hook("import.part")
	return nil
}

// End implements bundle.Receiver.
func (s *storing) End(ctx context.Context, h bundle.Head) error {
	if err := s.im.ses.Flush(ctx); err != nil {
		return err
	}
	if h.Volume == nil {
		return nil
	}
	whole, err := s.volumes.join(ctx, s)
	if err != nil {
		return err
	}
	return s.volumes.end(ctx, h.Volume.Number, append(s.came, whole...))
}

// abandon implements taker.
func (s *storing) abandon(ctx context.Context) {
	if s.volumes != nil {
		s.volumes.abandon(ctx)
	}
}

// complete implements taker.
func (s *storing) complete(ctx context.Context, r *bundle.Reception) error {
	if s.volumes == nil {
		return r.Complete()
	}
	if len(r.Volumes()) == s.volumes.of {
		if err := r.Complete(); err != nil {
			return err
		}
	}
	err := s.volumes.complete(ctx, r)
	if errors.Is(err, content.ErrPartial) { // the leases of the volumes keep what came
		err = errors.Join(err, s.im.ses.Commit(ctx))
	}
	return err
}

// ReaderAt implements content.Provider.
func (s *storing) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	return s.im.store.ReaderAt(ctx, desc)
}
