package pages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// document is what a manifest says, as far as lists need it. It is not changed.
type document struct {
	descriptor   oci.Descriptor
	kind         kind
	artifactType string
	platform     string  // of an image: for what it is
	reads        int     // what it counts for where the manifests are that are read
	children     []child // of an index
	blobs        []part  // config and layers
}

// child is a manifest that an index lists.
type child struct {
	oci.Descriptor // with nothing that may be long
	platform       string
	attestation    bool       // about another child
	about          oci.Digest // which one, "" when that is not said
}

func newChild(m oci.Descriptor) child {
	c := child{
		Descriptor: oci.Descriptor{MediaType: clip(m.MediaType), Digest: m.Digest, Size: m.Size, ArtifactType: clip(m.ArtifactType)},
		platform:   clip(oci.FormatPlatform(m.Platform)), attestation: isAttestation(m),
	}
	if about, err := oci.ParseDigest(m.Annotations["vnd.docker.reference.digest"]); err == nil && c.attestation {
		c.about = about
	}
	return c
}

// part is a blob of a manifest. One that registries need not hold counts for
// nothing: nobody has looked whether it is here.
type part struct {
	digest oci.Digest
	size   int64
}

// documents reads manifests, and remembers what they say: it is known by its digest
// and does not change. Whether they are held is for others to ask.
type documents struct {
	lib content.Library

	mu    sync.Mutex
	known map[oci.Digest]*document
	parts int
}

const (
	// maxParts bounds the memory of documents: all is forgotten when they have more
	// children and blobs than that together.
	maxParts = 50_000
	// oneRead is up to what size a manifest, with the configuration that is read for its
	// platform, counts as one that is read; a larger one counts as several. Most have a
	// few KiB, but anybody may push thousands of 4 MiB.
	oneRead = 16 << 10
)

// get reads the manifest that is desc. Errors: ErrNotFound, ErrCorrupt, also for
// what does not parse.
func (c *documents) get(ctx context.Context, desc oci.Descriptor) (*document, error) {
	c.mu.Lock()
	d, ok := c.known[desc.Digest]
	c.mu.Unlock()
	if ok && d.descriptor.MediaType == desc.MediaType {
		return d, nil
	}
	data, err := read(ctx, c.lib, desc, oci.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	d, err = parse(desc.MediaType, data)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %v", desc.Digest, content.ErrCorrupt, err)
	}
	d.descriptor = oci.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: int64(len(data))}
	size := len(data)
	if d.kind == kindImage {
		var config int
		d.platform, config = c.platform(ctx, data)
		size += config
	}
	d.reads = 1 + size/oneRead
	c.remember(d)
	return d, nil
}

func (c *documents) remember(d *document) {
	weight := 1 + len(d.children) + len(d.blobs)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || c.parts+weight > maxParts {
		c.known, c.parts = map[oci.Digest]*document{}, 0
	}
	c.known[d.descriptor.Digest] = d
	c.parts += weight
}

// platform is what an image's configuration says that it is for, and how many bytes
// that has; "" when it cannot be read, which the page of the image tells.
func (c *documents) platform(ctx context.Context, data []byte) (platform string, size int) {
	var m oci.Manifest
	if json.Unmarshal(data, &m) != nil {
		return "", 0
	}
	config, err := read(ctx, c.lib, m.Config, maxConfig)
	if err != nil {
		return "", 0
	}
	var p oci.Platform
	if json.Unmarshal(config, &p) != nil || p.OS == "" || p.Architecture == "" {
		return "", len(config)
	}
	return clip(oci.FormatPlatform(&p)), len(config)
}

