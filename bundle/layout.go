package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Layout is the transport of `oci:DIR[:NAME]`: OCI image layouts in folders. Its
// targets add to what is there.
type Layout struct{}

var _ content.Transport = Layout{}

// Source implements content.Transport. The source is a content.RangeFetcher, a
// content.Provider and a content.ReferrerLister. Errors: ErrInvalid, ErrNotFound,
// ErrDenied, ErrCorrupt, ErrUnsupported for another version of the layout.
func (Layout) Source(ctx context.Context, at string) (content.ImageSource, error) {
	p, err := parsePlace(at)
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	f, err := openFolder(p.path)
	if err != nil {
		return nil, err
	}
	return newSource(p, f)
}

// Target implements content.Transport. The folder is made if it is not there; one
// that is neither empty nor a layout is refused (ErrInvalid). The target is a
// content.Fetcher as well and for concurrent use. Its Exists reads what is there
// and compares digests, since anybody may have put it there, and changes nothing.
func (Layout) Target(ctx context.Context, at string) (content.ImageTarget, error) {
	p, err := parsePlace(at)
	if err == nil {
		err = p.writable()
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return newLayoutTarget(p)
}

func newLayoutTarget(p place) (*layoutTarget, error) {
	made, err := makeFolder(p.path)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(p.path)
	if err != nil {
		return nil, err
	}
	t := &layoutTarget{source: source{place: p, shelf: f}, folder: f, made: made, about: map[oci.Digest]referrer{}}
	if err := t.isLayoutOrEmpty(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write to %s: %w", p.path, err)
	}
	return t, nil
}

// layoutTarget adds an image to a layout. Its source gives back what is there.
type layoutTarget struct {
	source
	folder *folder
	made   []string // the folders that have to be synced for its own name to stay

	preparing sync.Mutex
	prepared  bool // the folder is a layout

	mu    sync.Mutex
	about map[oci.Digest]referrer // manifests with a subject that passed by
	tags  newTags
}

var (
	_ content.ImageTarget = (*layoutTarget)(nil)
	_ content.Fetcher     = (*layoutTarget)(nil)
	_ content.Attacher    = (*layoutTarget)(nil)
)

// prepare makes the folder a layout if it is not one yet, before the first write.
func (t *layoutTarget) prepare(ctx context.Context) error {
	t.preparing.Lock()
	defer t.preparing.Unlock()
	if t.prepared {
		return nil
	}
	err := t.makeLayout(ctx)
	t.prepared = err == nil
	return err
}

func (t *layoutTarget) makeLayout(ctx context.Context) error {
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	data, err := t.folder.document("oci-layout", maxLayoutFile)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		err = checkLayout(data)
	} else {
		// Its lock is on this very file, which therefore is never replaced.
		err = t.folder.fill("oci-layout", layoutFile())
	}
	if err != nil {
		return err
	}
	t.folder.sweep(time.Now())
	return fsys.Classify(t.folder.root.MkdirAll("blobs/"+oci.SHA256.String(), 0o777))
}

// isLayoutOrEmpty refuses every other folder, and layouts of another version.
func (t *layoutTarget) isLayoutOrEmpty() error {
	data, err := t.folder.document("oci-layout", maxLayoutFile)
	if len(data) > 0 {
		err = checkLayout(data)
	}
	if !errors.Is(err, content.ErrNotFound) {
		return err
	}
	if _, err := t.folder.root.Lstat("index.json"); !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	dir, err := t.folder.root.Open(".")
	if err != nil {
		return fsys.Classify(err)
	}
	defer dir.Close()
	if _, err := dir.ReadDir(1); errors.Is(err, io.EOF) {
		return nil
	}
	// Somebody else may have begun a layout since.
	if _, err := t.folder.root.Lstat("oci-layout"); err == nil {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w: the folder has files and is no OCI layout", content.ErrInvalid),
		"name a new or empty folder, or a layout")
}

// lock keeps all others from changing the layout until the returned function is
// called.
func (t *layoutTarget) lock(ctx context.Context) (unlock func(), err error) {
	const mode = os.O_RDWR | os.O_CREATE
	file, err := t.folder.root.OpenFile("oci-layout", mode, 0o666) // refuses a link that leads out
	if err != nil {
		return nil, fsys.Classify(err)
	}
	_ = file.Close()
	f, err := fsys.OS().OpenFile(filepath.Join(t.folder.path, "oci-layout"), mode, 0o666)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	if err := f.Lock(ctx, true); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// Exists implements content.Pusher.
func (t *layoutTarget) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if oci.HasSuccessors(desc.MediaType) {
		data, err := content.ReadAll(ctx, &t.source, desc, oci.MaxManifestSize)
		if err == nil {
			t.note(desc, data)
		}
		return sound(err)
	}
	rc, err := t.Fetch(ctx, desc)
	if err != nil {
		return sound(err)
	}
	defer rc.Close()
	_, err = io.Copy(io.Discard, rc)
	return sound(err)
}

