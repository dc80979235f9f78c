package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
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

// entriesOf are the names in a folder.
func entriesOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestABundleThatFailsLeavesNothing(t *testing.T) {
	c, h := cargo(t, 3<<20, 2<<20)
	size := outgoing(t, c, bundle.WriteOptions{}).Volumes()[0]
	large := c.Blobs[1].Digest
	broken := errors.New("broken")
	for name, fail := range map[string]func(*fsystest.FS){
		"full at once":   func(f *fsystest.FS) { f.LimitWrites(0) },
		"full amid":      func(f *fsystest.FS) { f.LimitWrites(size / 2) },
		"full at last":   func(f *fsystest.FS) { f.LimitWrites(size - 1) },
		"no sync":        func(f *fsystest.FS) { f.FailNth(fsystest.OpSync, 1, broken) },
		"no hint":        func(f *fsystest.FS) { f.FailNth(fsystest.OpWriteBack, 1, broken) },
		"no name":        func(f *fsystest.FS) { f.FailNth(fsystest.OpRename, 1, broken) },
		"no second name": func(f *fsystest.FS) { f.FailNth(fsystest.OpRename, 2, broken) },
		"damage":         func(*fsystest.FS) { h[large] = random(9, len(h[large])) },
		"short":          func(*fsystest.FS) { h[large] = h[large][:100] },
	} {
		for _, split := range []int64{0, 2 << 20} {
			if split == 0 && name == "no second name" || split > 0 && name == "no hint" {
				continue // there is none
			}
			dir, sound := t.TempDir(), h[large]
			must(t, os.WriteFile(filepath.Join(dir, "out.tar"), []byte("old"), 0o644))
			f, err := fsystest.New(fsys.OS(), dir)
			must(t, err)
			w := outgoing(t, c, bundle.WriteOptions{FS: f, Split: split})
			fail(f)
			if err = w.WriteFile(t.Context(), filepath.Join(dir, "out.tar")); err == nil {
				t.Errorf("%s, %d: no error", name, split)
			}
			h[large] = sound
			var damaged *bundle.DamagedBlob
			if damage := name == "damage" || name == "short"; damage != errors.As(err, &damaged) || damage && damaged.Digest != large {
				t.Errorf("%s: %v", name, err)
			}
			left := slices.DeleteFunc(entriesOf(t, dir), func(s string) bool { return split > 0 && s != "out.tar.001" && cutTemp(s) })
			if old, _ := os.ReadFile(filepath.Join(dir, "out.tar")); string(old) != "old" || !slices.Equal(left, []string{"out.tar"}) {
				t.Errorf("%s, %d: it leaves %q", name, split, left)
			}
		}
	}
}

// cutTemp says whether s is a volume's name, which has no temporary ending.
func cutTemp(s string) bool { return len(s) == len("out.tar.001") }

func TestWhatWasLeftBehindIsSweptOnceItIsOld(t *testing.T) {
	c, _ := cargo(t, 100)
	dir := t.TempDir()
	old := time.Now().Add(-25 * time.Hour)
	for name, at := range map[string]time.Time{
		"out.tar.dist-0123456789abcdef": old, "out.tar.002.dist-0123456789abcdef": old,
		"out.tar.dist-fedcba9876543210": time.Now(), "out.tar.dist-notes": old, "other.tar.dist-0123456789abcdef": old,
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		must(t, os.Chtimes(filepath.Join(dir, name), at, at))
	}
	must(t, outgoing(t, c, bundle.WriteOptions{}).WriteFile(t.Context(), filepath.Join(dir, "out.tar")))
	want := []string{"other.tar.dist-0123456789abcdef", "out.tar", "out.tar.dist-fedcba9876543210", "out.tar.dist-notes"}
	if got := entriesOf(t, dir); !slices.Equal(got, want) {
		t.Errorf("there are %q", got)
	}
}

