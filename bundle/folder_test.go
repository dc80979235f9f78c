package bundle

import (
	"path/filepath"
	"slices"
	"testing"
)

// A new folder is durable only when its name in the one above it is.
func TestANewFolderTellsWhereItsNamesStand(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	path := filepath.Join(top, "a", "b")
	for _, want := range [][]string{{filepath.Join(top, "a"), top}, nil} {
		in, err := makeFolder(path + string(filepath.Separator))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(in, want) {
			t.Errorf("got %q, want %q", in, want)
		}
	}
}
