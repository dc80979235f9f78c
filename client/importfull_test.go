package client_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
)

// Wherever the disk is full, the import says so, nothing of it is visible and the store is
// sound; with room again, the same import finishes.
func TestTheDiskIsFullWhileABundleComesIn(t *testing.T) {
	t.Parallel()
	b := largeBundle(t, 5)
	data := tarOf(t, b.members())
	var volumes []string
	for _, v := range b.volumes(3) {
		volumes = append(volumes, fileOf(t, tarOf(t, v)))
	}
	for way, bring := range map[string]func(*client.Client) (client.ImportSummary, error){
		"file": func(c *client.Client) (client.ImportSummary, error) {
			return importFrom(t, c, client.ImportOptions{}, fileOf(t, data))
		},
		"stream": func(c *client.Client) (client.ImportSummary, error) { return importStream(c, t.Context(), data) },
		"volumes": func(c *client.Client) (client.ImportSummary, error) {
			return importFrom(t, c, client.ImportOptions{}, volumes...)
		},
		"volumes one by one": func(c *client.Client) (s client.ImportSummary, err error) {
			for _, v := range volumes {
				if s, err = importFrom(t, c, client.ImportOptions{}, v); err != nil && !isClass(err, content.ErrPartial) {
					return s, err
				}
			}
			return s, err
		},
	} {
		for i := range uint64(8) {
			full := rand.New(rand.NewPCG(i, 5)).Int64N(int64(len(data)))
			t.Run(way, func(t *testing.T) {
				t.Parallel()
				importWithRoomFor(t, full, b, bring)
			})
		}
	}
}

// importWithRoomFor imports where the disk is full after so many bytes, and then again.
func importWithRoomFor(t *testing.T, room int64, b *madeBundle, bring func(*client.Client) (client.ImportSummary, error)) {
	t.Helper()
	root := t.TempDir()
	disk, err := fsystest.New(fsys.OS(), root)
	must(t, err)
	c := clientOf(t, filepath.Join(root, "store"), func(o *client.Options) { o.FS = disk })
	_, err = c.Init(t.Context())
	must(t, err)
	disk.LimitWrites(room)
	_, err = bring(c)
	disk.LimitWrites(-1)
	if !isClass(err, content.ErrNoSpace) {
		t.Errorf("with room for %d bytes: %v", room, err)
	}
	if n := names(t, c); len(n) > 0 {
		t.Errorf("with room for %d bytes, names %q are visible", room, n)
	}
	sound(t, c)
	if _, err := bring(c); err != nil {
		t.Errorf("with room again after %d bytes: %v", room, err)
	}
	whole(t, c, b)
	left(t, c)
}
