package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// gathering is a Receiver that keeps everything, as long as that is not much.
type gathering struct {
	blobs map[oci.Digest][]byte
	parts map[string][]byte
	ended int
}

func newGathering() *gathering {
	return &gathering{blobs: map[oci.Digest][]byte{}, parts: map[string][]byte{}}
}

func (m *gathering) Begin(context.Context, Head) error { return nil }

func (m *gathering) Blob(_ context.Context, b Coming) (oci.Digest, error) {
	data, err := io.ReadAll(io.LimitReader(b.Reader, 1<<20))
	if err != nil {
		return "", err
	}
	d := oci.DigestBytes(data)
	if b.Digest != "" && b.Digest != d {
		return "", fmt.Errorf("%s: %w", b.Digest, content.ErrCorrupt)
	}
	m.blobs[d] = data
	return d, nil
}

func (m *gathering) Part(_ context.Context, whole BlobEntry, offset int64, b Coming) (err error) {
	m.parts[PartName(whole.Digest, offset)], err = io.ReadAll(b.Reader)
	return err
}

func (m *gathering) End(context.Context, Head) error { m.ended++; return nil }

func (m *gathering) ReaderAt(_ context.Context, d oci.Descriptor) (content.ReaderAt, error) {
	data, ok := m.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", d.Digest, content.ErrNotFound)
	}
	return sectionOfBytes(data), nil
}

