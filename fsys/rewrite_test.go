package fsys_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dist.example/content"
	"dist.example/fsys"
)

func TestRewriteRefusesACircleOfLinks(t *testing.T) {
	circle := filepath.Join(t.TempDir(), "circle")
	if err := os.Symlink(circle, circle); err != nil {
		t.Skip("no symbolic links here")
	}
	err := fsys.Rewrite(t.Context(), circle, fsys.Rewriting{FS: fsys.OS(), Limit: 10, Mode: 0o600}, func([]byte) ([]byte, error) { return nil, nil })
	if !errors.Is(err, content.ErrInvalid) {
		t.Error(err)
	}
}

func TestRewriteKeepsToTheLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "file")
	write := func(text string) error {
		return fsys.Rewrite(t.Context(), path, fsys.Rewriting{FS: fsys.OS(), Limit: 5, Mode: 0o644}, func(old []byte) ([]byte, error) {
			return append(old, text...), nil
		})
	}
	if err := write("123"); err != nil {
		t.Fatal(err)
	}
	if err := write("456"); !errors.Is(err, content.ErrInvalid) {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "123" {
		t.Errorf("%q, %v", data, err)
	}
}
