package registrytest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Bytes are n bytes that do not compress, the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

// PutBlob stores a blob, which every repository has then.
func (r *Registry) PutBlob(mediaType string, data []byte) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	desc := r.put(mediaType, data)
	r.store.seed(desc.Digest)
	return desc
}

// put stores a blob for the repositories that something brings it to.
func (r *Registry) put(mediaType string, data []byte) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	desc := oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(data), Size: int64(len(data))}
	w, err := r.store.Writer(r.ctx(), content.IngestOptions{Expected: desc.Digest, Total: desc.Size, MediaType: mediaType})
	if errors.Is(err, content.ErrExists) {
		return desc
	}
	r.must(err)
	defer w.Close()
	_, err = io.Copy(w, bytes.NewReader(data))
	r.must(err)
	_, err = w.Commit(r.ctx())
	r.must(err)
	return desc
}

// Tag lets path, such as app:v1, stand for target. The repository has it and what it
// refers to from then on, as if that had been pushed there, wherever the tag moves.
func (r *Registry) Tag(path string, target oci.Digest) {
	if r.t != nil {
		r.t.Helper()
	}
	ref, err := oci.ParseReference(path)
	r.must(err)
	r.must(r.store.SetNames(r.ctx(), content.NameChange{Reference: ref, Target: target, Why: "test"}))
	r.must(r.store.Include(r.ctx(), ref.Name(), content.Mirrored, target))
}

// PutManifest stores v, a manifest or index, as JSON, and tags it unless path
// is "": then every repository has it.
func (r *Registry) PutManifest(path, mediaType string, v any) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	data, err := json.Marshal(v)
	r.must(err)
	if path == "" {
		return r.PutBlob(mediaType, data)
	}
	desc := r.put(mediaType, data)
	r.Tag(path, desc.Digest)
	return desc
}

// PushImage stores an image for linux/amd64 of layers, which are taken for
// uncompressed ones, and tags it unless path is "". The same layers make the
// same image.
func (r *Registry) PushImage(path string, layers ...[]byte) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	return r.pushImage(path, ociImage, oci.Platform{OS: "linux", Architecture: "amd64"}, layers)
}

// PushDockerImage is PushImage for an image as Docker pushes them: a manifest of
// schema 2, whose layers are compressed.
func (r *Registry) PushDockerImage(path string, layers ...[]byte) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	return r.pushImage(path, dockerImage, oci.Platform{OS: "linux", Architecture: "amd64"}, layers)
}

// imageKind says what the parts of an image are like.
type imageKind struct {
	manifest, config, layer string // media types
	compress                bool
}

var (
	ociImage    = imageKind{oci.MediaTypeManifest, oci.MediaTypeImageConfig, oci.MediaTypeLayer, false}
	dockerImage = imageKind{oci.MediaTypeDockerManifest, oci.MediaTypeDockerConfig, oci.MediaTypeDockerLayer, true}
)

func (r *Registry) pushImage(path string, kind imageKind, p oci.Platform, layers [][]byte) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	config := oci.Image{Platform: p, RootFS: oci.RootFS{Type: "layers"}}
	m := oci.Manifest{MediaType: kind.manifest, Layers: []oci.Descriptor{}}
	m.SchemaVersion = 2
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, oci.DigestBytes(l))
		if kind.compress {
			l = gzipped(l)
		}
		m.Layers = append(m.Layers, r.PutBlob(kind.layer, l))
	}
	data, err := json.Marshal(config)
	r.must(err)
	m.Config = r.PutBlob(kind.config, data)
	desc := r.PutManifest(path, kind.manifest, m)
	return desc
}

func gzipped(p []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(p) // to memory
	_ = w.Close()
	return b.Bytes()
}

// PushPlatforms stores an index of one image for each platform, such as
// linux/arm64, and tags it unless path is "". Each image has two layers: one of
// its own, and one that all share.
func (r *Registry) PushPlatforms(path string, platforms ...string) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{}}
	x.SchemaVersion = 2
	for _, s := range platforms {
		p, err := oci.ParsePlatform(s)
		r.must(err)
		desc := r.pushImage("", ociImage, p, [][]byte{
			Bytes(1, 100_000),
			[]byte(strings.Repeat("for "+s+"\n", 5000)),
		})
		desc.Platform = &p
		x.Manifests = append(x.Manifests, desc)
	}
	return r.PutManifest(path, oci.MediaTypeIndex, x)
}

// PushArtifact stores a manifest about subject, of an artifact type and with
// one layer.
func (r *Registry) PushArtifact(subject oci.Descriptor, artifactType string, data []byte) oci.Descriptor {
	if r.t != nil {
		r.t.Helper()
	}
	m := oci.Manifest{
		MediaType:    oci.MediaTypeManifest,
		ArtifactType: artifactType,
		Config:       r.PutBlob(oci.MediaTypeEmpty, []byte("{}")),
		Layers:       []oci.Descriptor{r.PutBlob(artifactType, data)},
		Subject:      &oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	}
	m.SchemaVersion = 2
	return r.PutManifest("", oci.MediaTypeManifest, m)
}
