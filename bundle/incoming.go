package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// Incoming is a bundle, or an archive or layout of somebody else's, that is read to be
// imported: in place, or out of where a Reception has brought its content. It fetches what
// the bundle has, and lists what is about its images. The caller closes it.
type Incoming struct {
	*source
	Head
	docs map[string][]byte // that were read already
}

// IncomingImage is one image that index.json lists, or Docker's manifest.json.
type IncomingImage struct {
	Name   oci.Reference // zero when it has none
	Tag    string        // "" when it has none
	Target oci.Descriptor
}

// OpenIncoming opens what is at a path, to be read in place: a folder with a layout, or a
// tar that is not compressed. All of it is looked at but the content of blobs, so that
// what contradicts the contents is refused here (see Reception). Of a volume only Head
// tells anything: it is for a Reception.
//
// Errors: those of Reception; ErrUnsupported for what is compressed, or no file.
func OpenIncoming(ctx context.Context, at string) (*Incoming, error) {
	fi, err := os.Stat(at)
	switch {
	case err != nil:
		return nil, fsys.Classify(err)
	case fi.IsDir():
		return openIncomingFolder(at)
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w: it can only be read as a stream", at, content.ErrUnsupported)
	}
	a, err := openArchive(ctx, at)
	if err != nil {
		return nil, err
	}
	a.reopen = func() (*os.File, error) { return sameFile(at, fi) }
	in, err := incomingArchive(ctx, at, a, fi.Size())
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	return in, nil
}