func TestABundleOutlivesAPowerCut(t *testing.T) {
	c, _ := cargo(t, 3<<20, 100)
	for _, loss := range []fsystest.Loss{fsystest.Truncated, fsystest.Zeroed} {
		dir, after := t.TempDir(), t.TempDir()
		f, err := fsystest.New(fsys.OS(), dir)
		must(t, err)
		must(t, outgoing(t, c, bundle.WriteOptions{FS: f}).WriteFile(t.Context(), filepath.Join(dir, "out.tar")))
		must(t, f.Crash(after, loss))
		if _, err := readAll(t, bundle.OCIArchive{}, filepath.Join(after, "out.tar"), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestVolumesAreSoundEachByItself(t *testing.T) {
	c, h := cargo(t, 3<<20, 100, 700<<10, 2<<20)
	whole := outgoing(t, c, bundle.WriteOptions{})
	contents, _ := whole.Contents()
	for _, split := range []int64{200 << 10, 1 << 20, 1<<20 + 4096, 2<<20 + 513, 5 << 20, 1 << 30} {
		w := outgoing(t, c, bundle.WriteOptions{Split: split})
		path := filepath.Join(t.TempDir(), "out.tar")
		must(t, w.WriteFile(t.Context(), path))
		got := map[oci.Digest][]byte{}
		for i, size := range w.Volumes() {
			data, err := os.ReadFile(bundle.VolumeName(path, i+1))
			must(t, err)
			if int64(len(data)) != size || size >= split {
				t.Errorf("%d: volume %d has %d bytes, planned were %d", split, i+1, len(data), size)
			}
			all := walk(t, data, time.Unix(0, 0))
			if all[1].name != bundle.VolumeFile || all[2].name != bundle.ContentsFile || all[len(all)-1].name != bundle.SumsFile {
				t.Errorf("%d: volume %d has %v", split, i+1, all)
			}
			var v bundle.Volume
			must(t, json.Unmarshal(all[1].data, &v))
			if v.Number != i+1 || v.Of != len(w.Volumes()) || v.Bundle != oci.DigestBytes(all[2].data) {
				t.Errorf("%d: volume %d says that it is %+v", split, i+1, v)
			}
			takeVolume(t, all, got)
		}
		if len(got) != len(contents.Blobs) {
			t.Errorf("%d: the volumes have %d blobs of %d", split, len(got), len(contents.Blobs))
		}
		for d, data := range got {
			if oci.DigestBytes(data) != d || h[d] != nil && !bytes.Equal(data, h[d]) {
				t.Errorf("%d: %s does not come back", split, d)
			}
		}
		if _, err := readAll(t, bundle.InPlace{}, bundle.VolumeName(path, 1), nil); err != nil {
			t.Errorf("%d: %v", split, err)
		}
	}
}

// takeVolume takes blobs and parts out of a volume, whose sums have to be right.
func takeVolume(t *testing.T, all []memberOf, into map[oci.Digest][]byte) {
	t.Helper()
	var sums bundle.Sums
	must(t, json.Unmarshal(all[len(all)-1].data, &sums))
	for _, m := range all {
		if rest, ok := strings.CutPrefix(m.name, "blobs/"); ok {
			into[oci.Digest(strings.Replace(rest, "/", ":", 1))] = m.data
			continue
		}
		d, off, ok := bundle.ParsePartName(m.name)
		if !ok {
			continue
		}
		if want := (bundle.PartSum{Blob: d, Offset: off, Size: int64(len(m.data)), Digest: oci.DigestBytes(m.data)}); len(sums.Parts) == 0 || sums.Parts[0] != want {
			t.Errorf("%s: the sums are %+v", m.name, sums.Parts)
		} else {
			sums.Parts = sums.Parts[1:]
		}
		if int64(len(into[d])) != off {
			t.Errorf("%s comes behind %d bytes", m.name, len(into[d]))
		}
		into[d] = append(into[d], m.data...)
	}
	if len(sums.Parts) > 0 {
		t.Errorf("sums of parts that are not there: %+v", sums.Parts)
	}
}

func TestAFolderKeepsWhatItLists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	other := newImage(t, "other")
	must(t, write(t, bundle.Layout{}, dir+":v9", "registry.example/other:v9", other...))
	c, _ := cargo(t, 100)
	alone, err := outgoing(t, c, bundle.WriteOptions{Form: bundle.FormFolder}).WriteFolder(t.Context(), dir)
	must(t, err)
	if _, err := os.Stat(filepath.Join(dir, bundle.ContentsFile)); alone || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("beside another image: alone %v, %v", alone, err)
	}
	for _, place := range []string{":v9", ":v1"} {
		if _, err := readAll(t, bundle.Layout{}, dir+place, nil); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	c.Name = "site/north"
	if _, err := outgoing(t, c, bundle.WriteOptions{Form: bundle.FormFolder}).WriteFolder(t.Context(), dir); !errors.Is(err, content.ErrConflict) {
		t.Errorf("a bundle with a name: %v", err)
	}
}

func TestAFolderIsWrittenAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	c, h := cargo(t, 100, 2<<20)
	w := outgoing(t, c, bundle.WriteOptions{Form: bundle.FormFolder})
	broken := h[c.Blobs[2].Digest]
	h[c.Blobs[2].Digest] = random(7, len(broken))
	var damaged *bundle.DamagedBlob
	if _, err := w.WriteFolder(t.Context(), dir); !errors.As(err, &damaged) || damaged.Digest != c.Blobs[2].Digest {
		t.Errorf("damage: %v", err)
	}
	for _, name := range []string{"index.json", bundle.ContentsFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after damage: %s, %v", name, err)
		}
	}
	h[c.Blobs[2].Digest] = broken
	var before []byte
	for range 2 {
		alone, err := w.WriteFolder(t.Context(), dir)
		must(t, err)
		data, err := os.ReadFile(filepath.Join(dir, bundle.ContentsFile))
		must(t, err)
		if !alone || before != nil && !bytes.Equal(data, before) {
			t.Errorf("alone %v, %d bytes", alone, len(data))
		}
		before = data
	}
}