// parse reads a manifest or an index.
func parse(mediaType string, data []byte) (*document, error) {
	if oci.IsIndex(mediaType) {
		x, err := oci.ParseIndex(mediaType, data)
		if err != nil {
			return nil, err
		}
		d := &document{kind: kindIndex, artifactType: clip(x.ArtifactType)}
		for _, m := range x.Manifests {
			d.children = append(d.children, newChild(m))
		}
		return d, nil
	}
	m, err := oci.ParseManifest(mediaType, data)
	if err != nil {
		return nil, err
	}
	d := &document{kind: kindOf(m), artifactType: clip(oci.ArtifactType(m))}
	for _, b := range append([]oci.Descriptor{m.Config}, m.Layers...) {
		if !oci.IsNonDistributable(b.MediaType) {
			d.blobs = append(d.blobs, part{b.Digest, b.Size})
		}
	}
	return d, nil
}

// read reads a blob of at most limit bytes, and checks it. Errors: ErrNotFound,
// ErrCorrupt; ErrUnsupported for one that is larger.
func read(ctx context.Context, lib content.Provider, desc oci.Descriptor, limit int64) ([]byte, error) {
	ra, err := lib.ReaderAt(ctx, oci.Descriptor{Digest: desc.Digest, Size: -1})
	if err != nil {
		return nil, err
	}
	defer ra.Close()
	if ra.Size() > limit {
		return nil, fmt.Errorf("read %s: %w: %d bytes", desc.Digest, content.ErrUnsupported, ra.Size())
	}
	desc.Size = -1
	return io.ReadAll(content.Verify(io.NewSectionReader(ra, 0, ra.Size()), desc))
}

// unreadable says whether err is about the content, and not about the store.
func unreadable(err error) bool {
	return errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrUnsupported)
}

// scale adds up what is held, each digest once.
type scale struct {
	site  *site
	repo  string
	reads int // how many more manifests may be read
	seen  map[oci.Digest]bool
	total int64
	more  bool // there is more than total
}

func (s *site) scale(repo *repository, reads int) *scale {
	return &scale{site: s, repo: repo.ref.Name(), reads: reads, seen: map[oci.Digest]bool{}}
}

// add puts manifests that are held on the scale, with what they reach as far as it
// is in the repository.
func (w *scale) add(ctx context.Context, descs ...oci.Descriptor) error {
	var below []oci.Descriptor
	for _, desc := range descs {
		if w.seen[desc.Digest] {
			continue
		}
		if w.reads <= 0 {
			w.more = true
			return nil
		}
		d, err := w.site.documents.get(ctx, desc)
		if unreadable(err) {
			w.reads--
			continue
		}
		if err != nil {
			return err
		}
		w.reads -= d.reads
		w.put(desc.Digest, d.descriptor.Size)
		for _, b := range d.blobs {
			w.put(b.digest, b.size)
		}
		for _, c := range d.children {
			if oci.HasSuccessors(c.MediaType) && !w.seen[c.Digest] {
				below = append(below, c.Descriptor)
			}
		}
	}
	if len(below) == 0 {
		return nil
	}
	here, err := w.site.here(ctx, w.repo, below)
	if err != nil {
		return err
	}
	return w.add(ctx, held(below, here)...)
}

// put adds size once for d. What others wrote may be any number.
func (w *scale) put(d oci.Digest, size int64) {
	if !w.seen[d] {
		w.seen[d] = true
		w.total += min(size, math.MaxInt64-w.total)
	}
}

// here asks which of descs are held and in repo.
func (s *site) here(ctx context.Context, repo string, descs []oci.Descriptor) (map[oci.Digest]bool, error) {
	digests := make([]oci.Digest, len(descs))
	for i, d := range descs {
		digests[i] = d.Digest
	}
	in, err := s.lib.InRepository(ctx, repo, digests...)
	if err != nil {
		return nil, err
	}
	here := map[oci.Digest]bool{}
	for i, ok := range in {
		if ok {
			here[digests[i]] = true
		}
	}
	return here, nil
}

func held(descs []oci.Descriptor, here map[oci.Digest]bool) []oci.Descriptor {
	var all []oci.Descriptor
	for _, d := range descs {
		if here[d.Digest] {
			all = append(all, d)
		}
	}
	return all
}