// sound turns what reading a blob came to into whether it is there.
func sound(err error) (bool, error) {
	if isAny(err, content.ErrNotFound, content.ErrCorrupt) {
		return false, nil
	}
	return err == nil, err
}

// Push implements content.Pusher.
func (t *layoutTarget) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	if here, err := t.Exists(ctx, desc); here || err != nil {
		return err
	}
	if err := t.prepare(ctx); err != nil {
		return fmt.Errorf("write to %s: %w", t.place.path, err)
	}
	file, temp, err := t.folder.temp()
	if err != nil {
		return err
	}
	data, err := receive(ctx, file, desc, r)
	if err == nil {
		err = fsys.Classify(t.folder.root.MkdirAll("blobs/"+desc.Digest.Algorithm().String(), 0o777))
	}
	if err != nil {
		_ = file.Close()
		_ = t.folder.root.Remove(temp)
		return fmt.Errorf("write %s to %s: %w", desc.Digest, t.place.path, err)
	}
	if err := t.folder.place(file, temp, blobName(desc.Digest)); err != nil {
		return fmt.Errorf("write %s to %s: %w", desc.Digest, t.place.path, err)
	}
	if data != nil {
		t.note(desc, data)
	}
	return nil
}

// receive writes r to w, verified. Of a manifest it returns the bytes.
func receive(ctx context.Context, w io.Writer, desc oci.Descriptor, r io.Reader) ([]byte, error) {
	r = content.Verify(content.UntilDone(ctx, r), desc)
	if !oci.HasSuccessors(desc.MediaType) {
		_, err := io.Copy(w, r)
		return nil, fsys.Classify(err)
	}
	data, err := io.ReadAll(io.LimitReader(r, oci.MaxManifestSize+1))
	if err == nil && len(data) > oci.MaxManifestSize {
		err = tooLarge(desc.Digest.String(), desc.Size, oci.MaxManifestSize)
	}
	if err == nil {
		_, err = w.Write(data)
	}
	return data, fsys.Classify(err)
}

// note keeps in mind what a manifest is about, so that Finish lists it.
func (t *layoutTarget) note(desc oci.Descriptor, data []byte) {
	r := asReferrer(desc, data)
	if r.subject == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Annotations = nil // in a list they are about the list
	t.about[desc.Digest] = r
}

// Finish implements content.ImageTarget.
func (t *layoutTarget) Finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error {
	if err := t.finish(ctx, root, name); err != nil {
		return fmt.Errorf("write %s to %s: %w", root.Digest, t.place.path, err)
	}
	return nil
}

func (t *layoutTarget) finish(ctx context.Context, root oci.Descriptor, name oci.Reference) error {
	full, tag, err := t.place.names(name)
	if err != nil {
		return err
	}
	return t.change(ctx, func(old []byte) error {
		if err := t.tags.stillHold(old); err != nil {
			return err
		}
		// While nobody can remove a blob, as whoever writes a bundle into the folder does.
		if err := complete(ctx, t.source.Fetch, t.has, root); err != nil {
			return err
		}
		items := append([]oci.Descriptor{listed(root, full, tag)}, t.referrersOf(root.Digest)...)
		index, err := addTo(old, append(items, t.tags.list()...))
		if err != nil {
			return err
		}
		if !bytes.Equal(index, old) {
			if err := t.folder.unbundle(); err != nil {
				return err
			}
		}
		return t.folder.write("index.json", index)
	})
}

// change lets do change what the layout lists, which is old, nil for nothing yet, while
// nobody else can. The blobs are durable before, and the new names afterwards.
func (t *layoutTarget) change(ctx context.Context, do func(old []byte) error) error {
	if err := t.prepare(ctx); err != nil {
		return err
	}
	for _, rel := range []string{"blobs/sha256", "blobs/sha512", "blobs", "."} {
		if err := t.folder.sync(rel); err != nil && !errors.Is(err, content.ErrNotFound) {
			return err
		}
	}
	unlock, err := t.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := t.folder.document("index.json", oci.MaxManifestSize)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	if err := do(old); err != nil {
		return err
	}
	for _, dir := range t.made {
		if err := fsys.OS().SyncDir(dir); err != nil {
			return fsys.Classify(err)
		}
	}
	return t.folder.sync(".")
}

// has says whether a blob is there in its size.
func (t *layoutTarget) has(desc oci.Descriptor) (bool, error) {
	fi, err := t.folder.root.Stat(blobName(desc.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && fi.Mode().IsRegular() && fi.Size() == desc.Size, fsys.Classify(err)
}

// referrersOf describes the referrers that passed by, the root left out, which may
// be one.
func (t *layoutTarget) referrersOf(root oci.Digest) []oci.Descriptor {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []oci.Descriptor
	for d, r := range t.about {
		if d == root {
			continue
		}
		out = append(out, r.Descriptor)
	}
	return sorted(out)
}

// Close implements content.ImageTarget.
func (t *layoutTarget) Close() error { return t.folder.Close() }
