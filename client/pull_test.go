package client_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

func TestPullBringsAllOfAnImage(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	im := reg.PushImage("app:v1", registrytest.Bytes(1, 3000), registrytest.Bytes(2, 900_000))
	s := pull(t, c, reg.Ref("app:v1"))
	if len(s.Names) != 1 || s.Names[0].Target.Digest != im.Digest || !s.Names[0].Changed {
		t.Errorf("the names are %+v", s.Names)
	}
	if s.MovedBlobs != 4 || s.ReusedBlobs != 0 || s.MovedBytes < 903_000 {
		t.Errorf("the account is %+v", s.Stats)
	}
	if m := missing(t, c, im.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	for _, l := range manifestOf(t, reg, im).Layers {
		must(t, c.Check(t.Context(), l.Digest.String()))
	}
	if got := names(t, c); !slices.Equal(got, []string{reg.Ref("app:v1")}) {
		t.Errorf("names: %v", got)
	}
	in, err := c.Inspect(t.Context(), oci.DigestBytes(registrytest.Bytes(1, 3000)).String(), nil)
	must(t, err)
	if !slices.Equal(in.Sources, []string{reg.Ref("app")}) {
		t.Errorf("it came from %v", in.Sources)
	}
}

// snapshotOf is all that a store's files are.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(name string, fi os.FileInfo, err error) error {
		if err == nil && !strings.HasSuffix(name, "-shm") {
			b.WriteString(name + " " + fi.ModTime().String() + "\n")
		}
		return err
	}))
	return b.String()
}

func TestPullOfWhatIsHereIsOneRequestAndNoWrite(t *testing.T) {
	t.Parallel()
	reg, dir := registry(t), filepath.Join(t.TempDir(), "store")
	reg.PushImage("app:v1", registrytest.Bytes(1, 300_000))
	reg.PushPlatforms("multi:v1", "linux/amd64", "linux/arm64")
	all := []string{reg.Ref("app:v1"), reg.Ref("multi:v1")}
	o := client.PullOptions{Platforms: client.Platforms{Only: platform(t, "linux/amd64")}}
	first := clientOf(t, dir)
	_, err := first.Pull(t.Context(), all, o)
	must(t, err)
	must(t, first.Close())

	c := clientOf(t, dir)
	store(t, c)
	before := snapshotOf(t, dir)
	reg.Forget()
	s, err := c.Pull(t.Context(), all, o)
	must(t, err)
	if got := reg.Requests(); len(got) != 2 || got[0].Method != http.MethodHead || got[1].Method != http.MethodHead {
		t.Errorf("the requests were %+v", got)
	}
	if s.Requests != 2 || s.MovedBytes != 0 || s.MovedBlobs != 0 || s.Names[0].Changed || s.Names[1].Changed {
		t.Errorf("the account is %+v", s)
	}
	if after := snapshotOf(t, dir); after != before {
		t.Errorf("the store was written:\n%s\n%s", before, after)
	}
}

func TestPullOfSeveralNamesIsAllOrNothing(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	reg.PushImage("a:v1", registrytest.Bytes(1, 3000))
	reg.PushImage("b:v1", registrytest.Bytes(2, 300_000))
	pull(t, c, reg.Ref("a:v1"))
	second := reg.PushImage("a:v1", registrytest.Bytes(3, 3000))
	broken := registrytest.Match{Kind: registryserver.KindBlob, Digest: oci.DigestBytes(registrytest.Bytes(2, 300_000))}
	reg.Inject(broken, registrytest.Answer(http.StatusForbidden))
	_, err := c.Pull(t.Context(), []string{reg.Ref("a:v1"), reg.Ref("b:v1")}, client.PullOptions{})
	want(t, content.ErrDenied, err)
	if got := names(t, c); len(got) != 1 {
		t.Errorf("names: %v", got)
	}
	if d, err := c.Lookup(t.Context(), reg.Ref("a:v1")); err != nil || d.Digest == second.Digest {
		t.Errorf("a name moved, though another could not: %v", err)
	}
	_, err = c.Pull(t.Context(), []string{reg.Ref("a:v1"), reg.Ref("nobody:v1")}, client.PullOptions{})
	want(t, content.ErrNotFound, err)

	reg.Heal()
	reg.Forget()
	pull(t, c, reg.Ref("a:v1"), reg.Ref("b:v1"))
	if n := reg.BlobBytes(oci.DigestBytes(registrytest.Bytes(3, 3000))); n != 0 { // kept by the try before
		t.Errorf("%d bytes of a's layer came again", n)
	}
	if got := names(t, c); len(got) != 2 {
		t.Errorf("names: %v", got)
	}
}

