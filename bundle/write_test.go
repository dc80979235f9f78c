package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// heapOfParts gives blobs out of memory.
type heapOfParts map[oci.Digest][]byte

func (h heapOfParts) ReaderAt(_ context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	data, ok := h[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: %w", desc.Digest, content.ErrNotFound)
	}
	return inMemory{bytes.NewReader(data)}, nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// random are n bytes that are always the same for a seed.
func random(seed byte, n int) []byte {
	data := make([]byte, n)
	x := uint64(seed)*0x9e3779b97f4a7c15 + 1
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	return data
}

// cargo is an image with layers of some sizes, and a signature about it in both forms.
func cargo(t *testing.T, sizes ...int) (bundle.Cargo, heapOfParts) {
	t.Helper()
	var layers []oci.Descriptor
	img := image{newPart(oci.MediaTypeImageConfig, `{"os":"linux","architecture":"amd64"}`)}
	for i, n := range sizes {
		img = append(img, newPart(oci.MediaTypeLayer, string(random(byte(i), n))))
		layers = append(layers, img[i+1].Descriptor)
	}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: img[0].Descriptor, Layers: layers}
	m.SchemaVersion = 2
	img = append(img, newPart(oci.MediaTypeManifest, asJSON(t, m)))
	root := img.root()
	note := img.about(t, "signed")
	attached := newImage(t, "attached")
	c := bundle.Cargo{Images: []bundle.NamedImage{{Name: ref(t, "registry.example/team/app:v1"), Target: root}}}
	c.Referrers = []bundle.ReferrerEntry{
		{Digest: note.root().Digest, Subject: root.Digest, ArtifactType: "application/vnd.example.note"},
		{Digest: attached.root().Digest, Subject: root.Digest, Tag: oci.AttachmentTag(root.Digest, oci.SuffixSignature)},
	}
	h := heapOfParts{}
	for _, p := range slices.Concat(img, note, attached) {
		if _, twice := h[p.Digest]; !twice {
			c.Blobs = append(c.Blobs, bundle.BlobEntry{Digest: p.Digest, Size: p.Size, MediaType: p.MediaType})
			h[p.Digest] = p.data
		}
	}
	c.From = h
	return c, h
}

// outgoing lays a bundle out.
func outgoing(t *testing.T, c bundle.Cargo, o bundle.WriteOptions) *bundle.Outgoing {
	t.Helper()
	w, err := bundle.NewOutgoing(t.Context(), c, o)
	must(t, err)
	return w
}

// memberOf is one of a tar, and where its bytes stand.
type memberOf struct {
	name string
	off  int64
	data []byte
}

// walk reads a tar, in which all members look alike.
func walk(t *testing.T, data []byte, mtime time.Time) (all []memberOf) {
	t.Helper()
	r := bytes.NewReader(data)
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		if h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Typeflag != tar.TypeReg || !h.ModTime.Equal(mtime) {
			t.Errorf("%s has %+v", h.Name, h)
		}
		m := memberOf{name: h.Name, off: int64(len(data) - r.Len())}
		m.data, err = io.ReadAll(tr)
		must(t, err)
		if h.Format == tar.FormatPAX && len(m.data) < 1<<20 {
			t.Errorf("%s, which is small, has a PAX header", h.Name)
		}
		all = append(all, m)
	}
}

