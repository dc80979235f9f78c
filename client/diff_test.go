package client_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

func diff(t *testing.T, c *client.Client, a, b string, o client.DiffOptions) client.Difference {
	t.Helper()
	d, err := c.Diff(t.Context(), a, b, o)
	must(t, err)
	return d
}

// summary of a difference: fields, parts and files.
func summary(d client.Difference) string {
	var words []string
	for _, f := range append(d.Manifest, d.Config...) {
		words = append(words, fmt.Sprintf("%s:%s>%s", f.Path, f.Old, f.New))
	}
	for _, p := range d.Parts {
		words = append(words, string(p.State()))
	}
	for f := range d.Files() {
		words = append(words, fmt.Sprintf("%s%v", f.Path, f.Aspects))
	}
	return strings.Join(words, " ")
}

func TestDiffOfImages(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	base, more, other := layerFile(t, "etc/", "etc/a=1"), layerFile(t, "etc/b=2"), layerFile(t, "etc/.wh.a", "etc/b=3")
	config := func(text string) string { return "config=" + file(t, "c.json", []byte(text)) }
	packAs(t, c, "a", client.PackOptions{}, config(`{"config":{"Env":["A=1","B=2"],"Cmd":["x"]}}`), base, more)
	packAs(t, c, "b", client.PackOptions{}, config(`{"config":{"Env":["B=2","A=2"],"User":"<me>"}}`), base, other)
	packAs(t, c, "c", client.PackOptions{Platform: platform(t, "linux/arm64")}, base)
	for _, tc := range []struct{ a, b, want string }{
		{"a", "a", "common common"},
		{
			"a", "b",
			`annotations["org.opencontainers.image.title"]:"docker.io/library/a">"docker.io/library/b" ` +
				`config.Cmd:["x"]> config.Env.A:"1">"2" config.User:>"<me>" common removed added /etc/a[] /etc/b[content]`,
		},
		{
			"c", "a",
			`annotations["org.opencontainers.image.title"]:"docker.io/library/c">"docker.io/library/a" ` +
				`architecture:"arm64">"amd64" config.Cmd:>["x"] config.Env:>{"A":"1","B":"2"} created:"1970-01-01T00:00:00Z"> ` +
				`history[1]:>{"created":"1970-01-01T00:00:00Z","created_by":"dist pack"} common added /etc/b[]`,
		},
	} {
		d := diff(t, c, tc.a, tc.b, client.DiffOptions{})
		if got := summary(d); got != tc.want || d.Differs() != (tc.a != tc.b) || d.Kind != client.PackImage {
			t.Errorf("%s %s:\n got %s\nwant %s", tc.a, tc.b, got, tc.want)
		}
	}
	if got := summary(diff(t, c, "a", "b", client.DiffOptions{FilesOnly: true})); got != "/etc/a[] /etc/b[content]" {
		t.Errorf("files: %s", got)
	}
}

// Paths behind a link to a deep folder are many times what the layer has. Not in
// parallel, for what is counted is the memory of all.
func TestDiffHoldsNoListOfPaths(t *testing.T) {
	const files = 2000
	c := newClient(t)
	deep := strings.Repeat(strings.Repeat("d", 199)+"/", 19)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: deep}))
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: deep}))
	for i := range files {
		must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("l/%d", i)}))
	}
	must(t, w.Close())
	packAs(t, c, "a", client.PackOptions{}, layerFile(t, "f=1"))
	packAs(t, c, "b", client.PackOptions{}, file(t, "deep.tar", b.Bytes()))
	before := live()
	d := diff(t, c, "a", "b", client.DiffOptions{FilesOnly: true})
	if kept := live() - before; kept > 4<<20 {
		t.Errorf("%d bytes are kept", kept)
	}
	found, length := 0, 0
	for f := range d.Files() {
		found++
		length = max(length, len(f.Path))
	}
	if found < files || length < len(deep) || !d.Differs() {
		t.Errorf("%d files, paths of up to %d bytes", found, length)
	}
}

// live is what is in use, in bytes.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestDiffOfTheSameFilesInOtherLayers(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	whole := layerFile(t, "etc/", "etc/a=1", "etc/b=2")
	packAs(t, c, "a", client.PackOptions{}, whole)
	packAs(t, c, "b", client.PackOptions{}, layerFile(t, "etc/b=2", "etc/c=1"), layerFile(t, "etc/.wh.c", "etc/", "etc/a=1"))
	if d := diff(t, c, "a", "b", client.DiffOptions{}); len(slices.Collect(d.Files())) != 0 || !d.Differs() {
		t.Errorf("%s", summary(d))
	}
	// The same tar in another blob is told, and no file is read for it.
	plain, zipped := tarball(t)
	packAs(t, c, "p", client.PackOptions{}, file(t, "a.tar", plain))
	packAs(t, c, "z", client.PackOptions{}, file(t, "a.tgz", zipped))
	if d := diff(t, c, "p", "z", client.DiffOptions{}); len(d.Parts) != 1 || d.Parts[0].State() != client.PartChanged || len(slices.Collect(d.Files())) != 0 {
		t.Errorf("%s", summary(d))
	}
}

func TestDiffSeesThatLayersChangedPlaces(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	one, two := layerFile(t, "a=1"), layerFile(t, "b=1")
	a := packAs(t, c, "x:a", client.PackOptions{}, one, two)
	b := packAs(t, c, "x:b", client.PackOptions{}, two, one)
	if d := diff(t, c, "x:a", "x:b", client.DiffOptions{}); !d.Reordered || !d.Differs() || len(slices.Collect(d.Files())) != 0 || summary(d) != "common common" {
		t.Errorf("%s, %s: %s", a.Descriptor.Digest, b.Descriptor.Digest, summary(d))
	}
}

