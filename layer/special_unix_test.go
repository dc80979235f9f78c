//go:build unix

package layer_test

import (
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"dist.example/content"
	"dist.example/layer"
)

func TestPipesAndSocketsAreRefusedByName(t *testing.T) {
	root := plant(t, map[string]string{"d/": ""})
	must(t, syscall.Mkfifo(filepath.Join(root, "d", "fifo"), 0o644))
	_, err := layer.Write(t.Context(), io.Discard, root, layer.Options{})
	refused(t, err, content.ErrUnsupported, filepath.Join("d", "fifo")+": ")

	root = plant(t, nil)
	t.Chdir(root) // the path of a socket is bounded
	l, err := net.Listen("unix", "sock")
	must(t, err)
	defer l.Close()
	_, err = layer.Write(t.Context(), io.Discard, ".", layer.Options{})
	refused(t, err, content.ErrUnsupported, "a socket")
	_, err = layer.Write(t.Context(), io.Discard, "/dev", layer.Options{})
	refused(t, err, content.ErrUnsupported, "a device")
}