func TestDamageEndsAStream(t *testing.T) {
	c, h := cargo(t, 3<<20, 100)
	h[c.Blobs[1].Digest] = random(9, 3<<20)
	var b bytes.Buffer
	if err := outgoing(t, c, bundle.WriteOptions{}).WriteTo(t.Context(), &b); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("damage in a stream: %v", err)
	}
}

// stuck is a writer that takes nothing.
type stuck struct{ let chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.let; return 0, io.ErrClosedPipe }

func TestAReaderThatDoesNotReadIsLeftBehind(t *testing.T) {
	c, _ := cargo(t, 20<<20)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	s := stuck{make(chan struct{})}
	defer close(s.let)
	time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
	if err := outgoing(t, c, bundle.WriteOptions{}).WriteTo(ctx, s); !errors.Is(err, gone) {
		t.Errorf("a stuck reader: %v", err)
	}
}

func TestEventsTellOfEveryBlob(t *testing.T) {
	c, _ := cargo(t, 3<<20, 100)
	seen := make(chan content.Event, 1000)
	w := outgoing(t, c, bundle.WriteOptions{Observe: func(e content.Event) { seen <- e }})
	must(t, w.WriteTo(t.Context(), io.Discard))
	close(seen)
	ends := map[oci.Digest][3]int{}
	for e := range seen {
		n := ends[e.Descriptor.Digest]
		switch e.Kind {
		case content.EventPlanned:
			n[0]++
		case content.EventStarted:
			n[1]++
		case content.EventFinished:
			n[2]++
		}
		ends[e.Descriptor.Digest] = n
	}
	contents, _ := w.Contents()
	for _, b := range contents.Blobs {
		if ends[b.Digest] != [3]int{1, 1, 1} {
			t.Errorf("%s is planned, started and finished %v times", b.Digest, ends[b.Digest])
		}
	}
}
