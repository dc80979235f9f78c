package bundle_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// image is a small image, its manifest last.
type image []part

type part struct {
	oci.Descriptor
	data []byte
}

func newPart(mediaType, data string) part {
	return part{oci.Describe(mediaType, []byte(data)), []byte(data)}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	p, err := json.Marshal(v)
	must(t, err)
	return string(p)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newImage(t *testing.T, note string) image {
	t.Helper()
	layer := newPart(oci.MediaTypeLayer, "layer of "+note)
	config := newPart(oci.MediaTypeImageConfig, asJSON(t, map[string]any{
		"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []oci.Digest{layer.Digest}},
	}))
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: config.Descriptor, Layers: []oci.Descriptor{layer.Descriptor}}
	m.SchemaVersion = 2
	return image{config, layer, newPart(oci.MediaTypeManifest, asJSON(t, m))}
}

// about is an artifact about i.
func (i image) about(t *testing.T, note string) image {
	t.Helper()
	empty := newPart(oci.MediaTypeEmpty, "{}")
	subject := i.root()
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: "application/vnd.example.note", Config: empty.Descriptor,
		Layers: []oci.Descriptor{empty.Descriptor}, Subject: &subject,
		Annotations: map[string]string{"note": note, oci.AnnotationRefName: "v1"},
	}
	m.SchemaVersion = 2
	return image{empty, newPart(oci.MediaTypeManifest, asJSON(t, m))}
}

func (i image) root() oci.Descriptor { return i[len(i)-1].Descriptor }

func ref(t *testing.T, s string) oci.Reference {
	t.Helper()
	if s == "" {
		return oci.Reference{}
	}
	r, err := oci.ParseReference(s)
	must(t, err)
	return r
}

// write puts root, the last of parts, to place.
func write(t *testing.T, tr content.Transport, place, name string, parts ...part) error {
	t.Helper()
	target, err := tr.Target(t.Context(), place)
	if err != nil {
		return err
	}
	defer target.Close()
	for _, p := range parts {
		if err := target.Push(t.Context(), p.Descriptor, bytes.NewReader(p.data)); err != nil {
			return err
		}
	}
	return target.Finish(t.Context(), parts[len(parts)-1].Descriptor, ref(t, name))
}

// find is what place names.
func find(t *testing.T, tr content.Transport, place string) (string, oci.Digest, error) {
	t.Helper()
	src, err := tr.Source(t.Context(), place)
	if err != nil {
		return "", "", err
	}
	defer src.Close()
	name, desc, err := src.Image(t.Context())
	if name == (oci.Reference{}) {
		return "", desc.Digest, err
	}
	return name.String(), desc.Digest, err
}

// layoutWith writes a layout by hand, with the descriptors given for index.json.
func layoutWith(t *testing.T, parts []part, manifests ...any) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range parts {
		file := filepath.Join(dir, "blobs", p.Digest.Algorithm().String(), p.Digest.Encoded())
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, p.data, 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte(asJSON(t, map[string]any{"schemaVersion": 2, "manifests": manifests})), 0o600))
	return dir
}

// entry is i's descriptor with annotations, in pairs.
func (i image) entry(annotations ...string) oci.Descriptor {
	d := i.root()
	d.Annotations = map[string]string{}
	for p := range slices.Chunk(annotations, 2) {
		d.Annotations[p[0]] = p[1]
	}
	return d
}

const full = "io.containerd.image.name"

