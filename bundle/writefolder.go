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
	"dist.example/sign"
)

// WriteFolder writes the bundle as a layout into the folder path, which is made if it is
// not there. What a layout lists already stays, but for the names that come; alone is
// false then, and where it has other blobs: together they are no bundle, and nothing says
// what they hold. Of a bundle whose names all come again, the blobs go that this one does
// not have. Blobs come first, each under its name when it is whole and durable, index.json
// last. Errors: as WriteTo; ErrInvalid for a folder with something else; ErrConflict for a
// bundle with a name, a base or a signature, which has to be alone.
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
	if _, _, _, err := w.join(ctx, t, old); err != nil { // sooner than at the end
		return false, err
	}
	w.planned()
	for try := 1; ; try++ {
		if err := w.pushAll(ctx, t); err != nil {
			return false, err
		}
		err = t.change(ctx, func(old []byte) (err error) {
			index, former, whole, err := w.join(ctx, t, old)
			if err == nil {
				err = w.allThere(t)
			}
			if err != nil {
				return err
			}
			alone = whole
			w.o.Hook("export.written")
			return w.list(t.folder, index, old != nil, alone, former)
		})
		if !errors.Is(err, errGone) || try == pushTries {
			return alone, err
		}
	}
}

// pushTries is how often blobs are pushed that somebody else removes, who writes his own
// bundle into the folder.
const pushTries = 3

// errGone says that a blob that was pushed is gone again.
var errGone = fmt.Errorf("%w: somebody else writes another bundle into it", content.ErrConflict)

// allThere looks for all blobs while nobody can remove one.
func (w *Outgoing) allThere(t *layoutTarget) error {
	for _, b := range w.blobs {
		if here, err := t.has(descriptorOf(b.BlobEntry)); err != nil || !here {
			return cmp.Or(err, fmt.Errorf("%s: %w", t.folder.path, errGone))
		}
	}
	return nil
}

// join is index.json with what it lists already, and whether that is nothing else and no
// other blobs are there. former are the blobs of the bundle that was there before and has
// nothing that is listed any more.
func (w *Outgoing) join(ctx context.Context, t *layoutTarget, old []byte) (index []byte, former []string, alone bool, err error) {
	f, had := t.folder, old
	was, bundled := formerly(f, old)
	if bundled {
		replaced, err := w.replaces(ctx, t, old)
		if err != nil {
			return nil, nil, false, err
		}
		if replaced {
			had = nil
		}
	}
	if index, err = addTo(had, w.listed); err != nil {
		return nil, nil, false, err
	}
	fresh, err := addTo(nil, w.listed)
	if err != nil {
		return nil, nil, false, err
	}
	what := "it lists other images already"
	if alone = bytes.Equal(index, fresh); alone {
		var foreign bool
		if former, foreign, err = w.strays(f, was); err != nil {
			return nil, nil, false, err
		}
		what = "it has other blobs, which nothing lists"
		alone = !foreign
	}
	if !alone {
		former = nil
		if w.o.Seal != nil || w.contents.Name != "" || w.contents.Base != nil {
			err = content.WithHint(fmt.Errorf("%s: %w: %s", f.path, content.ErrConflict, what),
				"a bundle with a name, a base or a signature wants a folder of its own")
		}
	}
	return index, former, alone, err
}

// replaces says whether all images that a former bundle lists in old are given anew: what
// else it lists is about those.
func (w *Outgoing) replaces(ctx context.Context, t *layoutTarget, old []byte) (bool, error) {
	entries, err := parseListing(old)
	if err != nil {
		return false, err
	}
	fresh, err := addTo(nil, w.listed)
	if err != nil {
		return false, err
	}
	ours, err := parseListing(fresh)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if e.cosignSuffix() != "" || oci.IsReferrersTag(e.tag) || slices.ContainsFunc(ours, func(o entry) bool { return o.full == e.full && o.tag == e.tag && o.named() }) {
			continue
		}
		r, _, err := t.source.look(ctx, e.Digest)
		if err != nil || e.named() || r.subject == "" {
			return false, err
		}
	}
	return true, nil
}

// named says that an entry has a name or a tag.
func (e entry) named() bool { return e.full != oci.Reference{} || e.tag != "" }

// strays are the files of blobs that the bundle does not have: former those of the bundle
// that the folder was; foreign says that there are others.
func (w *Outgoing) strays(f *folder, was Contents) (former []string, foreign bool, err error) {
	ours := map[oci.Digest]bool{}
	for _, b := range w.blobs {
		ours[b.Digest] = true
	}
	for _, a := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		files, err := fs.ReadDir(f.root.FS(), "blobs/"+a.String())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, fsys.Classify(err)
		}
		for _, file := range files {
			name := "blobs/" + a.String() + "/" + file.Name()
			d, ok := blobDigest(name)
			if ok && ours[d] {
				continue
			}
			if _, its := was.Blob(d); !ok || !its || !file.Type().IsRegular() {
				return nil, true, nil
			}
			former = append(former, name)
		}
	}
	return former, false, nil
}

// formerly is what the bundle held that a folder was, if it was one and nobody has changed
// its index.json since.
func formerly(f *folder, old []byte) (was Contents, ok bool) {
	name := ContentsFile
	data, err := f.document(name, MaxContents)
	if errors.Is(err, content.ErrNotFound) {
		name = SignedFile
		data, err = f.document(name, sign.MaxSigned)
	}
	if err != nil {
		return was, false
	}
	h, err := parseHead(name, data) // whoever has signed it
	if err != nil || h.Index != oci.DigestBytes(old) {
		return was, false
	}
	return *h.Contents, true
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
// another index.json than its own, nor beside blobs of the former bundle: where there is
// one, it comes last, and else first.
func (w *Outgoing) list(f *folder, index []byte, again, alone bool, former []string) error {
	about := slices.DeleteFunc(slices.Clone(w.docs), func(d document) bool { return d.name == "oci-layout" || d.name == "index.json" })
	if err := f.unbundle(); err != nil {
		return err
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
		if d.name != "index.json" {
			continue
		}
		for _, name := range former {
			if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fsys.Classify(err)
			}
		}
	}
	return nil
}

// unbundle removes what says which bundle the folder is: from now on it is none, or
// another.
func (f *folder) unbundle() error {
	for _, name := range []string{ContentsFile, SignedFile, ProvenanceFile} {
		if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fsys.Classify(err)
		}
	}
	return nil
}