func TestPullOfOneNameTwice(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	im := reg.PushImage("a:v1", registrytest.Bytes(1, 3000))
	pull(t, c, reg.Ref("a:v1"), reg.Ref("a:v1"), reg.Ref("a@"+im.Digest.String()))
	if got := names(t, c); !slices.Contains(got, reg.Ref("a:v1")) {
		t.Errorf("names: %v", got)
	}
}

func TestPullTakesThePlatformAndNotesTheOthers(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	root := reg.PushPlatforms("app:v1", "linux/amd64", "linux/arm64", "linux/s390x")
	x := indexOf(t, reg, root)
	only := func(p string) client.PullOptions {
		return client.PullOptions{Platforms: client.Platforms{Only: platform(t, p)}}
	}
	_, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, only("linux/arm64"))
	must(t, err)
	held := func() (got []bool) {
		images, err := c.Images(t.Context(), client.NameFilter{})
		must(t, err)
		for _, p := range images[0].Platforms {
			got = append(got, p.Held)
		}
		return got
	}
	if got := held(); !slices.Equal(got, []bool{false, true, false}) {
		t.Errorf("platforms here: %v", got)
	}
	if n := reg.BlobBytes(manifestOf(t, reg, x.Manifests[0]).Config.Digest); n != 0 {
		t.Errorf("%d bytes came of a platform that nobody asked for", n)
	}
	reg.Forget()
	_, err = c.Pull(t.Context(), []string{reg.Ref("app:v1")}, only("linux/amd64"))
	must(t, err)
	if got := held(); !slices.Equal(got, []bool{true, true, false}) {
		t.Errorf("platforms here after another pull: %v", got)
	}
	if n := reg.BlobBytes(oci.DigestBytes(registrytest.Bytes(1, 100_000))); n != 0 {
		t.Error("the layer that both share came again")
	}
	_, err = c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{Platforms: client.Platforms{All: true}})
	must(t, err)
	if got := held(); !slices.Equal(got, []bool{true, true, true}) {
		t.Errorf("platforms here after all: %v", got)
	}
	_, err = c.Pull(t.Context(), []string{reg.Ref("app:v1")}, only("windows/amd64"))
	want(t, content.ErrNotFound, err)
	if h := content.Hint(err); !strings.Contains(h, "linux/arm64") || !strings.Contains(h, "linux/s390x") {
		t.Errorf("what there is is not told: %q", h)
	}
}

// An index that a mirror, or somebody who pushed, brought with less than it lists gives
// nothing of the rest. What is pulled whole is whole, also where a pull before it was
// interrupted once it had given the name.
func TestPullMakesAnIndexWholeThatWasPushedInPart(t *testing.T) {
	t.Parallel()
	for _, interrupted := range []bool{false, true} {
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		reg, c := registry(t), newClient(t, func(o *client.Options) {
			o.Hook = func(point string) {
				if interrupted && point == "pull.named" {
					interrupt()
				}
			}
		})
		root := reg.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
		ref, err := oci.ParseReference(reg.Ref("app:v1"))
		must(t, err)
		data, err := content.ReadAll(t.Context(), reg.Store(), root, oci.MaxManifestSize)
		must(t, err)
		s, err := c.Init(t.Context())
		must(t, err)
		contenttest.Put(t, s, ref.Name(), root.MediaType, data)
		all := client.PullOptions{Platforms: client.Platforms{All: true}}
		_, err = c.Pull(ctx, []string{ref.String()}, all)
		if interrupted {
			want(t, context.Canceled, err)
			_, err = c.Pull(t.Context(), []string{ref.String()}, all)
		}
		must(t, err)
		for _, child := range indexOf(t, reg, root).Manifests {
			in, err := s.InRepository(t.Context(), ref.Name(), child.Digest, manifestOf(t, reg, child).Layers[0].Digest)
			must(t, err)
			if !in[0] || !in[1] {
				t.Errorf("interrupted %v: %s and its layer are in the repository: %v", interrupted, child.Digest, in)
			}
		}
	}
}

