package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// inMemory is the size up to which a blob waits for its turn in memory, so that its
// source need not wait.
const inMemory = 1 << 20

// archiveTarget writes one image into a new tar.
type archiveTarget struct {
	place  place
	docker bool // only what Docker loads
	temp   string
	file   fsys.File
	turn   chan struct{} // holds one token: whoever has it may write
	tar    tarFile       // its turn's

	mu     sync.Mutex
	blobs  map[oci.Digest]member
	closed bool // the file is, finished or given up
	tags   newTags
}

var (
	_ content.ImageTarget = (*archiveTarget)(nil)
	_ content.Fetcher     = (*archiveTarget)(nil)
	_ content.Attacher    = (*archiveTarget)(nil)
)

func newArchiveTarget(ctx context.Context, at string, epoch time.Time, docker bool) (content.ImageTarget, error) {
	p, err := parsePlace(at)
	for _, check := range []func() error{p.writable, func() error { return noPipe(p) }, func() error { return context.Cause(ctx) }} {
		if err == nil {
			err = check()
		}
	}
	if err != nil {
		return nil, err
	}
	if fi, err := os.Stat(p.path); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("write %s: %w: it is there, and no regular file", p.path, content.ErrInvalid)
	}
	temp := p.path + "." + tempName()[len(tempPrefix):]
	f, err := fsys.OS().OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	t := &archiveTarget{
		place: p, docker: docker, temp: temp, file: f,
		turn:  make(chan struct{}, 1),
		tar:   tarFile{file: f, epoch: epoch},
		blobs: map[oci.Digest]member{},
	}
	t.turn <- struct{}{}
	return t, nil
}

// held says where a blob stands in the tar.
func (t *archiveTarget) held(d oci.Digest) (member, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.blobs[d]
	return m, ok
}

// Exists implements content.Pusher.
func (t *archiveTarget) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	return t.has(desc)
}

func (t *archiveTarget) has(desc oci.Descriptor) (bool, error) {
	m, ok := t.held(desc.Digest)
	return ok && m.size == desc.Size, nil
}

// Fetch implements content.Fetcher: what was pushed can be read again.
func (t *archiveTarget) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	m, ok := t.held(desc.Digest)
	if !ok {
		return nil, fmt.Errorf("%s: %w in the archive", desc.Digest, content.ErrNotFound)
	}
	r := content.UntilDone(ctx, io.NewSectionReader(t.file, m.off, m.size))
	return io.NopCloser(content.Verify(r, desc)), nil
}

// Push implements content.Pusher. A blob of unknown size is refused (ErrInvalid),
// since it stands in the header.
func (t *archiveTarget) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	if err := t.push(ctx, desc, r); err != nil {
		return fmt.Errorf("write %s to %s: %w", desc.Digest, t.place.path, err)
	}
	return nil
}

func (t *archiveTarget) push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	if _, err := oci.ParseDigest(desc.Digest.String()); err != nil {
		return err
	}
	if desc.Size < 0 {
		return fmt.Errorf("%w: its size is not known", content.ErrInvalid)
	}
	if c, _ := layer.Promised(desc.MediaType); t.docker && c == layer.Zstd {
		return unloadable("a layer of type " + desc.MediaType)
	}
	if here, _ := t.has(desc); here {
		return nil
	}
	r = content.Verify(content.UntilDone(ctx, r), desc)
	if desc.Size <= inMemory {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		r = bytes.NewReader(data)
	}
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	if here, _ := t.has(desc); here {
		return nil
	}
	m, err := t.tar.add(blobName(desc.Digest), desc.Size, r)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blobs[desc.Digest] = m
	return nil
}

// unloadable is why Docker could not load what is written.
func unloadable(what string) error {
	return content.WithHint(fmt.Errorf("%w in Docker's archives: %s", content.ErrUnsupported, what),
		"write oci-archive:FILE, which takes everything")
}

// take waits for the turn to write.
func (t *archiveTarget) take(ctx context.Context) error {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		t.give()
		return fmt.Errorf("%w: the archive is closed", content.ErrConflict)
	}
	return nil
}

func (t *archiveTarget) give() { t.turn <- struct{}{} }

// Finish implements content.ImageTarget.
func (t *archiveTarget) Finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error {
	if err := t.take(ctx); err != nil {
		return err
	}
	defer t.give()
	if err := t.finish(ctx, root, name); err != nil {
		return fmt.Errorf("write %s to %s: %w", root.Digest, t.place.path, err)
	}
	return nil
}

func (t *archiveTarget) finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error {
	full, tag, err := t.place.names(name)
	if err == nil {
		err = complete(ctx, t.Fetch, t.has, root)
	}
	if err != nil {
		return err
	}
	docs, err := t.documents(ctx, listed(root, full, tag), full)
	if err == nil {
		err = t.addTags()
	}
	if err == nil {
		err = t.tar.end(docs)
	}
	if err == nil {
		err = fsys.Classify(t.file.Sync())
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	if err = t.file.Close(); err == nil {
		err = fsys.OS().Rename(t.temp, t.place.path)
	}
	if err != nil {
		_ = fsys.OS().Remove(t.temp)
		return fsys.Classify(err)
	}
	return fsys.Classify(fsys.OS().SyncDir(filepath.Dir(t.place.path)))
}

// documents are the files that say what is in the archive.
func (t *archiveTarget) documents(ctx context.Context, root oci.Descriptor, full oci.Reference) ([]document, error) {
	index, err := addTo(nil, []oci.Descriptor{root})
	if err != nil {
		return nil, err
	}
	docs := []document{{"oci-layout", layoutFile()}, {"index.json", index}}
	manifest, err := dockerManifest(ctx, t.Fetch, root, full, t.docker)
	switch {
	case err == nil:
		docs = append(docs, document{"manifest.json", manifest})
	case t.docker || !errors.Is(err, content.ErrUnsupported):
		return nil, err
	}
	return docs, nil
}

// Close implements content.ImageTarget: it waits for a blob that is being written.
func (t *archiveTarget) Close() error {
	<-t.turn
	defer t.give()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	err := t.file.Close()
	if rerr := fsys.OS().Remove(t.temp); err == nil {
		err = rerr
	}
	return fsys.Classify(err)
}
