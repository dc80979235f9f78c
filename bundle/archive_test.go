package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

func isOf(err, class error) bool { return class == nil || errors.Is(err, class) }

// readAll reads the image that place names, which has to be img where img is not nil,
// blob by blob.
func readAll(t *testing.T, tr content.Transport, place string, img image) (map[oci.Digest]string, error) {
	t.Helper()
	src, err := tr.Source(t.Context(), place)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	_, root, err := src.Image(t.Context())
	if err != nil {
		return nil, err
	}
	if img != nil && root.Digest != img.root().Digest {
		t.Errorf("%s names %s, want %s", place, root.Digest, img.root().Digest)
	}
	got := map[oci.Digest]string{}
	return got, gather(t.Context(), src, root, got)
}

func gather(ctx context.Context, src content.ImageSource, d oci.Descriptor, into map[oci.Digest]string) error {
	data, err := content.ReadAll(ctx, src, d, 64<<20)
	if err != nil {
		return err
	}
	into[d.Digest] = string(data)
	edges, err := oci.Successors(d.MediaType, data)
	for _, e := range edges {
		if err == nil {
			err = gather(ctx, src, e.Descriptor, into)
		}
	}
	return err
}

func referrersOf(t *testing.T, tr content.Transport, place string, subject oci.Digest) iter.Seq2[oci.Descriptor, error] {
	t.Helper()
	src, err := tr.Source(t.Context(), place)
	must(t, err)
	t.Cleanup(func() { _ = src.Close() })
	lister, ok := src.(content.ReferrerLister)
	if !ok {
		t.Fatal("no lister of referrers")
	}
	return lister.Referrers(t.Context(), subject, "")
}

// tarOf writes an archive by hand. A header without a size gets that of its data.
type file struct {
	tar.Header
	data string
}

func plain(name, data string) file { return file{tar.Header{Name: name}, data} }

func link(name, to string) file {
	return file{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}, ""}
}

func tarOf(t *testing.T, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		f.Size = int64(len(f.data))
		f.Mode = 0o644
		must(t, w.WriteHeader(&f.Header))
		_, err := io.WriteString(w, f.data)
		must(t, err)
	}
	must(t, w.Close())
	name := filepath.Join(t.TempDir(), "a.tar")
	must(t, os.WriteFile(name, b.Bytes(), 0o600))
	return name
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, s)
	must(t, err)
	must(t, w.Close())
	return b.String()
}

