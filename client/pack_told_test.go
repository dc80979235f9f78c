package client

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// However the writing of a layer fails, it is told as failed, and as nothing else
// after that.
func TestALayerThatIsNotStoredIsToldAsFailed(t *testing.T) {
	t.Parallel()
	data := make([]byte, 2<<20)
	result := layer.Result{Digest: oci.DigestBytes(data), Size: int64(len(data))}
	for name, tc := range map[string]struct {
		produce func(w io.Writer, cancel func()) (layer.Result, error)
		class   error
	}{
		"making it": {func(io.Writer, func()) (layer.Result, error) { return layer.Result{}, content.ErrInvalid }, content.ErrInvalid},
		"its commit": {func(w io.Writer, cancel func()) (layer.Result, error) {
			_, err := w.Write(data)
			cancel()
			return result, err
		}, context.Canceled},
		"its digest": {func(w io.Writer, _ func()) (layer.Result, error) {
			_, err := w.Write(data[1:])
			return result, err
		}, content.ErrCorrupt},
	} {
		var last content.EventKind
		c := New(Options{
			Store:   filepath.Join(t.TempDir(), "store"),
			Observe: func(e content.Event) { last = e.Kind },
		})
		p := &packing{c: c}
		var err error
		if p.s, err = c.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p.ses, err = p.s.Begin(t.Context(), blobstore.SessionOptions{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = p.write(ctx, "layer", oci.MediaTypeLayer, func(w io.Writer) (layer.Result, error) { return tc.produce(w, cancel) })
		cancel()
		if !errors.Is(err, tc.class) || last != content.EventFailed {
			t.Errorf("%s fails with %v, told last as %v", name, err, last)
		}
		if err := errors.Join(p.ses.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}
}
