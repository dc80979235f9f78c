package bundle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/sign"
)

// Form is for whom a bundle is written.
type Form int

// The forms. FormMixed is an OCI archive that Docker loads, too, as far as an image can
// stand in its manifest.json; FormDocker refuses what cannot; FormOCI has no
// manifest.json, and neither has a folder.
const (
	FormMixed Form = iota
	FormDocker
	FormOCI
	FormFolder
)

// NamedImage is an image of a bundle and what it is called.
type NamedImage struct {
	Name   oci.Reference
	Target oci.Descriptor
}

// Cargo is what a bundle is made of.
type Cargo struct {
	// Images are what index.json lists, each once for each name.
	Images []NamedImage
	// Contents are those of the bundle, but for what is found out here: TotalSize,
	// Documents and the order. Referrers are all that there are; those that index.json
	// lists, and those that are not carried, are left out of what is written.
	Contents
	// Provenance is nil for none.
	Provenance *Provenance
	// From has the blobs. What it does not have is in Made.
	From content.Provider
	Made map[oci.Digest][]byte
}

// WriteOptions say how a bundle is written. The zero value is one tar for everybody.
type WriteOptions struct {
	Form Form
	// ListReferrers lists what is about the images in index.json, too: attachments under
	// their tags, with the kinds that cosign wants to see, and referrers both by
	// themselves, as oras has it in layouts, and in an index under the tag of their
	// subject, as regctl has it. A folder lists them in any case, but without the kinds
	// and those indexes.
	ListReferrers bool
	// Epoch is as in OCIArchive.
	Epoch time.Time
	// Split is the size in bytes that every volume stays below, 0 for no volumes: of 4 GiB
	// that is what the file system of a stick can keep.
	Split int64
	// Compression is that of the whole file.
	Compression layer.Compression
	// Seal signs contents, whose index.json has the digest index, and returns what
	// SignedFile is to hold. nil leaves the bundle unsigned.
	Seal func(ctx context.Context, contents Contents, index oci.Digest) ([]byte, error)
	// Jobs bounds the blobs that are written into a folder at once, 0 means
	// content.DefaultJobs.
	Jobs int
	// Observe is told of each blob, and Hook of the points at which a test may stop;
	// nil is fine.
	Observe content.Observer
	Hook    func(point string)
	// FS is for tests; nil is the system's. Folders do not ask it.
	FS fsys.FS
}

// Outgoing is a bundle that is laid out: all of it is known but the bytes of its blobs,
// the size of every volume, too.
type Outgoing struct {
	o        WriteOptions
	from     content.Provider
	held     map[oci.Digest]BlobEntry // what the cargo carries
	blobs    []outBlob                // in the order in which they are written
	contents Contents
	index    oci.Digest
	listed   []oci.Descriptor // in index.json
	docs     []document
	volumes  []volume
}

// outBlob is a blob of a bundle. data is nil for what the provider has.
type outBlob struct {
	BlobEntry
	data []byte
}

