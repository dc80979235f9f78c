package bundle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// WriteFolder writes the bundle as a layout into the folder path, which is made if it is
// not there. What a layout lists already stays, but for the names that come; alone is
// false then: together they are no bundle, and nothing says what they hold. Blobs come
// first, each under its name when it is whole and durable, index.json last. Errors: as
// WriteTo; ErrInvalid for a folder with something else; ErrConflict for a bundle with a
// name, a base or a signature, which has to be alone.
func (w *Outgoing) WriteFolder(ctx context.Context, path string) (alone bool, err error) {
	t, err := newLayoutTarget(place{path: path})
	if err != nil {
		return false, err
	}
	defer t.Close()
	old, err := t.folder.document("index.json", oci.MaxManifestSize)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return false, err
	}
	if _, _, err := w.join(path, old); err != nil { // sooner than at the end
		return false, err
	}
	w.planned()
	if err := w.pushAll(ctx, t); err != nil {
		return false, err
	}
	err = t.change(ctx, func(old []byte) (err error) {
		var index []byte
		if index, alone, err = w.join(path, old); err != nil {
			return err
		}
		w.o.Hook("export.written")
		return w.list(t.folder, index, old != nil, alone)
	})
	return alone, err
}

// join is index.json with what it lists already, and whether that is nothing else.
func (w *Outgoing) join(path string, old []byte) (index []byte, alone bool, err error) {
	if index, err = addTo(old, w.listed); err != nil {
		return nil, false, err
	}
	fresh, err := addTo(nil, w.listed)
	alone = bytes.Equal(index, fresh)
	if err == nil && !alone && (w.o.Seal != nil || w.contents.Name != "" || w.contents.Base != nil) {
		err = content.WithHint(fmt.Errorf("%s: %w: it lists other images already", path, content.ErrConflict),
			"a bundle with a name, a base or a signature wants a folder of its own")
	}
	return index, alone, err
}

// pushAll writes the blobs that the folder lacks.
func (w *Outgoing) pushAll(ctx context.Context, t *layoutTarget) error {
	g, first := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(w.o.Jobs, content.DefaultJobs))
	for _, b := range w.blobs {
		if first.Err() != nil {
			break
		}
		g.Go(func() error { return w.push(first, t, b) })
	}
	return cmp.Or(g.Wait(), context.Cause(ctx))
}

func (w *Outgoing) push(ctx context.Context, t *layoutTarget, b outBlob) error {
	desc := descriptorOf(b.BlobEntry)
	here, err := t.Exists(ctx, desc)
	if err != nil {
		return err
	}
	if here {
		w.event(content.EventReused, desc, desc.Size)
		return nil
	}
	w.event(content.EventStarted, desc, 0)
	ra, err := w.open(ctx, b)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Digest, err)
	}
	defer ra.Close()
	err = t.Push(ctx, desc, &told{r: io.NewSectionReader(ra, 0, b.Size), tell: func(n int64) { w.event(content.EventAdvanced, desc, n) }})
	if err != nil {
		w.event(content.EventFailed, desc, 0)
		if errors.Is(err, content.ErrCorrupt) {
			err = damagedBlob(b.Digest, err)
		}
		return err
	}
	w.event(content.EventFinished, desc, desc.Size)
	w.o.Hook("export.blob")
	return nil
}

// told tells how far it was read.
type told struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	if n > 0 {
		t.tell(t.n)
	}
	return n, err
}

// list writes the documents. What says what the folder holds is never there beside
// another index.json than its own: where there is one, it comes last, and else first.
func (w *Outgoing) list(f *folder, index []byte, again, alone bool) error {
	about := slices.DeleteFunc(slices.Clone(w.docs), func(d document) bool { return d.name == "oci-layout" || d.name == "index.json" })
	for _, name := range []string{ContentsFile, SignedFile, ProvenanceFile} {
		if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fsys.Classify(err)
		}
	}
	docs := append(about, document{"index.json", index})
	switch {
	case !alone:
		docs = docs[len(about):]
	case again:
		docs = append([]document{{"index.json", index}}, about...)
	}
	for _, d := range docs {
		if err := f.write(d.name, d.data); err != nil {
			return err
		}
		w.o.Hook("export.placed")
	}
	return nil
}