func TestAPlaceSelectsByEitherAnnotation(t *testing.T) {
	a, b, c, d := newImage(t, "a"), newImage(t, "b"), newImage(t, "c"), newImage(t, "d")
	parts := slices.Concat(a, b, c, d)
	dir := layoutWith(t, parts,
		a.entry(full, "docker.io/library/a:v1", oci.AnnotationRefName, "v1"),
		b.entry(oci.AnnotationRefName, "quay.io/x/b:v2"),
		c.entry(oci.AnnotationRefName, "plain"),
		a.entry(full, "docker.io/library/again:v1"),
	)
	for place, want := range map[string]struct {
		name string
		root oci.Digest
		err  error
	}{
		dir + ":docker.io/library/a:v1":         {"docker.io/library/a:v1", a.root().Digest, nil},
		dir + ":a:v1":                           {"docker.io/library/a:v1", a.root().Digest, nil},
		dir + ":v1":                             {"docker.io/library/a:v1", a.root().Digest, nil}, // twice, and one image
		dir + ":quay.io/x/b:v2":                 {"quay.io/x/b:v2", b.root().Digest, nil},
		dir + ":v2":                             {"quay.io/x/b:v2", b.root().Digest, nil},
		dir + ":plain":                          {"", c.root().Digest, nil},
		dir + "@" + b.root().Digest.String():    {"quay.io/x/b:v2", b.root().Digest, nil},
		dir + "@" + d.root().Digest.String():    {"", d.root().Digest, nil}, // nothing lists it
		dir + ":v1@" + c.root().Digest.String(): {"", c.root().Digest, nil}, // the digest decides
		dir + ":none":                           {"", "", content.ErrNotFound},
		dir + ":quay.io/x/a:v1":                 {"", "", content.ErrNotFound},
		dir + "@" + a[0].Digest.String():        {"", a[0].Digest, content.ErrUnsupported}, // a configuration
		dir:                                     {"", "", content.ErrInvalid},
		dir + ":":                               {"", "", content.ErrInvalid},
		dir + ":a b":                            {"", "", content.ErrInvalid},
		"":                                      {"", "", content.ErrInvalid},
		":v1":                                   {"", "", content.ErrInvalid},
		dir + "/none":                           {"", "", content.ErrNotFound},
	} {
		name, root, err := find(t, bundle.Layout{}, place)
		if (want.err == nil) != (err == nil) || !isOf(err, want.err) || (err == nil && (name != want.name || root != want.root)) {
			t.Errorf("%s: %s %s %v, want %+v", strings.TrimPrefix(place, dir), name, root, err, want)
		}
	}
}

func TestWhatStandsBesideAnImageNeedsNoChoice(t *testing.T) {
	img := newImage(t, "a")
	note := img.about(t, "n")
	fallback := newPart(oci.MediaTypeIndex, asJSON(t, map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeIndex, "manifests": []any{}}))
	tag := strings.Replace(img.root().Digest.String(), ":", "-", 1)
	dir := layoutWith(t, slices.Concat(img, note, image{fallback}),
		note.entry(),
		image{fallback}.entry(oci.AnnotationRefName, tag),
		note.entry(oci.AnnotationRefName, tag+".sig"),
		img.entry(oci.AnnotationRefName, "v1"),
	)
	if _, root, err := find(t, bundle.Layout{}, dir); err != nil || root != img.root().Digest {
		t.Errorf("%s, %v", root, err)
	}
}

func TestReferrersAreFoundWhereOthersPutThem(t *testing.T) {
	img, other := newImage(t, "a"), newImage(t, "b")
	listed, kept, foreign := img.about(t, "listed"), img.about(t, "kept under the tag"), other.about(t, "of another")
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{kept.root()}}
	x.SchemaVersion = 2
	fallback := image{newPart(oci.MediaTypeIndex, asJSON(t, x))}
	dir := layoutWith(t, slices.Concat(img, other, listed, kept, foreign, fallback),
		img.entry(oci.AnnotationRefName, "v1"), listed.entry(), foreign.entry(),
		fallback.entry(oci.AnnotationRefName, strings.Replace(img.root().Digest.String(), ":", "-", 1)),
	)
	var notes []string
	for d, err := range referrersOf(t, bundle.Layout{}, dir+":v1", img.root().Digest) {
		must(t, err)
		notes = append(notes, d.Annotations["note"])
	}
	slices.Sort(notes)
	if got := strings.Join(notes, ", "); got != "kept under the tag, listed" {
		t.Errorf("the referrers are %q", got)
	}
}