// NewOutgoing lays out a bundle, and has it signed where that is asked for. It reads
// manifests alone. Errors: ErrInvalid for a volume that is too small, or options that
// exclude each other; ErrUnsupported when there is too much to list or to read again, and
// for what FormDocker does not take; those of Seal and of the provider.
func NewOutgoing(ctx context.Context, cargo Cargo, o WriteOptions) (*Outgoing, error) {
	if o.Observe == nil {
		o.Observe = func(content.Event) {}
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	if o.FS == nil {
		o.FS = fsys.OS()
	}
	if o.Split > 0 && (o.Compression != layer.None || o.Form == FormFolder) {
		return nil, fmt.Errorf("volumes: %w: only a plain tar is cut into volumes", content.ErrInvalid)
	}
	if o.Form == FormDocker && cargo.Base != nil {
		return nil, fmt.Errorf("archive of Docker's: %w: it has all of its images, and nothing is left out for what somebody has", content.ErrInvalid)
	}
	w := &Outgoing{o: o, from: cargo.From, contents: cargo.Contents, held: map[oci.Digest]BlobEntry{}}
	for _, b := range cargo.Blobs {
		w.held[b.Digest] = b
	}
	if err := w.prepare(ctx, cargo); err != nil {
		return nil, err
	}
	if o.Form == FormFolder {
		return w, nil
	}
	l := layouter{mtime: memberTime(o.Epoch), docs: w.docs, blobs: w.blobs}
	if o.Split > 0 {
		l.split, l.asked = max((o.Split-1)&^511, 512), o.Split
	}
	var err error
	if w.volumes, err = l.volumes(); err != nil {
		return nil, err
	}
	members := 0
	for _, v := range w.volumes {
		members += len(v.pieces)
	}
	if members > maxMembers {
		return nil, content.WithHint(fmt.Errorf("tar: %w: %d members, and nobody reads more than %d", content.ErrUnsupported, members, maxMembers),
			"export fewer images at a time, or to a folder")
	}
	return w, nil
}

// prepare makes the documents.
func (w *Outgoing) prepare(ctx context.Context, cargo Cargo) error {
	w.listed = listImages(cargo.Images)
	referrers, tags := w.about(cargo.Referrers)
	made := maps.Clone(cargo.Made)
	if made == nil {
		made = map[oci.Digest][]byte{}
	}
	switch {
	case w.o.ListReferrers || w.o.Form == FormFolder:
		w.listed = append(append(w.listed, referrers...), tags...)
		if w.o.ListReferrers {
			markKinds(w.listed, cargo)
			if err := w.tagReferrers(ctx, cargo.Referrers, made); err != nil {
				return err
			}
		}
	case len(tags) > 0:
		if _, err := w.addIndex(made, tags); err != nil {
			return err
		}
	}
	index, err := addTo(nil, w.listed)
	if err != nil {
		return err
	}
	w.index = oci.DigestBytes(index)
	others, err := w.others(ctx, cargo)
	if err != nil {
		return err
	}
	w.settle(cargo, made)
	sealed, err := w.seal(ctx, append([]document{{"index.json", index}}, others...))
	if err != nil {
		return err
	}
	w.docs = append([]document{{"oci-layout", layoutFile()}, sealed, {"index.json", index}}, others...)
	return nil
}

// addIndex adds an index of items to the blobs, unless the cargo has it.
func (w *Outgoing) addIndex(made map[oci.Digest][]byte, items []oci.Descriptor) (oci.Descriptor, error) {
	data, desc, err := encodeIndex(items)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if _, twice := w.held[desc.Digest]; !twice {
		made[desc.Digest] = data
		w.contents.Blobs = append(slices.Clone(w.contents.Blobs), BlobEntry{desc.Digest, desc.Size, desc.MediaType})
	}
	return desc, nil
}

// others are the documents behind index.json.
func (w *Outgoing) others(ctx context.Context, cargo Cargo) (docs []document, err error) {
	if w.o.Form == FormMixed || w.o.Form == FormDocker {
		data, err := w.dockerManifest(ctx, cargo)
		if err != nil {
			return nil, err
		}
		if data != nil {
			docs = append(docs, document{"manifest.json", data})
		}
	}
	if p := cargo.Provenance; p != nil && len(p.Sources)+len(p.Vouched) > 0 {
		data, err := p.Encode()
		if err != nil {
			return nil, err
		}
		docs = append(docs, document{ProvenanceFile, data})
	}
	return docs, nil
}

// settle puts blobs and contents into their order.
func (w *Outgoing) settle(cargo Cargo, made map[oci.Digest][]byte) {
	c := &w.contents
	c.Blobs = slices.Clone(c.Blobs)
	slices.SortFunc(c.Blobs, func(a, b BlobEntry) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	c.TotalSize = 0
	var layers []outBlob
	for _, b := range c.Blobs {
		c.TotalSize += b.Size
		if one := (outBlob{b, made[b.Digest]}); oci.HasSuccessors(b.MediaType) {
			w.blobs = append(w.blobs, one)
		} else {
			layers = append(layers, one)
		}
	}
	w.blobs = append(w.blobs, layers...)
	names := map[oci.Digest]bool{}
	for _, d := range w.listed {
		names[d.Digest] = true
	}
	c.Referrers = slices.DeleteFunc(slices.Clone(c.Referrers), func(r ReferrerEntry) bool {
		_, carried := w.held[r.Digest]
		return names[r.Digest] || !carried
	})
	slices.SortFunc(c.Referrers, func(a, b ReferrerEntry) int {
		return strings.Compare(string(a.Digest)+a.Tag+string(a.Subject), string(b.Digest)+b.Tag+string(b.Subject))
	})
	c.Absent = slices.Clone(c.Absent)
	slices.Sort(c.Absent)
	c.Absent = slices.Compact(c.Absent)
}

// seal makes the member that says what the bundle holds.
func (w *Outgoing) seal(ctx context.Context, docs []document) (document, error) {
	w.contents.Version = contentsVersion
	w.contents.Documents = map[string]oci.Digest{}
	for _, d := range docs {
		w.contents.Documents[d.name] = oci.DigestBytes(d.data)
	}
	data, err := w.contents.Encode()
	if err != nil || w.o.Seal == nil {
		return document{ContentsFile, data}, err
	}
	data, err = w.o.Seal(ctx, w.contents, w.index)
	if err == nil && len(data) > sign.MaxSigned {
		err = content.WithHint(fmt.Errorf("%s: %w: %d blobs are more than a signed bundle can list", SignedFile, content.ErrUnsupported, len(w.blobs)),
			"export fewer images at a time")
	}
	return document{SignedFile, data}, err
}

// Contents are what the bundle says of itself, and index is the digest of its
// index.json.
func (w *Outgoing) Contents() (c Contents, index oci.Digest) { return w.contents, w.index }

// Volumes are the sizes in bytes of the files that will be written, before compression:
// one, or as many as there are volumes. A folder has none.
func (w *Outgoing) Volumes() (sizes []int64) {
	for _, v := range w.volumes {
		sizes = append(sizes, v.size)
	}
	return sizes
}

// open reads what the provider has, or what was made here.
func (w *Outgoing) open(ctx context.Context, b outBlob) (content.ReaderAt, error) {
	if b.data != nil {
		return sectionOfBytes(b.data), nil
	}
	ra, err := w.from.ReaderAt(ctx, descriptorOf(b.BlobEntry))
	if err != nil {
		return nil, err
	}
	if ra.Size() != b.Size {
		size := ra.Size()
		_ = ra.Close()
		return nil, damagedBlob(b.Digest, fmt.Errorf("%s: %w: %d bytes in place of %d", b.Digest, content.ErrCorrupt, size, b.Size))
	}
	return ra, nil
}

// DamagedBlob says that what a provider gave of a blob is not right.
type DamagedBlob struct {
	error
	Digest oci.Digest
}

// Unwrap gives the ErrCorrupt.
func (e *DamagedBlob) Unwrap() error { return e.error }

func damagedBlob(d oci.Digest, err error) error { return &DamagedBlob{err, d} }

func descriptorOf(b BlobEntry) oci.Descriptor {
	return oci.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}
}
