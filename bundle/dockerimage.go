package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

const (
	// maxDockerManifest bounds manifest.json, and maxDockerImages and maxLayers what
	// it lists.
	maxDockerManifest = 4 << 20
	maxDockerImages   = 10_000
	maxLayers         = 10_000
	// maxMade bounds the bytes of the configurations and manifests that are held for it.
	maxMade = 128 << 20
)

// dockerImage is one entry of Docker's manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// parseDockerManifest reads a manifest.json.
func parseDockerManifest(data []byte) ([]dockerImage, error) {
	var images []dockerImage
	if err := json.Unmarshal(data, &images); err != nil {
		return nil, fmt.Errorf("manifest.json: %w: %v", content.ErrCorrupt, err)
	}
	if len(images) > maxDockerImages {
		return nil, fmt.Errorf("manifest.json: %w: more than %d images", content.ErrUnsupported, maxDockerImages)
	}
	for _, i := range images {
		if i.Config == "" {
			return nil, fmt.Errorf("manifest.json: %w: an image without Config", content.ErrCorrupt)
		}
		if len(i.Layers) > maxLayers {
			return nil, fmt.Errorf("manifest.json: %w: an image of more than %d layers", content.ErrUnsupported, maxLayers)
		}
	}
	return images, nil
}

// dockerShelf shows the images of an archive of Docker's own form as a layout. The
// manifests are made here: the same archive always gives the same ones.
type dockerShelf struct {
	dockerFiles
	index []byte                    // stands in for index.json
	made  map[oci.Digest][]byte     // manifests and configurations
	held  int                       // how many bytes these have
	parts map[oci.Digest]dockerFile // layers
	known map[string]oci.Descriptor // compressed layers, by their names
}

// dockerFiles are the members of an archive of Docker's own form.
type dockerFiles interface {
	// document is that of a shelf, for the name of any member.
	document(name string, limit int64) ([]byte, error)
	// file finds a member, by its name or that of a link. Errors: ErrNotFound,
	// ErrUnsupported.
	file(name string) (dockerFile, error)
	io.Closer
}

// dockerFile is a member that may be a layer.
type dockerFile struct {
	name   string // its own
	size   int64
	digest oci.Digest // "" where it has to be read for that
	open   func() (content.ReaderAt, error)
}

// file implements dockerFiles.
func (a *archive) file(name string) (dockerFile, error) {
	real, m, err := a.find(name)
	f := dockerFile{name: real, size: m.size, open: func() (content.ReaderAt, error) { return a.part(m) }}
	f.digest, _ = blobDigest(real)
	return f, err
}

// openDocker reads what an archive without an index.json holds.
func openDocker(ctx context.Context, a dockerFiles) (*dockerShelf, error) {
	data, err := a.document("manifest.json", maxDockerManifest)
	if err != nil {
		return nil, err
	}
	images, err := parseDockerManifest(data)
	if err != nil {
		return nil, err
	}
	s := &dockerShelf{
		dockerFiles: a,
		made:        map[oci.Digest][]byte{}, parts: map[oci.Digest]dockerFile{}, known: map[string]oci.Descriptor{},
	}
	var list []oci.Descriptor
	for _, i := range images {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		desc, err := s.add(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", i.Config, err)
		}
		list = append(list, i.listed(desc)...)
	}
	s.index, err = addTo(nil, list)
	return s, err
}

// listed is the image once for each of its names.
func (i dockerImage) listed(desc oci.Descriptor) []oci.Descriptor {
	var out []oci.Descriptor
	for _, t := range i.RepoTags {
		if ref, err := oci.ParseReference(t); err == nil {
			out = append(out, listed(desc, ref.Local(), ref.Local().Tag))
		}
	}
	if out == nil {
		out = append(out, listed(desc, oci.Reference{}, ""))
	}
	return out
}

