package client_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/client"
	"dist.example/content"
)

func importFrom(t *testing.T, c *client.Client, o client.ImportOptions, places ...string) (client.ImportSummary, error) {
	t.Helper()
	return c.Import(t.Context(), places, o)
}

func importStream(c *client.Client, ctx context.Context, data []byte) (client.ImportSummary, error) {
	return c.Import(ctx, []string{"-"}, client.ImportOptions{Stdin: io.MultiReader(bytes.NewReader(data))})
}

// whole checks that all of a bundle is here, under its names, and that the store is sound.
func whole(t *testing.T, c *client.Client, b *madeBundle) {
	t.Helper()
	for _, d := range b.index.Manifests {
		if m := missing(t, c, d.Digest); len(m) > 0 {
			t.Errorf("%s lacks %v", d.Annotations["io.containerd.image.name"], m)
		}
	}
	for _, e := range b.contents.Blobs {
		info, err := store(t, c).Info(t.Context(), e.Digest)
		if err != nil || info.Size != e.Size || info.MediaType != e.MediaType {
			t.Errorf("%+v is %+v, %v", e, info, err)
		}
	}
	sound(t, c)
}

// sound checks the store, to the last byte.
func sound(t *testing.T, c *client.Client) {
	t.Helper()
	r, err := store(t, c).CheckAll(t.Context(), blobstore.CheckOptions{})
	must(t, err)
	if !r.Clean() {
		t.Errorf("the store is not sound: %+v", r)
	}
}

// waysIn are all ways that one bundle can come by.
func waysIn(t *testing.T, members []madeMember) map[string]func(c *client.Client) (client.ImportSummary, error) {
	data := tarOf(t, members)
	return map[string]func(c *client.Client) (client.ImportSummary, error){
		"file": func(c *client.Client) (client.ImportSummary, error) {
			return importFrom(t, c, client.ImportOptions{}, fileOf(t, data))
		},
		"stream": func(c *client.Client) (client.ImportSummary, error) { return importStream(c, t.Context(), data) },
	}
}

func TestABundleComesIn(t *testing.T) {
	t.Parallel()
	b := smallBundle(t)
	ways := waysIn(t, b.members())
	ways["folder"] = func(c *client.Client) (client.ImportSummary, error) {
		return importFrom(t, c, client.ImportOptions{}, folderOf(t, b.members()))
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t)
			sum, err := way(c)
			must(t, err)
			whole(t, c, b)
			if got := names(t, c); !slices.Equal(got, []string{"registry.example/app:v1", "registry.example/multi:v1"}) {
				t.Errorf("names %v", got)
			}
			if sum.Referrers != 1 || sum.MovedBytes != b.contents.TotalSize || len(sum.Names) != 2 {
				t.Errorf("%+v", sum)
			}
			again, err := way(c)
			must(t, err)
			if again.MovedBytes != 0 || again.Names[0].Changed {
				t.Errorf("once more: %+v", again)
			}
		})
	}
}

func TestVolumesComeInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}} {
		b := largeBundle(t, 1)
		var files []string
		for _, v := range b.volumes(4) {
			files = append(files, fileOf(t, tarOf(t, v)))
		}
		var ordered []string
		for _, i := range order {
			ordered = append(ordered, files[i])
		}
		t.Run("one call", func(t *testing.T) {
			t.Parallel()
			c := newClient(t)
			_, err := importFrom(t, c, client.ImportOptions{}, ordered...)
			must(t, err)
			whole(t, c, b)
			left(t, c)
		})
		t.Run("one by one", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i, f := range ordered {
				c := clientOf(t, dir)
				_, err := importFrom(t, c, client.ImportOptions{}, f)
				if i < len(ordered)-1 {
					want(t, content.ErrPartial, err)
					if n := names(t, c); len(n) > 0 {
						t.Errorf("after %d volumes there are names: %v", i+1, n)
					}
					continue
				}
				must(t, err)
				whole(t, c, b)
				left(t, c)
			}
		})
		t.Run("one stream", func(t *testing.T) {
			t.Parallel()
			var all []byte
			for _, f := range ordered {
				p, err := os.ReadFile(f)
				must(t, err)
				all = append(all, p...)
			}
			c := newClient(t)
			_, err := importStream(c, t.Context(), all)
			must(t, err)
			whole(t, c, b)
			left(t, c)
		})
	}
}

// left checks that neither leases nor ingests are left.
func left(t *testing.T, c *client.Client) {
	t.Helper()
	for l, err := range store(t, c).AllLeases(t.Context()) {
		must(t, err)
		t.Errorf("lease %+v is left", l)
	}
	for in, err := range store(t, c).Active(t.Context()) {
		must(t, err)
		t.Errorf("ingest %+v is left", in)
	}
}