func TestDiffOfArtifactsAndIndexes(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	artifact := func(name string, words ...string) {
		packAs(t, c, name, client.PackOptions{Kind: client.PackArtifact}, words...)
	}
	one, two := file(t, "one", []byte("one")), file(t, "two", []byte("two"))
	artifact("x:a", "t="+one, "u="+two)
	artifact("x:b", "t="+two, "v="+one)
	d := diff(t, c, "x:a", "x:b", client.DiffOptions{})
	if got := summary(d); got != "changed removed added" || d.Kind != client.PackArtifact || d.Parts[0].Key != "t" {
		t.Errorf("%s", got)
	}
	threeLayers(t, c, "y:amd64", "linux/amd64")
	threeLayers(t, c, "y:arm64", "linux/arm64")
	packAs(t, c, "z:arm64", client.PackOptions{Platform: platform(t, "linux/arm64")}, layerFile(t, "a=1"))
	index := func(name string, words ...string) {
		_, err := c.Pack(t.Context(), name, words, client.PackOptions{Kind: client.PackIndex})
		must(t, err)
	}
	index("i:a", "y:amd64", "y:arm64")
	index("i:b", "z:arm64")
	if d = diff(t, c, "i:a", "i:b", client.DiffOptions{}); summary(d) != "removed changed" || d.Parts[1].Key != "linux/arm64" {
		t.Errorf("%s", summary(d))
	}
	// An image of an index is compared with an image.
	d = diff(t, c, "i:a", "y:arm64", client.DiffOptions{Platform: platform(t, "linux/arm64")})
	if d.Differs() || d.Kind != client.PackImage || d.Old.Digest != d.New.Digest {
		t.Errorf("%s", summary(d))
	}
	for _, pair := range [][2]string{{"i:a", "y:amd64"}, {"x:a", "y:amd64"}, {"x:a", "i:a"}} {
		_, err := c.Diff(t.Context(), pair[0], pair[1], client.DiffOptions{})
		if !isClass(err, content.ErrInvalid) || strings.Contains(content.Hint(err), "--platform") != strings.Contains(pair[0]+pair[1], "i:a") {
			t.Errorf("%v: %v (%s)", pair, err, content.Hint(err))
		}
	}
	_, err := c.Diff(t.Context(), "x:a", "x:b", client.DiffOptions{FilesOnly: true})
	want(t, content.ErrInvalid, err)
}

func TestDiffOfWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	text := put(t, c, []byte("text"))
	packAs(t, c, "x:a", client.PackOptions{}, layerFile(t, "a=2"))
	packAs(t, c, "x:b", client.PackOptions{}, layerFile(t, "a=1"))
	imageWith(t, c, "wrong", oci.DigestBytes(nil), oci.MediaTypeLayer, 2)
	imageWith(t, c, "few", oci.DigestBytes(nil), oci.MediaTypeLayer, 1)
	for id, class := range map[string]error{
		text.Digest.String(): content.ErrInvalid, "nothing": content.ErrNotFound, "wrong": content.ErrCorrupt, "few": content.ErrInvalid,
	} {
		for _, pair := range [][2]string{{"x:a", id}, {id, "x:a"}} {
			if _, err := c.Diff(t.Context(), pair[0], pair[1], client.DiffOptions{}); !isClass(err, class) {
				t.Errorf("%v: %v, want %v", pair, err, class)
			}
		}
	}
	p := packAs(t, c, "x:c", client.PackOptions{}, layerFile(t, "a="+strings.Repeat("0123456789", 50_000)))
	damage(t, c, p.Layers[0].Descriptor.Digest)
	for range 2 {
		_, err := c.Diff(t.Context(), "x:c", "x:b", client.DiffOptions{})
		want(t, content.ErrCorrupt, err)
	}
	// What is the same needs no look at its files.
	if d := diff(t, c, "x:a", "x:a", client.DiffOptions{}); d.Differs() {
		t.Errorf("%s", summary(d))
	}
}

// What has the configuration of an image and no file system is compared as an artifact.
func TestDiffOfStatements(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	imageWith(t, c, "a", oci.DigestBytes(nil), "application/vnd.in-toto+json", 2)
	imageWith(t, c, "b", oci.DigestBytes([]byte("b")), "application/vnd.in-toto+json", 2)
	d := diff(t, c, "a", "b", client.DiffOptions{})
	if d.Kind != client.PackArtifact || len(d.Config) != 2 || !strings.HasPrefix(d.Config[0].Path, "rootfs.diff_ids[") {
		t.Errorf("%s", summary(d))
	}
}

func TestDiffCountsTimesIfAsked(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for name, when := range map[string]time.Time{"a": time.Unix(1e9, 0), "b": time.Unix(1.5e9, 0)} {
		packAs(t, c, name, client.PackOptions{Epoch: when}, folder(t, when))
	}
	if d := diff(t, c, "a", "b", client.DiffOptions{FilesOnly: true}); d.Differs() {
		t.Errorf("%s", summary(d))
	}
	d := diff(t, c, "a", "b", client.DiffOptions{FilesOnly: true, Times: true})
	if got := summary(d); got != "/bin[time] /bin/tool[time] /empty[time] /etc[time] /etc/conf[time]" {
		t.Errorf("%s", got)
	}
}
