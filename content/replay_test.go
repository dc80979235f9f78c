package content_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// uploader is a target that is no store: it reads what is pushed as push does.
type uploader struct {
	push func(desc oci.Descriptor, r seekerAt) error
	held map[oci.Digest][]byte
}

type seekerAt interface {
	io.Reader
	io.ReaderAt
	io.Seeker
}

func (u *uploader) Exists(_ context.Context, desc oci.Descriptor) (bool, error) {
	return u.held[desc.Digest] != nil, nil
}

func (u *uploader) Push(_ context.Context, desc oci.Descriptor, r io.Reader) error {
	if at, ok := r.(seekerAt); ok && !oci.HasSuccessors(desc.MediaType) {
		return u.push(desc, at)
	}
	data, err := io.ReadAll(r)
	u.held[desc.Digest] = data
	return err
}

func (u *uploader) Tag(context.Context, oci.Descriptor, oci.Reference) error { return nil }

// ranges are where the layer was asked for from.
func (s *source) ranges(d oci.Digest) (from []int64) {
	for _, f := range s.fetched {
		if f.digest == d {
			from = append(from, f.offset)
		}
	}
	return from
}

// relayed copies an image of one layer to a target that reads it with push.
func relayed(t *testing.T, src content.Source, s *source, push func(oci.Descriptor, seekerAt) error) (oci.Descriptor, *uploader, error) {
	t.Helper()
	root := s.manifest(t, nil, string(bytes.Repeat([]byte("layer "), 50_000)))
	layer := oci.Descriptor{Digest: oci.DigestBytes(bytes.Repeat([]byte("layer "), 50_000)), Size: 300_000}
	u := &uploader{held: map[oci.Digest][]byte{}}
	u.push = func(desc oci.Descriptor, r seekerAt) error {
		if desc.Digest == layer.Digest {
			return push(desc, r)
		}
		_, err := io.Copy(io.Discard, r)
		return err
	}
	_, err := content.Copy(t.Context(), u, src, root, content.CopyOptions{Jobs: 1})
	return layer, u, err
}

func TestAnUploadIsReadAgainFromWhereItBroke(t *testing.T) {
	s := &source{blobs: map[oci.Digest][]byte{}}
	layer, _, err := relayed(t, s, s, func(desc oci.Descriptor, r seekerAt) error {
		got := make([]byte, desc.Size)
		if _, err := r.ReadAt(got[:200_000], 0); err != nil {
			return err
		}
		_, err := r.ReadAt(got[150_000:], 150_000)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if oci.DigestBytes(got) != desc.Digest {
			t.Error("other bytes came")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ranges(layer.Digest); !slices.Equal(got, []int64{0, 150_000}) {
		t.Errorf("the source was asked from %d, want from 0 and from where it went on", got)
	}
}

func TestAnUploadIsReadAgainWithoutRanges(t *testing.T) {
	s := &source{blobs: map[oci.Digest][]byte{}}
	layer, _, err := relayed(t, onlyWhole{s}, s, func(desc oci.Descriptor, r seekerAt) error {
		_, _ = r.ReadAt(make([]byte, 200_000), 0)
		rest := make([]byte, 150_000)
		if _, err := r.ReadAt(rest, 150_000); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !bytes.Equal(rest, s.blobs[desc.Digest][150_000:]) {
			t.Error("other bytes came")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ranges(layer.Digest); !slices.Equal(got, []int64{0, 0}) {
		t.Errorf("the source was asked from %d", got)
	}
}

// onlyWhole cannot start in the middle.
type onlyWhole struct{ *source }

func (o onlyWhole) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if offset > 0 {
		return nil, content.ErrUnsupported
	}
	return o.source.FetchFrom(ctx, desc, 0)
}

// A target that does not check what it gets never gets all of a wrong blob.
func TestWrongBytesAreNeverSentToTheirEnd(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		spoil  int // fetches of the layer that go wrong
		pushes int
		class  error
	}{
		"sound":         {nil, 0, 1, nil},
		"spoilt once":   {nil, 1, 2, nil},
		"spoilt always": {nil, 100, 2, content.ErrCorrupt},
		"too short":     {func(p []byte) []byte { return p[:len(p)-1] }, 0, 2, content.ErrCorrupt},
		"too long":      {func(p []byte) []byte { return append(p, 'x') }, 0, 2, content.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			s := &source{blobs: map[oci.Digest][]byte{}}
			src := &changing{s, c.change, c.spoil}
			pushes, whole := 0, 0
			_, _, err := relayed(t, src, s, func(desc oci.Descriptor, r seekerAt) error {
				pushes++
				n, err := io.Copy(io.Discard, r)
				if n == desc.Size {
					whole++
				}
				return err
			})
			if !errors.Is(err, c.class) || pushes != c.pushes {
				t.Errorf("%v after %d pushes, want %v after %d", err, pushes, c.class, c.pushes)
			}
			if (whole == 1) != (c.class == nil) {
				t.Errorf("%d pushes got all that they were promised", whole)
			}
			if (s.doubts > 0) != (c.pushes > 1) {
				t.Errorf("the source was doubted %d times", s.doubts)
			}
		})
	}
}

// changing gives other bytes of layers than it should.
type changing struct {
	*source
	change func([]byte) []byte
	spoil  int
}

func (c *changing) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	r, err := c.source.FetchFrom(ctx, desc, offset)
	if err != nil || desc.MediaType != oci.MediaTypeLayer {
		return r, err
	}
	p, err := io.ReadAll(r)
	if c.spoil > 0 {
		c.spoil--
		p[len(p)/2] ^= 1
	}
	if c.change == nil {
		c.change = slices.Clone[[]byte]
	}
	return io.NopCloser(bytes.NewReader(c.change(p))), err
}

func TestWhatASourceLacksBeginsNoUpload(t *testing.T) {
	s := &source{blobs: map[oci.Digest][]byte{}}
	root := s.manifest(t, nil, "layer")
	delete(s.blobs, oci.DigestBytes([]byte("layer")))
	u := &uploader{held: map[oci.Digest][]byte{}, push: func(desc oci.Descriptor, r seekerAt) error {
		if desc.MediaType == oci.MediaTypeLayer {
			t.Error("an upload was begun")
		}
		_, err := io.Copy(io.Discard, r)
		return err
	}}
	_, err := content.Copy(t.Context(), u, s, root, content.CopyOptions{Jobs: 1})
	if !errors.Is(err, content.ErrNotFound) || len(u.held) != 0 {
		t.Errorf("%v, %d objects held", err, len(u.held))
	}
}