// saved is what docker save wrote before it wrote layouts: two images that share a
// layer by a link, one of them without a name.
func saved(t *testing.T) (name string, layers [3]string) {
	t.Helper()
	layers = [3]string{"layer one", "layer two", gzipped(t, "layer three")}
	config := func(n ...string) string {
		var ids []oci.Digest
		for _, l := range n {
			ids = append(ids, oci.DigestBytes([]byte(l)))
		}
		return asJSON(t, map[string]any{"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	}
	return tarOf(t,
		plain("aaa/layer.tar", layers[0]), plain("bbb/layer.tar", layers[1]), link("ccc/layer.tar", "../aaa/layer.tar"),
		plain("./ddd.tar.gz", layers[2]),
		plain("one.json", config(layers[0], layers[1])), plain("two.json", config(layers[0], "layer three")),
		plain("manifest.json", `[
			{"Config":"one.json","RepoTags":["demo:v1","quay.io/x/demo:v1"],"Layers":["aaa/layer.tar","bbb/layer.tar"]},
			{"Config":"two.json","RepoTags":null,"Layers":["ccc/layer.tar","ddd.tar.gz"]}]`),
		plain("repositories", "{}"),
	), layers
}

func TestTheOldFormOfDockersArchivesIsRead(t *testing.T) {
	name, layers := saved(t)
	for _, place := range []string{name + ":demo:v1", name + ":docker.io/library/demo:v1", name + ":quay.io/x/demo:v1", name + ":v1"} {
		got, err := readAll(t, bundle.DockerArchive{}, place, nil)
		must(t, err)
		for _, l := range layers[:2] {
			if got[oci.DigestBytes([]byte(l))] != l {
				t.Errorf("%s has no layer %q", place, l)
			}
		}
		if len(got) != 4 {
			t.Errorf("%s has %d parts", place, len(got))
		}
	}
	_, _, err := find(t, bundle.DockerArchive{}, name)
	if got, root, err := find(t, bundle.DockerArchive{}, name); err != nil || got != "docker.io/library/demo:v1" {
		t.Errorf("of the image with a name and the one without comes %s %s, %v", got, root, err)
	}
	must(t, err)
	_, _, err = find(t, bundle.OCIArchive{}, name)
	if !errors.Is(err, content.ErrNotFound) || !strings.Contains(content.Hint(err), "docker-archive:") {
		t.Errorf("got %v with hint %q", err, content.Hint(err))
	}
}

func TestCompressedLayersKeepTheirBytes(t *testing.T) {
	zipped := gzipped(t, "a layer")
	name := tarOf(t,
		plain("l.tar.gz", zipped),
		plain("c.json", asJSON(t, map[string]any{"rootfs": map[string]any{"diff_ids": []oci.Digest{oci.DigestBytes([]byte("a layer"))}}})),
		plain("manifest.json", `[{"Config":"c.json","RepoTags":["nonsense of a name"],"Layers":["l.tar.gz"]}]`))
	src, err := bundle.DockerArchive{}.Source(t.Context(), name)
	must(t, err)
	defer src.Close()
	_, root, err := src.Image(t.Context())
	must(t, err)
	data, err := content.ReadAll(t.Context(), src, root, 1<<20)
	must(t, err)
	m, err := oci.ParseManifest(root.MediaType, data)
	must(t, err)
	if l := m.Layers[0]; l.MediaType != oci.MediaTypeLayerGzip || l.Digest != oci.DigestBytes([]byte(zipped)) || m.Config.MediaType != oci.MediaTypeImageConfig {
		t.Errorf("the manifest is %s", data)
	}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	img := newImage(t, "a")
	index := asJSON(t, map[string]any{"schemaVersion": 2, "manifests": []any{img.root()}})
	files := []file{plain("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), plain("index.json", index)}
	for _, p := range img {
		files = append(files, plain("blobs/sha256/"+p.Digest.Encoded(), string(p.data)))
	}
	layer := "blobs/sha256/" + img[1].Digest.Encoded()
	without := func(name string, more ...file) []file {
		return append(slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.Name == name }), more...)
	}
	if _, err := readAll(t, bundle.OCIArchive{}, tarOf(t, files...), img); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		files []file
		class error // nil when it is read all the same
	}{
		"names that lead out":       {append([]file{plain("../../index.json", "x"), plain("/index.json", "x"), plain("..", "x")}, files...), nil},
		"names with a dot":          {without("index.json", plain("./index.json", index)), nil},
		"a blob twice":              {append([]file{plain(layer, "something else")}, files...), nil},
		"devices and pipes":         {append([]file{{tar.Header{Name: layer, Typeflag: tar.TypeFifo}, ""}, {tar.Header{Name: layer, Typeflag: tar.TypeChar}, ""}}, files...), nil},
		"a link to another member":  {without(layer, link(layer, "../../real"), plain("real", string(img[1].data))), nil},
		"a hard link":               {without(layer, file{tar.Header{Name: layer, Typeflag: tar.TypeLink, Linkname: "real"}, ""}, plain("real", string(img[1].data))), nil},
		"a link out":                {without(layer, link(layer, "../../../../etc/passwd")), content.ErrNotFound},
		"an absolute link":          {without(layer, link(layer, "/etc/passwd")), content.ErrNotFound},
		"a link to itself":          {without(layer, link(layer, img[1].Digest.Encoded())), content.ErrUnsupported},
		"an index twice":            {append(slices.Clone(files), plain("index.json", index)), content.ErrCorrupt},
		"an index twice, by a link": {append(slices.Clone(files), link("./index.json", "other"), plain("other", index)), content.ErrCorrupt},
		"a huge index":              {without("index.json", plain("index.json", strings.Repeat(" ", oci.MaxManifestSize+1))), content.ErrUnsupported},
		"other bytes":               {without(layer, plain(layer, strings.Repeat("x", len(img[1].data)))), content.ErrCorrupt},
		"fewer bytes":               {without(layer, plain(layer, "x")), content.ErrCorrupt},
		"no index":                  {without("index.json"), content.ErrNotFound},
		"nothing":                   {nil, content.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(t, bundle.OCIArchive{}, tarOf(t, x.files...), img)
			if (err == nil) != (x.class == nil) || !isOf(err, x.class) {
				t.Errorf("got %v, want class %v", err, x.class)
			}
		})
	}
}

func TestADamagedArchiveIsRefused(t *testing.T) {
	img := newImage(t, "a")
	name := filepath.Join(t.TempDir(), "a.tar")
	must(t, write(t, bundle.OCIArchive{}, name, "docker.io/library/a:v1", img...))
	whole, err := os.ReadFile(name)
	must(t, err)
	// What comes behind index.json is Docker's, and a mark of the end is not asked for.
	for n := 0; n < bytes.Index(whole, []byte("manifest.json")); n += 256 {
		must(t, os.WriteFile(name, whole[:n], 0o600))
		if _, err := readAll(t, bundle.OCIArchive{}, name, img); err == nil {
			t.Errorf("the first %d of %d bytes are an archive", n, len(whole))
		}
	}
	for magic, what := range map[string]string{"\x1f\x8b\x08": "gzip", "\x28\xb5\x2f\xfd": "zstd", "\xfd7zXZ\x00": "xz", "BZh9": "bzip2"} {
		must(t, os.WriteFile(name, []byte(magic+strings.Repeat("x", 1000)), 0o600))
		_, _, err := find(t, bundle.DockerArchive{}, name)
		if !errors.Is(err, content.ErrUnsupported) || !strings.Contains(err.Error(), what) || content.Hint(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for place, class := range map[string]error{t.TempDir(): content.ErrUnsupported, "-": content.ErrUnsupported, "": content.ErrInvalid} {
		if _, _, err := find(t, bundle.OCIArchive{}, place); !errors.Is(err, class) {
			t.Errorf("%q: %v", place, err)
		}
	}
	must(t, os.WriteFile(name, bytes.Repeat([]byte("no tar "), 1000), 0o600))
	if _, _, err := find(t, bundle.OCIArchive{}, name); !errors.Is(err, content.ErrInvalid) {
		t.Error(err)
	}
}

func TestADockerManifestThatLiesIsRefused(t *testing.T) {
	layer := oci.DigestBytes([]byte("layer"))
	config := func(v any) file {
		return plain("c.json", asJSON(t, map[string]any{"rootfs": map[string]any{"diff_ids": v}}))
	}
	list := plain("manifest.json", `[{"Config":"c.json","Layers":["l.tar"]}]`)
	for name, x := range map[string]struct {
		files []file
		class error
	}{
		"more layers than diff_ids": {[]file{list, config([]string{}), plain("l.tar", "layer")}, content.ErrCorrupt},
		"a diff_id that is none":    {[]file{list, config([]string{"sha256:../x"}), plain("l.tar", "layer")}, content.ErrCorrupt},
		"another layer":             {[]file{list, config([]oci.Digest{layer}), plain("l.tar", "other")}, content.ErrCorrupt},
		"no layer":                  {[]file{list, config([]oci.Digest{layer})}, content.ErrNotFound},
		"no configuration":          {[]file{list, plain("l.tar", "layer")}, content.ErrNotFound},
		"no list":                   {[]file{config([]oci.Digest{layer}), plain("l.tar", "layer")}, content.ErrNotFound},
		"a list of no kind":         {[]file{plain("manifest.json", `{}`)}, content.ErrCorrupt},
		"an image of nothing":       {[]file{plain("manifest.json", `[{}]`)}, content.ErrCorrupt},
	} {
		if _, err := readAll(t, bundle.DockerArchive{}, tarOf(t, x.files...), nil); !errors.Is(err, x.class) {
			t.Errorf("%s: got %v, want class %v", name, err, x.class)
		}
	}
}

func TestDockersArchivesHoldOnlyWhatDockerLoads(t *testing.T) {
	img, other := newImage(t, "a"), newImage(t, "b")
	zstd := newPart(oci.MediaTypeLayerZstd, "not looked into")
	index := func(of ...image) part {
		x := oci.Index{MediaType: oci.MediaTypeIndex}
		x.SchemaVersion = 2
		for i, m := range of {
			d := m.root()
			d.Platform = &oci.Platform{OS: "linux", Architecture: fmt.Sprint("a", i)}
			x.Manifests = append(x.Manifests, d)
		}
		return newPart(oci.MediaTypeIndex, asJSON(t, x))
	}
	for name, x := range map[string]struct {
		parts []part
		class error
	}{
		"an image":              {img, nil},
		"an index of one":       {append(slices.Clone(img), index(img)), nil},
		"an index of two":       {append(slices.Concat(img, other), index(img, other)), content.ErrUnsupported},
		"an artifact":           {append(slices.Clone(img), img.about(t, "n")...), content.ErrUnsupported},
		"a layer in zstd":       {append(slices.Clone(img), zstd), content.ErrUnsupported},
		"a manifest of nothing": {img[2:], content.ErrNotFound},
	} {
		file := filepath.Join(t.TempDir(), "d.tar")
		err := write(t, bundle.DockerArchive{}, file, "docker.io/library/a:v1", x.parts...)
		if (err == nil) != (x.class == nil) || !isOf(err, x.class) {
			t.Errorf("%s: got %v, want class %v", name, err, x.class)
		}
		if x.class == content.ErrUnsupported && content.Hint(err) == "" {
			t.Errorf("%s: no hint", name)
		}
		if entries, _ := os.ReadDir(filepath.Dir(file)); err != nil && len(entries) != 0 {
			t.Errorf("%s: left behind %v", name, entries)
		}
	}
	// All of them fit into an OCI archive.
	file := filepath.Join(t.TempDir(), "o.tar")
	must(t, write(t, bundle.OCIArchive{}, file, "docker.io/library/a:v1", append(slices.Concat(img, other), index(img, other))...))
	if _, err := readAll(t, bundle.OCIArchive{}, file, nil); err != nil {
		t.Error(err)
	}
	if got := members(t, file); slices.Contains(got, "manifest.json") {
		t.Errorf("the archive has %v", got)
	}
}

func members(t *testing.T, name string) (names []string) {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		must(t, err)
		if h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Format != tar.FormatUSTAR {
			t.Errorf("%s has %+v", h.Name, h)
		}
		names = append(names, h.Name+h.ModTime.UTC().Format(" 2006-01-02")[:len(" 2006-01-02")])
	}
}

func TestTheSamePushesMakeTheSameArchive(t *testing.T) {
	img := newImage(t, "a")
	var first []byte
	for _, tr := range []content.Transport{bundle.OCIArchive{}, bundle.DockerArchive{}, bundle.OCIArchive{}} {
		name := filepath.Join(t.TempDir(), "a.tar")
		must(t, write(t, tr, name, "docker.io/library/a:v1", img...))
		data, err := os.ReadFile(name)
		must(t, err)
		if first == nil {
			first = data
		}
		if !bytes.Equal(data, first) {
			t.Error("the bytes differ")
		}
	}
	name := filepath.Join(t.TempDir(), "a.tar")
	must(t, write(t, bundle.OCIArchive{Epoch: time.Date(2020, 2, 3, 4, 5, 6, 7, time.UTC)}, name, "docker.io/library/a:v1", img...))
	for _, m := range members(t, name) {
		if !strings.HasSuffix(m, " 2020-02-03") {
			t.Errorf("a member is %s", m)
		}
	}
}

func TestAnArchiveThatFailsIsCutBack(t *testing.T) {
	img := newImage(t, "a")
	name := filepath.Join(t.TempDir(), "a.tar")
	target, err := bundle.OCIArchive{}.Target(t.Context(), name)
	must(t, err)
	defer target.Close()
	big := newPart(oci.MediaTypeLayer, strings.Repeat("0123456789", 300_000))
	boom := errors.New("boom")
	for _, r := range []io.Reader{
		io.MultiReader(strings.NewReader(string(big.data[:2_000_000])), failing{boom}),
		strings.NewReader(string(big.data[:2_999_999])),
		strings.NewReader(string(big.data) + "x"),
	} {
		if err := target.Push(t.Context(), big.Descriptor, r); err == nil {
			t.Error("a blob that fails is taken")
		}
	}
	for _, p := range img {
		must(t, target.Push(t.Context(), p.Descriptor, bytes.NewReader(p.data)))
	}
	must(t, target.Finish(t.Context(), img.root(), oci.Reference{}))
	if got := members(t, name); len(got) != len(img)+3 {
		t.Errorf("the archive has %v", got)
	}
	if _, err := readAll(t, bundle.OCIArchive{}, name, img); err != nil {
		t.Error(err)
	}
	if err := target.Push(t.Context(), big.Descriptor, bytes.NewReader(big.data)); !errors.Is(err, content.ErrConflict) {
		t.Errorf("a push after the end: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(name)); len(entries) != 1 {
		t.Errorf("beside the archive there are %v", entries)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
