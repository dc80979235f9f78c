package unpack_test

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/unpack"
)

// A copy has what is below a folder, and nothing that is only root's to have.
func TestCopyOfAFolder(t *testing.T) {
	t.Parallel()
	theirs := file("d/theirs", "x", 0o4755)
	theirs.Uid = 12345
	ins := inputs(packed(folder("d", 0o750), theirs, file("d/gone", "x", 0o644), file("beside", "x", 0o644), special(tar.TypeChar, "d/null"),
		folder("d/closed", 0o500), file("d/closed/in", "x", 0o400), symlink("d/up", "../../outside")), packed(file("d/.wh.gone", "", 0), symlink("way", "d")))
	tree := layer.NewTree(false)
	var all []*layer.Index
	for _, in := range ins {
		x, err := in.Index(t.Context(), new(layer.IndexBudget))
		must(t, err)
		all = append(all, x)
	}
	must(t, tree.AddIndexes(all))
	above := tempDir(t)
	dir := filepath.Join(above, "copy")
	res, err := unpack.Copy(t.Context(), dir, tree, "way", ins, unpack.Options{})
	must(t, err)
	wantListing(t, dir, "dr-x------ closed", "-r-------- closed/in=x", "-rwxr-xr-x theirs=x", "link up->../../outside")
	wantNothingLeft(t, above, "copy")
	fi, err := os.Stat(dir)
	must(t, err)
	if fi.Mode().Perm() != 0o750 || !fi.ModTime().Equal(then) || res.Files != 2 || res.Folders != 2 {
		t.Errorf("it is %v of %s: %+v", fi.Mode(), fi.ModTime(), res)
	}
	for name, want := range map[string]error{"d/none": content.ErrNotFound, "beside": content.ErrInvalid} {
		if _, err := unpack.Copy(t.Context(), dir+"2", tree, name, ins, unpack.Options{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantNothingLeft(t, above, "copy")
}