// add makes the manifest of one image.
func (s *dockerShelf) add(ctx context.Context, i dockerImage) (oci.Descriptor, error) {
	data, err := s.dockerFiles.document(i.Config, oci.MaxConfigSize)
	if err != nil {
		return oci.Descriptor{}, err
	}
	var config oci.Image
	if err := json.Unmarshal(data, &config); err != nil {
		return oci.Descriptor{}, fmt.Errorf("configuration: %w: %v", content.ErrCorrupt, err)
	}
	if len(config.RootFS.DiffIDs) != len(i.Layers) {
		return oci.Descriptor{}, fmt.Errorf("configuration: %w: %d diff_ids for %d layers", content.ErrCorrupt, len(config.RootFS.DiffIDs), len(i.Layers))
	}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: oci.Describe(oci.MediaTypeImageConfig, data), Layers: []oci.Descriptor{}}
	m.SchemaVersion = 2
	for n, name := range i.Layers {
		d, err := s.layer(ctx, name, config.RootFS.DiffIDs[n])
		if err != nil {
			return oci.Descriptor{}, fmt.Errorf("layer %d: %w", n+1, err)
		}
		m.Layers = append(m.Layers, d)
	}
	manifest, desc, err := oci.Encode(oci.MediaTypeManifest, m)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if s.held += len(data) + len(manifest); s.held > maxMade {
		return oci.Descriptor{}, fmt.Errorf("%w: the configurations of the archive have more than %d bytes together", content.ErrUnsupported, maxMade)
	}
	s.made[m.Config.Digest], s.made[desc.Digest] = data, manifest
	desc.Platform = platformOf(config)
	return desc, nil
}

// platformOf is what a configuration says of its platform.
func platformOf(c oci.Image) *oci.Platform {
	if c.OS == "" || c.Architecture == "" {
		return nil
	}
	p := c.Platform
	return &p
}

// layer describes one layer. Of a plain tar the digest is its diff_id, and whoever
// fetches it finds out whether that is true; a compressed one has to be read.
func (s *dockerShelf) layer(ctx context.Context, name string, diffID oci.Digest) (oci.Descriptor, error) {
	if _, err := oci.ParseDigest(diffID.String()); err != nil {
		return oci.Descriptor{}, fmt.Errorf("diff_id: %w: %w", content.ErrCorrupt, err)
	}
	f, err := s.file(name)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if d, ok := s.known[f.name]; ok {
		return d, nil // read once, however many images share it
	}
	c, err := f.compression()
	if err != nil {
		return oci.Descriptor{}, err
	}
	d := oci.Descriptor{MediaType: c.MediaType(), Digest: diffID, Size: f.size}
	if c != layer.None {
		if d.Digest, err = f.sum(ctx); err != nil {
			return oci.Descriptor{}, err
		}
		s.known[f.name] = d
	}
	s.parts[d.Digest] = f
	return d, nil
}

// compression is how the file is compressed, by its first bytes.
func (f dockerFile) compression() (layer.Compression, error) {
	ra, err := f.open()
	if err != nil {
		return layer.None, err
	}
	defer ra.Close()
	head := make([]byte, min(f.size, 4))
	_, err = ra.ReadAt(head, 0)
	if errors.Is(err, io.EOF) && int64(len(head)) == f.size {
		err = nil
	}
	return layer.Detect(head), fsys.Classify(err)
}

// sum is the digest of the file, by its name or by its bytes.
func (f dockerFile) sum(ctx context.Context) (oci.Digest, error) {
	if f.digest != "" {
		return f.digest, nil
	}
	ra, err := f.open()
	if err != nil {
		return "", err
	}
	defer ra.Close()
	d, _, err := oci.DigestReader(content.UntilDone(ctx, io.NewSectionReader(ra, 0, f.size)))
	return d, fsys.Classify(err)
}

// document implements shelf.
func (s *dockerShelf) document(name string, limit int64) ([]byte, error) {
	if name == "index.json" {
		return s.index, nil
	}
	return s.dockerFiles.document(name, limit)
}

// blob implements shelf.
func (s *dockerShelf) blob(d oci.Digest) (content.ReaderAt, error) {
	if p, ok := s.made[d]; ok {
		return sectionOfBytes(p), nil
	}
	if f, ok := s.parts[d]; ok {
		return f.open()
	}
	return nil, fmt.Errorf("%s: %w in the archive", d, content.ErrNotFound)
}

// size implements shelf.
func (s *dockerShelf) size(d oci.Digest) (int64, error) {
	if p, ok := s.made[d]; ok {
		return int64(len(p)), nil
	}
	if f, ok := s.parts[d]; ok {
		return f.size, nil
	}
	return 0, fmt.Errorf("%s: %w in the archive", d, content.ErrNotFound)
}

// unlisted implements shelf.
func (s *dockerShelf) unlisted([]entry) []oci.Digest { return nil }