func TestABundleIsLaidOutBeforeItsFirstByte(t *testing.T) {
	c, h := cargo(t, 3<<20, 100, 1<<20, 2<<20+1, 0)
	w := outgoing(t, c, bundle.WriteOptions{})
	var b bytes.Buffer
	must(t, w.WriteTo(t.Context(), &b))
	if sizes := w.Volumes(); len(sizes) != 1 || sizes[0] != int64(b.Len()) {
		t.Errorf("it has %d bytes, and was to have %v", b.Len(), sizes)
	}
	if !bytes.HasSuffix(b.Bytes(), make([]byte, 1024)) {
		t.Error("the mark of the end is missing")
	}
	all := walk(t, b.Bytes(), time.Unix(0, 0))
	var names []string
	for _, m := range all {
		names = append(names, m.name)
		if len(m.data) >= 1<<20 && m.off%4096 != 0 {
			t.Errorf("%s begins at %d", m.name, m.off)
		}
	}
	if want := []string{"oci-layout", "dist-bundle.json", "index.json", "manifest.json"}; !slices.Equal(names[:4], want) {
		t.Errorf("it begins with %q", names[:4])
	}
	contents, index := w.Contents()
	const manifests = 4 + 4 // the image's, those about it, and the index of attachments
	for _, m := range all[4:manifests] {
		if oci.DetectManifest(m.data) == "" {
			t.Errorf("%s stands among the manifests", m.name)
		}
	}
	if !slices.IsSorted(names[4:manifests]) || !slices.IsSorted(names[manifests:]) {
		t.Errorf("manifests and blobs are not in order: %q", names[4:])
	}
	read, err := bundle.ParseContents(all[1].data)
	must(t, err)
	if len(read.Blobs) != len(all)-4 || read.TotalSize != contents.TotalSize || oci.DigestBytes(all[2].data) != index || read.Documents["index.json"] != index ||
		read.Documents["manifest.json"] != oci.DigestBytes(all[3].data) {
		t.Errorf("it says that it holds %+v", read)
	}
	for _, m := range all[4:] {
		d := oci.Digest(strings.Replace(strings.TrimPrefix(m.name, "blobs/"), "/", ":", 1))
		if blob, ok := read.Blob(d); !ok || blob.Size != int64(len(m.data)) || oci.DigestBytes(m.data) != d || h[d] != nil && !bytes.Equal(h[d], m.data) {
			t.Errorf("%s is not what it is called", m.name)
		}
	}
}

func TestTheSameCargoMakesTheSameBytes(t *testing.T) {
	epoch := time.Unix(1_700_000_000, 0)
	for _, o := range []bundle.WriteOptions{{}, {Epoch: epoch}, {ListReferrers: true}, {Form: bundle.FormOCI}, {Compression: layer.Zstd}, {Compression: layer.Gzip}} {
		c, _ := cargo(t, 2<<20, 300, 1<<20)
		var first, again bytes.Buffer
		must(t, outgoing(t, c, o).WriteTo(t.Context(), &first))
		slices.Reverse(c.Blobs)
		slices.Reverse(c.Referrers)
		must(t, outgoing(t, c, o).WriteTo(t.Context(), &again))
		if !bytes.Equal(first.Bytes(), again.Bytes()) {
			t.Errorf("%+v: the order in which blobs are given makes a difference", o)
		}
		if o.Compression != layer.None {
			r, err := layer.Decompress(&again, o.Compression)
			must(t, err)
			first.Reset()
			_, err = io.Copy(&first, r)
			must(t, err)
		}
		mtime := time.Unix(0, 0)
		if !o.Epoch.IsZero() {
			mtime = epoch
		}
		walk(t, first.Bytes(), mtime)
	}
}

func TestWhatIsAboutImagesIsFoundInABundle(t *testing.T) {
	for _, list := range []bool{false, true} {
		for _, form := range []bundle.Form{bundle.FormMixed, bundle.FormDocker, bundle.FormOCI, bundle.FormFolder} {
			t.Run(fmt.Sprint(form, list), func(t *testing.T) {
				c, _ := cargo(t, 5000)
				w := outgoing(t, c, bundle.WriteOptions{Form: form, ListReferrers: list})
				name := filepath.Join(t.TempDir(), "out")
				var tr content.Transport = bundle.OCIArchive{}
				if form == bundle.FormFolder {
					tr = bundle.Layout{}
					alone, err := w.WriteFolder(t.Context(), name)
					must(t, err)
					if !alone {
						t.Error("a new folder has something else")
					}
				} else {
					must(t, w.WriteFile(t.Context(), name))
				}
				got, root, err := find(t, tr, name)
				must(t, err)
				if got != "registry.example/team/app:v1" || root != c.Images[0].Target.Digest {
					t.Errorf("found %s %s", got, root)
				}
				if _, err := readAll(t, tr, name, nil); err != nil {
					t.Error(err)
				}
				var about []oci.Digest
				for d, err := range referrersOf(t, tr, name, root) {
					must(t, err)
					about = append(about, d.Digest)
				}
				if !slices.Equal(about, []oci.Digest{c.Referrers[0].Digest}) {
					t.Errorf("referrers: %v", about)
				}
				src, err := tr.Source(t.Context(), name)
				must(t, err)
				defer src.Close()
				n := 0
				for a, err := range src.(content.AttachmentLister).Attachments(t.Context(), root) {
					must(t, err)
					if n++; a.Digest != c.Referrers[1].Digest || a.Suffix != oci.SuffixSignature {
						t.Errorf("attachment %+v", a)
					}
				}
				if n != 1 {
					t.Errorf("%d attachments", n)
				}
			})
		}
	}
}

