package client_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/bundle"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// madeBundle is a bundle that a test writes by hand, so that it can write a wrong one.
type madeBundle struct {
	t        *testing.T
	contents bundle.Contents
	index    oci.Index
	blobs    map[oci.Digest][]byte
	without  map[oci.Digest]bool // not to be carried: the receiver has them
}

// makeBundle is one without anything in it.
func makeBundle(t *testing.T) *madeBundle {
	b := &madeBundle{t: t, blobs: map[oci.Digest][]byte{}, without: map[oci.Digest]bool{}}
	b.index.SchemaVersion, b.index.MediaType = 2, oci.MediaTypeIndex
	return b
}

// blob adds a blob.
func (b *madeBundle) blob(mediaType string, data []byte) oci.Descriptor {
	d := oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(data), Size: int64(len(data))}
	if b.blobs[d.Digest] == nil {
		b.blobs[d.Digest] = data
		b.contents.Blobs = append(b.contents.Blobs, bundle.BlobEntry{Digest: d.Digest, Size: d.Size, MediaType: mediaType})
	}
	return d
}

// manifest adds a manifest or an index.
func (b *madeBundle) manifest(mediaType string, v any) oci.Descriptor {
	data, _, err := oci.Encode(mediaType, v)
	must(b.t, err)
	return b.blob(mediaType, data)
}

// image adds an image of these layers, without a name.
func (b *madeBundle) image(layers ...[]byte) oci.Descriptor {
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: b.blob(oci.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux"}`))}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, b.blob(oci.MediaTypeLayer, l))
	}
	return b.manifest(oci.MediaTypeManifest, m)
}

// name lists a manifest.
func (b *madeBundle) name(d oci.Descriptor, name string) {
	ref, err := oci.ParseReference(name)
	must(b.t, err)
	d.Annotations = map[string]string{"io.containerd.image.name": ref.String(), oci.AnnotationRefName: ref.Tag}
	b.index.Manifests = append(b.index.Manifests, d)
}

// referrer adds an artifact that is about subject.
func (b *madeBundle) referrer(subject oci.Descriptor, data string) oci.Descriptor {
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: "application/vnd.example.sbom", Subject: &subject,
		Config: b.blob("application/vnd.oci.empty.v1+json", []byte("{}")), Layers: []oci.Descriptor{b.blob("text/plain", []byte(data))},
	}
	m.SchemaVersion = 2
	d := b.manifest(oci.MediaTypeManifest, m)
	b.contents.Referrers = append(b.contents.Referrers, bundle.ReferrerEntry{Digest: d.Digest, Subject: subject.Digest})
	return d
}

// madeMember is a member of a tar.
type madeMember struct {
	tar.Header
	data []byte
}

func memberOf(name string, data []byte) madeMember {
	return madeMember{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data))}, data}
}

// documents are the members before the blobs. Contents are settled with them.
func (b *madeBundle) documents() []madeMember {
	index, err := json.Marshal(b.index)
	must(b.t, err)
	b.contents.Blobs = slices.DeleteFunc(b.contents.Blobs, func(e bundle.BlobEntry) bool { return b.without[e.Digest] })
	slices.SortFunc(b.contents.Blobs, func(x, y bundle.BlobEntry) int { return strings.Compare(string(x.Digest), string(y.Digest)) })
	b.contents.TotalSize = 0
	for _, e := range b.contents.Blobs {
		b.contents.TotalSize += e.Size
	}
	b.contents.Documents = map[string]oci.Digest{"index.json": oci.DigestBytes(index)}
	contents, err := b.contents.Encode()
	must(b.t, err)
	return []madeMember{memberOf("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), memberOf(bundle.ContentsFile, contents), memberOf("index.json", index)}
}

func blobMember(d oci.Digest, data []byte) madeMember {
	return memberOf("blobs/"+d.Algorithm().String()+"/"+d.Encoded(), data)
}

// members are those of the bundle in one piece: manifests first.
func (b *madeBundle) members() []madeMember {
	members := b.documents()
	for _, manifests := range []bool{true, false} {
		for _, e := range b.contents.Blobs {
			if oci.HasSuccessors(e.MediaType) == manifests {
				members = append(members, blobMember(e.Digest, b.blobs[e.Digest]))
			}
		}
	}
	return members
}

// volumes are the members of n volumes, each with as many bytes of blobs.
func (b *madeBundle) volumes(n int) [][]madeMember {
	docs := b.documents()
	share := (b.contents.TotalSize + int64(n) - 1) / int64(n)
	volumes := make([][]madeMember, n)
	sums := make([]bundle.Sums, n)
	at, left := 0, share
	for _, e := range b.contents.Blobs {
		data := b.blobs[e.Digest]
		for offset := int64(0); offset < e.Size; {
			size := min(e.Size-offset, left)
			part := data[offset : offset+size]
			if size == e.Size {
				volumes[at] = append(volumes[at], blobMember(e.Digest, part))
			} else {
				volumes[at] = append(volumes[at], memberOf(bundle.PartName(e.Digest, offset), part))
				sums[at].Parts = append(sums[at].Parts, bundle.PartSum{Blob: e.Digest, Offset: offset, Size: size, Digest: oci.DigestBytes(part)})
			}
			if offset, left = offset+size, left-size; left == 0 && at < n-1 {
				at, left = at+1, share
			}
		}
	}
	for i := range volumes {
		volume, err := json.Marshal(bundle.Volume{Version: 1, Bundle: oci.DigestBytes(docs[1].data), Number: i + 1, Of: n})
		must(b.t, err)
		sum, err := json.Marshal(sums[i])
		must(b.t, err)
		all := append([]madeMember{memberOf(bundle.VolumeFile, volume)}, docs...)
		volumes[i] = append(append(all, volumes[i]...), memberOf(bundle.SumsFile, sum))
	}
	return volumes
}

// tarOf writes members.
func tarOf(t *testing.T, members []madeMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		must(t, w.WriteHeader(&m.Header))
		_, err := w.Write(m.data)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// written is a file with these bytes.
func fileOf(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bundle.tar")
	must(t, os.WriteFile(name, data, 0o644))
	return name
}

// smallBundle has two images, one of them in an index, and something about the other.
func smallBundle(t *testing.T) *madeBundle {
	b := makeBundle(t)
	app := b.image([]byte("layer one"), registrytest.Bytes(7, 3000))
	b.name(app, "registry.example/app:v1")
	b.referrer(app, "what it is made of")
	child := b.image([]byte("layer two"))
	child.Platform = &oci.Platform{OS: "linux", Architecture: "amd64"}
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{child}}
	x.SchemaVersion = 2
	b.name(b.manifest(oci.MediaTypeIndex, x), "registry.example/multi:v1")
	return b
}

// largeBundle has an image with a layer that is cut when it is split.
func largeBundle(t *testing.T, seed uint64) *madeBundle {
	b := makeBundle(t)
	b.name(b.image(registrytest.Bytes(seed, 5<<20), []byte("small")), "registry.example/large:v1")
	return b
}

// folderOf writes members as a layout in a folder.
func folderOf(t *testing.T, members []madeMember) string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range members {
		name := filepath.Join(dir, filepath.FromSlash(m.Name))
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, m.data, 0o644))
	}
	return dir
}
