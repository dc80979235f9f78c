package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"dist.example/oci"

	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/plugin"
)

// TestMain lets the binary of the tests be the program where it is called by its
// name.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "dist-transport-dir") && !strings.Contains(os.Args[0], ".test") {
		main()
		return
	}
	os.Exit(m.Run())
}

// onPath puts this binary on PATH under the program's name.
func onPath(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := "dist-transport-dir"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	dir := t.TempDir()
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestTheProgramKeepsATransportsPromises(t *testing.T) {
	onPath(t)
	tr, err := plugin.Find("dir", plugin.Options{Warn: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	contenttest.Transport(t, contenttest.TransportSuite{
		Open: func(t *testing.T) (content.Transport, string) {
			return tr, filepath.Join(t.TempDir(), "images")
		},
		Several: true,
	})
}

// A plan opens a place to write and only looks.
func TestLookingMakesNoFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	target, err := folders{}.Target(t.Context(), dir+":v1")
	if err != nil {
		t.Fatal(err)
	}
	here, err := target.Exists(t.Context(), oci.Describe(oci.MediaTypeOctets, []byte("x")))
	if err := target.Close(); here || err != nil {
		t.Errorf("here %v, %v", here, err)
	}
	if _, serr := os.Stat(dir); err != nil || !os.IsNotExist(serr) {
		t.Errorf("%v, and the folder: %v", err, serr)
	}
}