// tarredUp writes documents as a tar.
func tarredUp(t testing.TB, docs ...document) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, d := range docs {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: d.name, Mode: 0o644, Size: int64(len(d.data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(d.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// artifact are the blobs of a small manifest, which comes last.
func artifact(t testing.TB) [][]byte {
	t.Helper()
	config, layer := []byte("{}"), []byte("some content")
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: "application/vnd.example",
		Config: oci.Describe("application/vnd.oci.empty.v1+json", config), Layers: []oci.Descriptor{oci.Describe("text/plain", layer)},
	}
	m.SchemaVersion = 2
	manifest, _, err := oci.Encode(oci.MediaTypeManifest, m)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{config, layer, manifest}
}

// smallest are the documents of a bundle with an artifact, and its blobs.
func smallest(t testing.TB) (docs, blobs []document) {
	t.Helper()
	var c Contents
	all := artifact(t)
	for i, data := range all {
		e := BlobEntry{Digest: oci.DigestBytes(data), Size: int64(len(data))}
		if i == len(all)-1 {
			e.MediaType = oci.MediaTypeManifest
		}
		c.Blobs, c.TotalSize = append(c.Blobs, e), c.TotalSize+e.Size
		blobs = append(blobs, document{blobName(e.Digest), data})
	}
	slices.SortFunc(c.Blobs, func(a, b BlobEntry) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	index, err := addTo(nil, []oci.Descriptor{listed(oci.Describe(oci.MediaTypeManifest, all[2]), mustParse(t, "registry.example/a:v1"), "v1")})
	if err != nil {
		t.Fatal(err)
	}
	c.Documents = map[string]oci.Digest{"index.json": oci.DigestBytes(index)}
	contents, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return []document{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {ContentsFile, contents}, {"index.json", index}}, blobs
}

func mustParse(t testing.TB, s string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// smallestVolume is volume n of two: the second has a part, and the first all else.
func smallestVolume(t testing.TB, n int) []byte {
	t.Helper()
	docs, blobs := smallest(t)
	volume, err := json.Marshal(Volume{Version: 1, Bundle: oci.DigestBytes(docs[1].data), Number: n, Of: 2})
	if err != nil {
		t.Fatal(err)
	}
	docs = append([]document{{VolumeFile, volume}}, docs...)
	cut := blobs[1].data
	d := oci.DigestBytes(cut)
	part, offset := cut[:5], int64(0)
	if n == 2 {
		part, offset = cut[5:], 5
		blobs = nil
	} else {
		blobs = []document{blobs[0], blobs[2]}
	}
	sums, err := json.Marshal(Sums{Parts: []PartSum{{Blob: d, Offset: offset, Size: int64(len(part)), Digest: oci.DigestBytes(part)}}})
	if err != nil {
		t.Fatal(err)
	}
	blobs = append(blobs, document{PartName(d, offset), part}, document{SumsFile, sums})
	return tarredUp(t, append(docs, blobs...)...)
}

func TestAReceptionTellsOfVolumesOneBehindTheOther(t *testing.T) {
	t.Parallel()
	m := newGathering()
	r := NewReception(m)
	if err := r.Receive(t.Context(), "stream", io.MultiReader(bytes.NewReader(smallestVolume(t, 2)), bytes.NewReader(smallestVolume(t, 1)))); err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(); err != nil {
		t.Error(err)
	}
	if m.ended != 2 || len(m.parts) != 2 || len(m.blobs) != 2 || !slices.Equal(r.Volumes(), []int{1, 2}) {
		t.Errorf("%d volumes %v, parts %v", m.ended, r.Volumes(), m.parts)
	}
}

func TestAReceptionListsWhatCame(t *testing.T) {
	t.Parallel()
	docs, blobs := smallest(t)
	for name, members := range map[string][]document{
		"a bundle":                      append(slices.Clone(docs), blobs...),
		"an archive of somebody else's": append(slices.Clone(blobs), docs[0], docs[2]),
	} {
		m := newGathering()
		r := NewReception(m)
		if err := r.Receive(t.Context(), "stream", bytes.NewReader(tarredUp(t, members...))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in, err := r.Incoming(t.Context(), m)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		images, err := in.Images(t.Context())
		if err != nil || len(images) != 1 || images[0].Name.String() != "registry.example/a:v1" || !in.Has(images[0].Target.Digest) {
			t.Errorf("%s: %+v", name, images)
		}
	}
}

func TestSumsAreHeldAgainstTheParts(t *testing.T) {
	t.Parallel()
	data := smallestVolume(t, 2)
	bad := bytes.Replace(data, []byte("content"), []byte("CONTENT"), 1)
	if bytes.Equal(bad, data) {
		t.Fatal("there is nothing to change")
	}
	m := newGathering()
	err := NewReception(m).Receive(t.Context(), "stream", bytes.NewReader(bad))
	if !errors.Is(err, content.ErrCorrupt) || m.ended != 0 {
		t.Errorf("%v, ended %d", err, m.ended)
	}
}

// FuzzReception reads anything: it may only fail in the ways that it says, a file takes
// what a stream takes, and of what is complete all came that the contents list.
func FuzzReception(f *testing.F) {
	docs, blobs := smallest(f)
	f.Add(tarredUp(f, append(slices.Clone(docs), blobs...)...))
	f.Add(tarredUp(f, append(slices.Clone(blobs), docs[2])...))
	f.Add(append(smallestVolume(f, 1), smallestVolume(f, 2)...))
	f.Add(tarredUp(f, document{"config.json", []byte(`{"rootfs":{"type":"layers","diff_ids":[]}}`)}, document{"manifest.json", []byte(`[{"Config":"config.json","RepoTags":null,"Layers":[]}]`)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newGathering()
		r := NewReception(m)
		err := r.Receive(t.Context(), "stream", bytes.NewReader(data))
		scan := NewReception(scanner{}).ReceiveFile(t.Context(), "file", bytes.NewReader(data), int64(len(data)))
		if scan != nil && !isAny(scan, content.ErrCorrupt, content.ErrUnsupported, content.ErrInvalid) {
			t.Fatal(scan)
		}
		if _, packed := wrapped(data[:min(len(data), len(xzMagic))]); err == nil && scan != nil && !packed {
			t.Fatalf("a stream is taken, and in a file it is %v", scan)
		}
		if err == nil {
			if c := r.Head().Contents; c != nil && r.Complete() == nil {
				for _, b := range c.Blobs {
					if size, came := r.blobs[b.Digest]; r.parts[b.Digest] != b.Size && (!came || size != b.Size) {
						t.Fatalf("%s did not come, and nobody misses it", b.Digest)
					}
				}
			}
			if r.Complete() == nil && r.Head().Volume == nil {
				if in, ierr := r.Incoming(t.Context(), m); ierr == nil {
					_, _ = in.Images(t.Context())
					in.Unlisted()
				}
			}
			return
		}
		if !isAny(err, content.ErrCorrupt, content.ErrUnsupported, content.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