func TestVolumesOfDifferentBundlesDoNotMix(t *testing.T) {
	t.Parallel()
	one, other := largeBundle(t, 1).volumes(2), largeBundle(t, 2).volumes(2)
	c := newClient(t)
	_, err := importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, one[0])), fileOf(t, tarOf(t, other[1])))
	want(t, content.ErrCorrupt, err)
	t.Log(err)
	_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, one[0])), fileOf(t, tarOf(t, one[0])))
	want(t, content.ErrCorrupt, err)
	if n := names(t, c); len(n) > 0 {
		t.Errorf("names %v", n)
	}
}

func TestADamagedVolumeCostsNothingThatCameBefore(t *testing.T) {
	t.Parallel()
	b := largeBundle(t, 1)
	volumes := b.volumes(3)
	c := newClient(t)
	_, err := importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, volumes[0])))
	want(t, content.ErrPartial, err)
	bad := tarOf(t, volumes[1])
	bad[len(bad)/2] ^= 1
	_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, bad))
	want(t, content.ErrCorrupt, err)
	_, err = importStream(c, t.Context(), bad[:len(bad)/2])
	want(t, content.ErrCorrupt, err)
	_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, volumes[2])))
	want(t, content.ErrPartial, err)
	_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, volumes[1])))
	must(t, err)
	whole(t, c, b)
}

// A volume that came whole stays what it is, whatever comes under its number later.
func TestAVolumeThatCameIsNotLostToABadCopyOfIt(t *testing.T) {
	t.Parallel()
	b := largeBundle(t, 1)
	volumes := b.volumes(3)
	for first := range volumes { // parts in their place, and parts that wait for others
		c := newClient(t)
		_, err := importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, volumes[first])))
		want(t, content.ErrPartial, err)
		good := tarOf(t, volumes[first])
		for at := len(good) / 3; at < len(good); at += len(good) / 4 {
			bad := bytes.Clone(good)
			bad[at] ^= 1
			_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, bad))
			want(t, content.ErrCorrupt, err)
			_, err = importStream(c, t.Context(), good[:at])
			want(t, content.ErrCorrupt, err)
		}
		for i, v := range volumes {
			if i != first {
				_, err = importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, v)))
			}
		}
		must(t, err)
		whole(t, c, b)
	}
}

func TestADeltaNeedsItsBase(t *testing.T) {
	t.Parallel()
	first := smallBundle(t)
	second := smallBundle(t)
	second.name(second.image([]byte("layer one"), []byte("something new")), "registry.example/app:v2")
	for d := range first.blobs {
		second.without[d] = true
	}
	second.contents.Base = &bundle.Base{Blobs: len(first.blobs)}
	for name, way := range waysIn(t, second.members()) {
		c := newClient(t)
		_, err := importStream(c, t.Context(), tarOf(t, first.members()))
		must(t, err)
		sum, err := way(c)
		must(t, err)
		if sum.MovedBytes != second.contents.TotalSize {
			t.Errorf("%s: moved %d bytes of %d", name, sum.MovedBytes, second.contents.TotalSize)
		}
		// Where the base comes later, what came without it is kept for that.
		c = newClient(t)
		_, err = c.Import(t.Context(), []string{fileOf(t, tarOf(t, second.members()))}, client.ImportOptions{Request: t.TempDir() + "/request.json"})
		want(t, content.ErrBase, err)
		if n := names(t, c); len(n) > 0 {
			t.Errorf("names %v", n)
		}
		_, err = importStream(c, t.Context(), tarOf(t, first.members()))
		must(t, err)
		if sum, err = way(c); err != nil || sum.MovedBytes != 0 {
			t.Errorf("%s: moved %d bytes again, %v", name, sum.MovedBytes, err)
		}
		if got := names(t, c); len(got) != 3 {
			t.Errorf("names %v", got)
		}
		sound(t, c)
	}
}

func TestANameMovesOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	old, new := largeBundle(t, 1), largeBundle(t, 2)
	c := newClient(t)
	_, err := importFrom(t, c, client.ImportOptions{}, fileOf(t, tarOf(t, old.members())))
	must(t, err)
	place := fileOf(t, tarOf(t, new.members()))
	_, err = importFrom(t, c, client.ImportOptions{}, place)
	want(t, content.ErrConflict, err)
	_, err = c.PlanImport(t.Context(), []string{place}, client.ImportOptions{})
	want(t, content.ErrConflict, err)
	_, err = importFrom(t, c, client.ImportOptions{Map: []string{"registry.example=here.example/mirror"}}, place)
	must(t, err)
	if got := names(t, c); !slices.Equal(got, []string{"here.example/mirror/large:v1", "registry.example/large:v1"}) {
		t.Errorf("names %v", got)
	}
	_, err = importFrom(t, c, client.ImportOptions{Replace: true}, place)
	must(t, err)
	d, err := c.Lookup(t.Context(), "registry.example/large:v1")
	must(t, err)
	if d.Digest != new.index.Manifests[0].Digest {
		t.Errorf("it stands for %s", d.Digest)
	}
}
