package fsys_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
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

// A link that leads out of a folder, which is a link itself, means what it means to
// those who read the file.
func TestRewriteWritesWhatIsRead(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"dots/dist", "dots/shared", "config"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if os.Symlink(filepath.Join(dir, "dots", "dist"), filepath.Join(dir, "config", "dist")) != nil ||
		os.Symlink(filepath.Join("..", "shared", "policy"), filepath.Join(dir, "dots", "dist", "policy")) != nil {
		t.Skip("no symbolic links here")
	}
	if err := os.WriteFile(filepath.Join(dir, "dots", "shared", "policy"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config", "dist", "policy")
	for _, keep := range []bool{true, false} {
		o := fsys.Rewriting{FS: fsys.OS(), Limit: 10, Mode: 0o644, KeepMode: keep}
		err := fsys.Rewrite(t.Context(), path, o, func(old []byte) ([]byte, error) { return append(old, '+'), nil })
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || runtime.GOOS != "windows" && (info.Mode().Perm() == 0o600) != keep {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "old++" {
		t.Errorf("%q, %v", data, err)
	}
}