func TestALayoutKeepsWhatOthersWrote(t *testing.T) {
	a, b := newImage(t, "a"), newImage(t, "b")
	theirs := map[string]any{
		"mediaType": oci.MediaTypeManifest, "digest": a.root().Digest, "size": a.root().Size,
		"annotations": map[string]string{oci.AnnotationRefName: "old"}, "org.example.unheard": []int{1, 2, 3},
	}
	dir := layoutWith(t, a, theirs)
	must(t, write(t, bundle.Layout{}, dir+":new", "docker.io/library/b:v9", b...))
	must(t, write(t, bundle.Layout{}, dir, "docker.io/library/a:v1", a...))
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	var x struct {
		Manifests []map[string]any
	}
	must(t, json.Unmarshal(data, &x))
	if len(x.Manifests) != 3 || x.Manifests[0]["org.example.unheard"] == nil {
		t.Errorf("index.json is now %s", data)
	}
	for place, want := range map[string]oci.Digest{dir + ":old": a.root().Digest, dir + ":b:new": b.root().Digest, dir + ":a:v1": a.root().Digest} {
		if _, got, err := find(t, bundle.Layout{}, place); err != nil || got != want {
			t.Errorf("%s: %s, %v", place, got, err)
		}
	}
}

func TestALayoutListsReferrersWithoutNames(t *testing.T) {
	img := newImage(t, "a")
	note := img.about(t, "n")
	dir := filepath.Join(t.TempDir(), "new", "layout")
	// Twice: the second time nothing has to be written.
	for range 2 {
		must(t, write(t, bundle.Layout{}, dir, "docker.io/library/a:v1", slices.Concat(note, img)...))
	}
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	x, err := oci.ParseIndex(oci.MediaTypeIndex, data)
	must(t, err)
	if len(x.Manifests) != 2 || x.Manifests[1].Digest != note.root().Digest || x.Manifests[1].Annotations != nil || x.Manifests[1].ArtifactType != "application/vnd.example.note" {
		t.Errorf("index.json lists %+v", x.Manifests)
	}
	if _, root, err := find(t, bundle.Layout{}, dir); err != nil || root != img.root().Digest {
		t.Errorf("%s, %v", root, err)
	}
}

func TestALayoutThatIsNoneIsRefused(t *testing.T) {
	img := newImage(t, "a")
	change := func(file, data string) func(dir string) {
		return func(dir string) { must(t, os.WriteFile(filepath.Join(dir, file), []byte(data), 0o600)) }
	}
	blob := filepath.Join("blobs", "sha256", img[1].Digest.Encoded())
	for name, x := range map[string]struct {
		change func(dir string)
		class  error
	}{
		"another version":      {change("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), content.ErrUnsupported},
		"a version of no kind": {change("oci-layout", `[]`), content.ErrCorrupt},
		"no JSON":              {change("index.json", `nonsense`), content.ErrCorrupt},
		"an unknown algorithm": {change("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"`+oci.MediaTypeManifest+`","digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1}]}`), content.ErrCorrupt},
		"a path for a digest":  {change("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"`+oci.MediaTypeManifest+`","digest":"sha256:../../../../etc/passwd","size":1}]}`), content.ErrCorrupt},
		"a key twice":          {change("index.json", `{"schemaVersion":2,"manifests":[],"manifests":[]}`), content.ErrCorrupt},
		"a huge index":         {change("index.json", strings.Repeat(" ", oci.MaxManifestSize+1)), content.ErrUnsupported},
		"no index":             {func(dir string) { must(t, os.Remove(filepath.Join(dir, "index.json"))) }, content.ErrNotFound},
		"a folder for a blob": {func(dir string) {
			must(t, os.Remove(filepath.Join(dir, blob)))
			must(t, os.Mkdir(filepath.Join(dir, blob), 0o755))
		}, content.ErrCorrupt},
		"a short blob": {change(blob, "short"), content.ErrCorrupt},
		"no blob":      {func(dir string) { must(t, os.Remove(filepath.Join(dir, blob))) }, content.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			dir := layoutWith(t, img, img.entry(oci.AnnotationRefName, "v1"))
			x.change(dir)
			if _, err := readAll(t, bundle.Layout{}, dir, img); !isOf(err, x.class) || err == nil {
				t.Errorf("got %v, want class %v", err, x.class)
			}
		})
	}
}