func TestAnArchiveOfDockersRefusesWhatDockerDoesNotLoad(t *testing.T) {
	c, h := cargo(t, 100)
	zstd := newPart(oci.MediaTypeLayerZstd, "zstd")
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: c.Images[0].Target, Layers: []oci.Descriptor{zstd.Descriptor}}
	m.Config.MediaType = oci.MediaTypeImageConfig
	m.SchemaVersion = 2
	odd := newPart(oci.MediaTypeManifest, asJSON(t, m))
	note := c.Referrers[0].Digest
	for _, p := range []part{zstd, odd} {
		c.Blobs, h[p.Digest] = append(c.Blobs, bundle.BlobEntry{Digest: p.Digest, Size: p.Size, MediaType: p.MediaType}), p.data
	}
	c.Images = append(c.Images, bundle.NamedImage{Name: ref(t, "registry.example/team/odd:v1"), Target: odd.Descriptor},
		bundle.NamedImage{Name: ref(t, "registry.example/team/odd:v2"), Target: odd.Descriptor},
		bundle.NamedImage{Name: ref(t, "registry.example/team/note:v1"), Target: oci.Describe(oci.MediaTypeManifest, h[note])})
	if _, err := bundle.NewOutgoing(t.Context(), c, bundle.WriteOptions{Form: bundle.FormDocker}); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("a layer of zstd: %v", err)
	}
	// What everybody loads lists it, once with both of its names, but no artifact.
	var b bytes.Buffer
	must(t, outgoing(t, c, bundle.WriteOptions{}).WriteTo(t.Context(), &b))
	all := walk(t, b.Bytes(), time.Unix(0, 0))
	var images []struct{ RepoTags []string }
	must(t, json.Unmarshal(all[3].data, &images))
	if len(images) != 2 || images[0].RepoTags[0] != "registry.example/team/app:v1" || len(images[1].RepoTags) != 2 {
		t.Errorf("manifest.json has %+v", images)
	}
	c.Base = &bundle.Base{Site: "north"}
	if _, err := bundle.NewOutgoing(t.Context(), c, bundle.WriteOptions{Form: bundle.FormDocker}); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("a delta: %v", err)
	}
}

func TestASealStandsBeforeAllThatItSpeaksOf(t *testing.T) {
	c, _ := cargo(t, 100)
	c.Name = "site/north"
	var sealed bundle.Contents
	w := outgoing(t, c, bundle.WriteOptions{Seal: func(_ context.Context, contents bundle.Contents, index oci.Digest) ([]byte, error) {
		if contents.Documents["index.json"] != index {
			t.Error("two digests of index.json")
		}
		sealed = contents
		return []byte(`{"signed":true}`), nil
	}})
	var b bytes.Buffer
	must(t, w.WriteTo(t.Context(), &b))
	all := walk(t, b.Bytes(), time.Unix(0, 0))
	if all[1].name != "dist-bundle.sigstore.json" || string(all[1].data) != `{"signed":true}` || all[2].name != "index.json" {
		t.Errorf("the second member is %s", all[1].name)
	}
	if sealed.Name != "site/north" || len(sealed.Blobs) != len(all)-4 {
		t.Errorf("what was signed is %+v", sealed)
	}
	denied := errors.New("denied")
	if _, err := bundle.NewOutgoing(t.Context(), c, bundle.WriteOptions{Seal: func(context.Context, bundle.Contents, oci.Digest) ([]byte, error) { return nil, denied }}); !errors.Is(err, denied) {
		t.Errorf("a key that does not sign: %v", err)
	}
}