func TestPullOfAnIndexInAnIndex(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	inner := reg.PushPlatforms("", "linux/amd64", "linux/arm64")
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{inner}}
	x.SchemaVersion = 2
	root := reg.PutManifest("app:v1", oci.MediaTypeIndex, x)
	o := client.PullOptions{Platforms: client.Platforms{Only: platform(t, "linux/arm64")}}
	_, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, o)
	must(t, err)
	chosen := indexOf(t, reg, inner).Manifests[1]
	if m := missing(t, c, chosen.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	if got, err := c.Lookup(t.Context(), reg.Ref("app:v1")); err != nil || got.Digest != root.Digest {
		t.Errorf("the name is %s, %v", got.Digest, err)
	}
	in, err := c.Inspect(t.Context(), reg.Ref("app:v1"), platform(t, "linux/arm64"))
	must(t, err)
	if in.Digest != chosen.Digest || in.Config == nil || in.Config.Architecture != "arm64" {
		t.Errorf("Inspect tells of %s", in.Digest)
	}
	reg.Forget()
	_, err = c.Pull(t.Context(), []string{reg.Ref("app:v1")}, o)
	must(t, err)
	if n := len(reg.Requests()); n != 1 {
		t.Errorf("%d requests for what is here", n)
	}
}

func TestPullRefusesASectionOfAnUnknownType(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	im := manifestOf(t, reg, reg.PushImage("", registrytest.Bytes(1, 3000)))
	im.Layers = append(im.Layers, reg.PutBlob("application/vnd.somebody.feature", []byte("feature")))
	d := reg.PutManifest("app:v1", oci.MediaTypeManifest, im)
	_, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{})
	want(t, content.ErrUnsupported, err)
	if !strings.Contains(err.Error(), "vnd.somebody.feature") || !strings.Contains(err.Error(), im.Layers[1].Digest.String()) {
		t.Errorf("what is unknown is not told: %v", err)
	}
	if got := names(t, c); len(got) != 0 {
		t.Errorf("names: %v", got)
	}
	if _, err := c.Stat(t.Context(), d.Digest.String()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("the manifest is held: %v", err)
	}
}

func TestPullTakesAnArtifactAsItIs(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	im := reg.PushImage("app:v1", registrytest.Bytes(1, 3000))
	a := reg.PushArtifact(im, "application/vnd.somebody.report", []byte("a report"))
	pull(t, c, reg.Ref("app@"+a.Digest.String()))
	if m := missing(t, c, a.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	if _, err := c.Stat(t.Context(), im.Digest.String()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a referrer brought what it is about: %v", err)
	}
}

func TestPullLeavesOutWhatMayNotBeDistributed(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	im := manifestOf(t, reg, reg.PushImage("", registrytest.Bytes(1, 3000)))
	im.Layers = append(im.Layers, oci.Descriptor{
		MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", Digest: oci.DigestBytes([]byte("secret")), Size: 6,
	})
	// No registry takes it without its layer from us, so it is put there directly.
	d := reg.PutManifest("app:v1", oci.MediaTypeManifest, im)
	pull(t, c, reg.Ref("app:v1"))
	if m := missing(t, c, d.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
}

func TestABrokenPullGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	const size, cut = 3 << 20, 2 << 20
	reg, dir := registry(t), filepath.Join(t.TempDir(), "store")
	layer := registrytest.Bytes(1, size)
	reg.PushImage("app:v1", layer)
	fault := registrytest.Match{Kind: registryserver.KindBlob, Digest: oci.DigestBytes(layer), Method: http.MethodGet}
	reg.Inject(fault, registrytest.CutAfter(cut))
	noRetries := func(o *client.Options) { o.Registry.Retries = -1 }
	first := clientOf(t, dir, noRetries)
	_, err := first.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{})
	want(t, content.ErrUnavailable, err)
	if got := names(t, first); len(got) != 0 {
		t.Errorf("names: %v", got)
	}
	must(t, first.Close())
	reg.Heal()
	reg.Forget()
	c := clientOf(t, dir, noRetries)
	s := pull(t, c, reg.Ref("app:v1"))
	again := reg.BlobBytes(oci.DigestBytes(layer))
	if again >= size || again == 0 || s.MovedBytes >= size {
		t.Errorf("%d bytes of %d came again, %d were counted", again, size, s.MovedBytes)
	}
	must(t, c.Check(t.Context(), oci.DigestBytes(layer).String()))
}

func TestPullVerifyFetchesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	good, bad := registrytest.Bytes(1, 400_000), registrytest.Bytes(2, 500_000)
	reg.PushImage("app:v1", good, bad)
	pull(t, c, reg.Ref("app:v1"))
	damage(t, c, oci.DigestBytes(bad))
	reg.Forget()
	pull(t, c, reg.Ref("app:v1"))
	if n := len(reg.Requests()); n != 1 {
		t.Errorf("%d requests of a pull that looks at no bytes", n)
	}
	_, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{Verify: true})
	must(t, err)
	if reg.BlobBytes(oci.DigestBytes(good)) != 0 || reg.BlobBytes(oci.DigestBytes(bad)) != 500_000 {
		t.Errorf("fetched %d bytes of the good and %d of the damaged", reg.BlobBytes(oci.DigestBytes(good)), reg.BlobBytes(oci.DigestBytes(bad)))
	}
	must(t, c.Check(t.Context(), oci.DigestBytes(bad).String()))
}

func TestPullFetchesWhatWasFoundDamaged(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	layer := registrytest.Bytes(1, 400_000)
	reg.PushImage("app:v1", layer)
	pull(t, c, reg.Ref("app:v1"))
	damage(t, c, oci.DigestBytes(layer))
	want(t, content.ErrCorrupt, c.Check(t.Context(), oci.DigestBytes(layer).String()))
	reg.Forget()
	pull(t, c, reg.Ref("app:v1"))
	if n := reg.BlobBytes(""); n != 400_000 {
		t.Errorf("%d bytes were fetched", n)
	}
	must(t, c.Check(t.Context(), oci.DigestBytes(layer).String()))
}

func TestPullRefusesWrongBytes(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t, func(o *client.Options) { o.Registry.Retries = -1 })
	layer := registrytest.Bytes(1, 300_000)
	reg.PushImage("app:v1", layer)
	reg.Inject(registrytest.Match{Kind: registryserver.KindBlob, Digest: oci.DigestBytes(layer)}, registrytest.Corrupt(1000))
	_, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{})
	want(t, content.ErrCorrupt, err)
	if got := names(t, c); len(got) != 0 {
		t.Errorf("names: %v", got)
	}
	if _, err := c.Stat(t.Context(), oci.DigestBytes(layer).String()); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("wrong bytes are held: %v", err)
	}
	reg.Heal()
	pull(t, c, reg.Ref("app:v1"))
}

func TestPullMovesANameThatMovedThere(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	reg.PushImage("app:v1", registrytest.Bytes(1, 3000))
	pull(t, c, reg.Ref("app:v1"))
	second := reg.PushImage("app:v1", registrytest.Bytes(2, 3000))
	s := pull(t, c, reg.Ref("app:v1"))
	if !s.Names[0].Changed || s.Names[0].Target.Digest != second.Digest {
		t.Errorf("the names are %+v", s.Names)
	}
}

func TestPullTellsOfItsProgress(t *testing.T) {
	t.Parallel()
	var (
		mu     sync.Mutex
		events = map[oci.Digest][]content.EventKind{}
	)
	reg := registry(t)
	c := newClient(t, func(o *client.Options) {
		o.Observe = func(e content.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind != content.EventAdvanced {
				events[e.Descriptor.Digest] = append(events[e.Descriptor.Digest], e.Kind)
			}
		}
	})
	im := reg.PushImage("app:v1", registrytest.Bytes(1, 3000), registrytest.Bytes(2, 600_000))
	pull(t, c, reg.Ref("app:v1"))
	if len(events) != 4 {
		t.Errorf("events of %d objects, want 4", len(events))
	}
	for d, kinds := range events {
		if !slices.Equal(kinds, []content.EventKind{content.EventPlanned, content.EventStarted, content.EventFinished}) {
			t.Errorf("%s: %v", d, kinds)
		}
	}
	clear(events)
	pull(t, c, reg.Ref("app:v1"))
	if got := events[im.Digest]; len(events) != 1 || !slices.Equal(got, []content.EventKind{content.EventReused}) {
		t.Errorf("the events of what is here: %v", events)
	}
}