func TestALayoutReachesNothingOutside(t *testing.T) {
	img := newImage(t, "a")
	dir := layoutWith(t, img, img.entry(oci.AnnotationRefName, "v1"))
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, img[1].data, 0o600))
	blob := filepath.Join(dir, "blobs", "sha256", img[1].Digest.Encoded())
	must(t, os.Remove(blob))
	if err := os.Symlink(outside, blob); err != nil {
		t.Skip("no symbolic links here")
	}
	if _, err := readAll(t, bundle.Layout{}, dir, img); err == nil {
		t.Error("a link out of the layout was followed")
	}
	// A target replaces it, and leaves what it led to alone.
	must(t, os.WriteFile(outside, []byte("precious"), 0o600))
	must(t, os.RemoveAll(filepath.Join(dir, "blobs")))
	must(t, os.Symlink(t.TempDir(), filepath.Join(dir, "blobs")))
	if err := write(t, bundle.Layout{}, dir, "", img...); err == nil {
		t.Error("blobs were written through a link that leads out")
	}
}

func TestATargetLeavesForeignFoldersAlone(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("words"), 0o600))
	_, err := bundle.Layout{}.Target(t.Context(), dir)
	if !isOf(err, content.ErrInvalid) || err == nil || content.Hint(err) == "" {
		t.Errorf("got %v with hint %q", err, content.Hint(err))
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder has %v now", entries)
	}
}

func TestATargetHealsAndSweeps(t *testing.T) {
	img := newImage(t, "a")
	dir := layoutWith(t, img, img.entry(oci.AnnotationRefName, "v1"))
	blob := filepath.Join(dir, "blobs", "sha256", img[1].Digest.Encoded())
	must(t, os.WriteFile(blob, bytes.Repeat([]byte("x"), len(img[1].data)), 0o600))
	old, young := filepath.Join(dir, ".dist-old"), filepath.Join(dir, ".dist-young")
	for _, f := range []string{old, young} {
		must(t, os.WriteFile(f, nil, 0o600))
	}
	long := time.Now().Add(-48 * time.Hour)
	must(t, os.Chtimes(old, long, long))
	must(t, write(t, bundle.Layout{}, dir, "docker.io/library/a:v1", img...))
	if _, err := readAll(t, bundle.Layout{}, dir, img); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("a file left behind two days ago is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("somebody's temporary file is gone")
	}
}

// TestOneOfManyWriters is what the processes of the test below do.
func TestOneOfManyWriters(t *testing.T) {
	place, name := os.Getenv("BUNDLE_TEST_WRITE"), os.Getenv("BUNDLE_TEST_NAME")
	if place == "" {
		t.Skip("it is run by another test")
	}
	must(t, write(t, bundle.Layout{}, place, name, newImage(t, name)...))
}

func TestManyProcessesKeepAllNames(t *testing.T) {
	const many = 16
	self, err := os.Executable()
	must(t, err)
	dir := filepath.Join(t.TempDir(), "layout")
	var cmds []*exec.Cmd
	for i := range many {
		cmd := exec.Command(self, "-test.run=^TestOneOfManyWriters$")
		cmd.Env = append(os.Environ(), "BUNDLE_TEST_WRITE="+dir, fmt.Sprint("BUNDLE_TEST_NAME=docker.io/library/n", i, ":v1"))
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		must(t, cmd.Wait())
	}
	for i := range many {
		name := fmt.Sprint("docker.io/library/n", i, ":v1")
		img := newImage(t, name)
		if _, root, err := find(t, bundle.Layout{}, dir+":"+name); err != nil || root != img.root().Digest {
			t.Errorf("%s: %s, %v", name, root, err)
		}
	}
}

func TestATargetThatIsOnlyAskedChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(dir, ".dist-0011223344556677")
	for name, data := range map[string]string{left: "", filepath.Join(dir, "index.json"): `{"schemaVersion":2,"manifests":[]}`} {
		if err := os.WriteFile(name, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	to, err := bundle.Layout{}.Target(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	here, err := to.Exists(t.Context(), oci.Describe(oci.MediaTypeLayer, []byte("x")))
	if here || err != nil {
		t.Errorf("exists: %v, %v", here, err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != filepath.Base(left) {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
}