// sameFile opens a file once more. Errors: ErrConflict when the name leads to another by
// now.
func sameFile(at string, fi os.FileInfo) (*os.File, error) {
	f, err := os.Open(at)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(fi, now) {
		err = fmt.Errorf("%s: %w: it was replaced while it was read", at, content.ErrConflict)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// scanner is a Receiver that takes nothing.
type scanner struct{}

func (scanner) Begin(context.Context, Head) error                    { return nil }
func (scanner) Blob(_ context.Context, b Coming) (oci.Digest, error) { return b.Digest, nil }
func (scanner) Part(context.Context, BlobEntry, int64, Coming) error { return nil }
func (scanner) End(context.Context, Head) error                      { return nil }

func incomingArchive(ctx context.Context, at string, a *archive, size int64) (*Incoming, error) {
	r := NewReception(scanner{})
	if err := r.ReceiveFile(ctx, at, a.r, size); err != nil {
		return nil, err
	}
	if r.head.Volume != nil {
		return &Incoming{source: &source{place: place{path: at}, shelf: a}, Head: r.head}, nil
	}
	if err := r.Complete(); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	sh, err := dockerOrOCIShelf(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return newIncoming(at, sh, r.head, r.docs)
}

// newIncoming reads what sh, with documents that were read before, lists.
func newIncoming(at string, sh shelf, h Head, docs map[string][]byte) (*Incoming, error) {
	if h.Contents != nil {
		sh = listedShelf{sh, h.Contents, docs}
	}
	s, err := newSource(place{path: at}, sh)
	if err != nil {
		return nil, err
	}
	return &Incoming{s, h, docs}, nil
}

// listedShelf is the shelf of a bundle with contents. Its documents are those that were
// held to them.
type listedShelf struct {
	shelf
	contents *Contents
	docs     map[string][]byte
}

// document implements shelf.
func (s listedShelf) document(name string, limit int64) ([]byte, error) {
	data, ok := s.docs[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: %w in the bundle", name, content.ErrNotFound)
	case int64(len(data)) > limit:
		return nil, tooLarge(name, int64(len(data)), limit)
	}
	return data, nil
}

// blob implements shelf. Errors: also ErrBase where a delta leaves it out.
func (s listedShelf) blob(d oci.Digest) (content.ReaderAt, error) {
	ra, err := s.shelf.blob(d)
	if errors.Is(err, content.ErrNotFound) && s.contents.Base != nil {
		err = content.WithHint(fmt.Errorf("%w: %w", content.ErrBase, err),
			"the bundle is on top of what is not here: `dist import` keeps what it has, and writes a request for the rest")
	}
	return ra, err
}

// unlisted implements shelf: what looks like a manifest, whatever the contents, which may
// not be signed, call it.
func (s listedShelf) unlisted([]entry) (out []oci.Digest) {
	for _, b := range s.contents.Blobs {
		if mayBeManifest(s.shelf, b.Digest, b.Size) {
			out = append(out, b.Digest)
		}
	}
	return out
}

// mayBeManifest says whether a blob has the size, and the first byte, of a manifest.
func mayBeManifest(sh shelf, d oci.Digest, size int64) bool {
	if size > oci.MaxManifestSize {
		return false
	}
	ra, err := sh.blob(d)
	if err != nil {
		return false
	}
	defer ra.Close()
	first := make([]byte, 1)
	n, _ := ra.ReadAt(first, 0)
	return n == 1 && first[0] == '{'
}

// openIncomingFolder opens a layout in a folder.
func openIncomingFolder(at string) (*Incoming, error) {
	f, err := openFolder(at)
	if err != nil {
		return nil, err
	}
	in, err := incomingFolder(at, f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return in, nil
}

func incomingFolder(at string, f *folder) (*Incoming, error) {
	docs := map[string][]byte{}
	var h Head
	for _, name := range []string{ContentsFile, SignedFile} {
		limit, _ := documentLimit(name)
		data, err := f.document(name, limit)
		switch {
		case errors.Is(err, content.ErrNotFound):
			continue
		case err == nil && h.Contents != nil:
			err = corrupt(name, "there are two of it: %s and %s", ContentsFile, SignedFile)
		case err == nil:
			h, err = parseHead(name, data)
		}
		if err != nil {
			return nil, err
		}
	}
	if h.Contents == nil {
		return newIncoming(at, f, h, docs)
	}
	if err := checkFolder(f, h, docs); err != nil {
		return nil, err
	}
	return newIncoming(at, f, h, docs)
}

// checkFolder holds what is in a folder to the contents, and reads the documents.
func checkFolder(f *folder, h Head, docs map[string][]byte) error {
	t := &tarReception{head: h, docs: map[string]oci.Digest{}}
	blobs := 0
	err := fs.WalkDir(f.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fsys.Classify(err)
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			return corrupt(name, "neither a file nor a folder")
		case strings.HasPrefix(name, tempPrefix):
			return nil // what an export that was killed has left
		}
		fi, err := e.Info()
		if err != nil {
			return fsys.Classify(err)
		}
		limit, isDocument := documentLimit(name)
		if isDocument && name != VolumeFile && name != SumsFile {
			if docs[name], err = f.document(name, limit); err != nil {
				return err
			}
			t.docs[name] = oci.DigestBytes(docs[name])
			return t.listed(name)
		}
		d, _ := blobDigest(name)
		b, err := t.entry(Coming{BlobEntry: BlobEntry{Digest: d}, Name: name})
		if err == nil && b.Size != fi.Size() {
			err = corrupt(name, "it has %d bytes, and the contents say %d", fi.Size(), b.Size)
		}
		blobs++
		return err
	})
	if err != nil {
		return err
	}
	if blobs != len(h.Contents.Blobs) {
		return fmt.Errorf("%w: the contents list %d blobs, and there are %d", content.ErrCorrupt, len(h.Contents.Blobs), blobs)
	}
	for doc := range h.Contents.Documents {
		if docs[doc] == nil {
			return corrupt(doc, "the contents list it, and it is missing")
		}
	}
	return nil
}

// Incoming is what the reception has brought, with blobs that from has now. Errors: as
// OpenIncoming.
func (r *Reception) Incoming(ctx context.Context, from content.Provider) (*Incoming, error) {
	if len(r.tars) == 0 {
		return nil, fmt.Errorf("import: %w: nothing came", content.ErrInvalid)
	}
	var sh shelf = &arrived{ctx: ctx, r: r, from: from}
	if r.docs["index.json"] == nil && r.head.Contents == nil {
		docker, err := openDocker(ctx, sh.(*arrived))
		if errors.Is(err, content.ErrNotFound) {
			err = content.WithHint(fmt.Errorf("%w: neither index.json nor manifest.json is in it", content.ErrInvalid),
				"bundles of dist export are taken, OCI archives and layouts, and what docker save writes")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.tars[0], err)
		}
		sh = docker
	}
	return newIncoming(r.tars[0], sh, r.head, r.docs)
}

// arrived is the shelf of what a Reception has brought.
type arrived struct {
	ctx  context.Context //nolint:containedctx // of the import, which reads nothing after it
	r    *Reception
	from content.Provider

	once      sync.Once
	manifests []oci.Digest
}

// document implements shelf.
func (a *arrived) document(name string, limit int64) ([]byte, error) {
	if data, ok := a.r.docs[name]; ok {
		return data, nil
	}
	f, err := a.file(path.Clean(name))
	if err != nil {
		return nil, err
	}
	if f.size > limit {
		return nil, tooLarge(name, f.size, limit)
	}
	ra, err := f.open()
	if err != nil {
		return nil, err
	}
	defer ra.Close()
	data := make([]byte, f.size)
	_, err = io.ReadFull(io.NewSectionReader(ra, 0, f.size), data)
	return data, fsys.Classify(err)
}

// file implements dockerFiles.
func (a *arrived) file(name string) (dockerFile, error) {
	asked := name
	for range maxLinks {
		if d, ok := blobDigest(name); ok {
			if size, here := a.r.blobs[d]; here {
				return a.opened(name, d, size), nil
			}
		}
		f, ok := a.r.files[name]
		switch {
		case !ok:
			return dockerFile{}, fmt.Errorf("%s: %w in the archive", asked, content.ErrNotFound)
		case f.link == "":
			return a.opened(name, f.digest, f.size), nil
		}
		name = f.link
	}
	return dockerFile{}, fmt.Errorf("%s: %w: too many links in the archive", asked, content.ErrUnsupported)
}

func (a *arrived) opened(name string, d oci.Digest, size int64) dockerFile {
	return dockerFile{name, size, d, func() (content.ReaderAt, error) { return a.blob(d) }}
}

// blob implements shelf.
func (a *arrived) blob(d oci.Digest) (content.ReaderAt, error) {
	return a.from.ReaderAt(a.ctx, oci.Descriptor{Digest: d, Size: -1})
}

// size implements shelf.
func (a *arrived) size(d oci.Digest) (int64, error) {
	if size, ok := a.r.blobs[d]; ok {
		return size, nil
	}
	ra, err := a.blob(d)
	if err != nil {
		return 0, err
	}
	defer ra.Close()
	return ra.Size(), nil
}

// unlisted implements shelf.
func (a *arrived) unlisted([]entry) []oci.Digest {
	a.once.Do(func() {
		for _, d := range slices.Sorted(maps.Keys(a.r.blobs)) {
			if mayBeManifest(a, d, a.r.blobs[d]) {
				a.manifests = append(a.manifests, d)
			}
		}
	})
	return a.manifests
}

// Close implements shelf.
func (a *arrived) Close() error { return nil }

// Images are those that are listed, as they stand there: what has a name, and what has none
// and is neither about another that is listed nor a part of it. Errors: those of reading.
func (in *Incoming) Images(ctx context.Context) (images []IncomingImage, err error) {
	parts, err := in.parts(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range in.entries {
		if !oci.HasSuccessors(e.MediaType) || e.cosignSuffix() != "" || oci.IsReferrersTag(e.tag) {
			continue
		}
		d := e.Descriptor
		d.Annotations = nil // they say where it is listed, not what it is
		im := IncomingImage{e.full, e.tag, d}
		if !im.Nameless() || !parts[e.Digest] {
			images = append(images, im)
		}
	}
	return images, nil
}

// parts are the entries without a name that belong to others: images of an index that is
// listed, and manifests about one that is.
func (in *Incoming) parts(ctx context.Context) (map[oci.Digest]bool, error) {
	parts, listed, subjects := map[oci.Digest]bool{}, map[oci.Digest]bool{}, map[oci.Digest]oci.Digest{}
	for _, e := range in.entries {
		listed[e.Digest] = true
	}
	if len(listed) < 2 {
		return parts, nil
	}
	for d := range listed {
		r, below, err := in.look(ctx, d)
		if err != nil {
			return nil, err
		}
		if r.subject != "" {
			subjects[d] = r.subject
		}
		for _, b := range below {
			if b.Digest != d {
				parts[b.Digest] = true
			}
		}
	}
	for d, subject := range subjects {
		if listed[subject] || parts[subject] {
			parts[d] = true
		}
	}
	return parts, nil
}

// Has says whether the bundle itself has a blob, with its size. What came with a Reception
// may have been there before.
func (in *Incoming) Has(d oci.Digest) bool {
	if in.Contents != nil {
		_, ok := in.Contents.Blob(d)
		return ok
	}
	_, err := in.shelf.size(d)
	return err == nil
}

// Unlisted are the blobs that may be there without an image that reaches them: of a bundle
// all that it lists, else what may be a manifest.
func (in *Incoming) Unlisted() (all []oci.Digest) {
	if in.Contents == nil {
		return in.shelf.unlisted(in.entries)
	}
	for _, b := range in.Contents.Blobs {
		all = append(all, b.Digest)
	}
	return all
}

// Provenance is what the sender knew of where blobs come from, the zero value for nothing.
// Errors: ErrCorrupt.
func (in *Incoming) Provenance() (Provenance, error) {
	data, ok := in.docs[ProvenanceFile]
	if !ok || in.Contents == nil {
		return Provenance{}, nil
	}
	return parseProvenance(data)
}

// Nameless says that it has neither a name nor a tag.
func (i IncomingImage) Nameless() bool { return i.Name == (oci.Reference{}) && i.Tag == "" }

// Label is how messages call an image that has no name.
func (i IncomingImage) Label() string {
	return entry{Descriptor: i.Target, full: i.Name, tag: i.Tag}.label()
}

// IsStream says whether what is at a path can only be read from front to back: it is
// compressed, or no file. Errors: those of the file system.
func IsStream(at string) (bool, error) {
	fi, err := os.Stat(at)
	if err != nil || fi.IsDir() {
		return false, fsys.Classify(err)
	}
	if !fi.Mode().IsRegular() {
		return true, nil
	}
	f, err := os.Open(at)
	if err != nil {
		return false, fsys.Classify(err)
	}
	defer f.Close()
	head := make([]byte, len(xzMagic))
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fsys.Classify(err)
	}
	_, ok := wrapped(head[:n])
	return ok, nil
}
