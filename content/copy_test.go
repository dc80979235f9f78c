package content_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
)

// source is a map of blobs that records what is fetched, and can lie.
type source struct {
	mu      sync.Mutex
	blobs   map[oci.Digest][]byte
	fetched []fetched
	spoil   int // so many blob fetches give wrong bytes
	doubts  int
}

type fetched struct {
	digest oci.Digest
	offset int64
}

func (s *source) Resolve(context.Context, oci.Reference) (oci.Descriptor, error) {
	return oci.Descriptor{}, content.ErrNotFound
}

func (s *source) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	r, err := s.FetchFrom(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return content.VerifyCloser(r, desc), nil
}

func (s *source) FetchFrom(_ context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.blobs[desc.Digest]
	if !ok {
		return nil, content.ErrNotFound
	}
	s.fetched = append(s.fetched, fetched{desc.Digest, offset})
	p = slices.Clone(p[offset:])
	if s.spoil > 0 && !oci.HasSuccessors(desc.MediaType) {
		s.spoil--
		p[len(p)-1] ^= 1
	}
	return io.NopCloser(bytes.NewReader(p)), nil
}

func (s *source) Doubt() { s.doubts++ }

func (s *source) add(mediaType string, p []byte) oci.Descriptor {
	d := oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(p), Size: int64(len(p))}
	s.blobs[d.Digest] = p
	return d
}

func (s *source) manifest(t *testing.T, subject *oci.Descriptor, layers ...string) oci.Descriptor {
	t.Helper()
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: s.add(oci.MediaTypeImageConfig, []byte(`{}`)), Subject: subject}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, s.add(oci.MediaTypeLayer, []byte(l)))
	}
	return s.add(oci.MediaTypeManifest, encode(t, m))
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	p, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newSource() *source { return &source{blobs: map[oci.Digest][]byte{}} }

// target is a plain Target that records the order of pushes.
type target struct {
	mu     sync.Mutex
	held   map[oci.Digest]bool
	pushed []oci.Digest
	closed bool
	mounts map[oci.Digest]bool
}

func (d *target) Exists(_ context.Context, desc oci.Descriptor) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held[desc.Digest], nil
}

func (d *target) Push(_ context.Context, desc oci.Descriptor, r io.Reader) error {
	p, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if desc.Digest.Algorithm().FromBytes(p) != desc.Digest {
		return content.ErrCorrupt
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[desc.Digest] = true
	d.pushed = append(d.pushed, desc.Digest)
	return nil
}

func (d *target) Tag(context.Context, oci.Descriptor, oci.Reference) error { return nil }
func (d *target) Closed() bool                                             { return d.closed }

func (d *target) Mount(_ context.Context, desc oci.Descriptor, _ oci.Reference) (bool, error) {
	return d.mounts[desc.Digest], nil
}

func newTarget() *target { return &target{held: map[oci.Digest]bool{}} }

func TestCopyPushesLeavesFirstAndRootLast(t *testing.T) {
	src, dst := newSource(), newTarget()
	a, b := src.manifest(t, nil, "one", "two"), src.manifest(t, nil, "two", "three")
	idx := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{a, b}}
	idx.SchemaVersion = 2
	root := src.add(oci.MediaTypeIndex, encode(t, idx))
	stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(dst.pushed); n != 7 || stats.MovedBlobs != 7 || dst.pushed[n-1] != root.Digest {
		t.Errorf("pushed %d of 7 (%d by the account), root last: %v", n, stats.MovedBlobs, dst.pushed[n-1] == root.Digest)
	}
	for _, m := range []oci.Descriptor{a, b} {
		edges, err := oci.Successors(m.MediaType, src.blobs[m.Digest])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range edges {
			if slices.Index(dst.pushed, e.Digest) > slices.Index(dst.pushed, m.Digest) {
				t.Errorf("manifest %s came before its %s", m.Digest, e.Role)
			}
		}
	}
}

func TestCopyMovesOnlyWhatIsMissing(t *testing.T) {
	src := newSource()
	root := src.manifest(t, nil, "one", "two")
	one := oci.DigestBytes([]byte("one"))
	for _, tc := range []struct {
		name    string
		prepare func(*target)
		moved   int
	}{
		{"nothing there", func(*target) {}, 4},
		{"a blob there", func(d *target) { d.held[one] = true }, 3},
		{"a blob next door", func(d *target) { d.mounts = map[oci.Digest]bool{one: true} }, 3},
		{"the root there, of a target that keeps graphs whole", func(d *target) { d.held[root.Digest], d.closed = true, true }, 0},
	} {
		dst := newTarget()
		tc.prepare(dst)
		stats, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{
			MountFrom: func(oci.Descriptor) []oci.Reference { return []oci.Reference{{Registry: "r.example", Repository: "x"}} },
		})
		if err != nil || stats.MovedBlobs != tc.moved || len(dst.pushed) != tc.moved {
			t.Errorf("%s: moved %d (pushed %d), want %d; %v", tc.name, stats.MovedBlobs, len(dst.pushed), tc.moved, err)
		}
	}
}

func TestCopyResumesAnIngest(t *testing.T) {
	src, dst := newSource(), memory.New()
	layer := bytes.Repeat([]byte("layer"), 1000)
	root := src.manifest(t, nil, string(layer))
	desc := descOf(layer)
	w, err := dst.Writer(t.Context(), content.IngestOptions{Key: desc.Digest.String(), Expected: desc.Digest, Total: desc.Size})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(layer[:1234]); err != nil {
		t.Fatal(err)
	}
	w.Close()
	stats, err := content.Copy(t.Context(), pushes{dst}, src, root, content.CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(src.fetched, fetched{desc.Digest, 1234}) {
		t.Errorf("fetched %v, want the layer from 1234 on", src.fetched)
	}
	if want := root.Size + 2 + desc.Size - 1234; stats.MovedBytes != want {
		t.Errorf("moved %d bytes, want %d", stats.MovedBytes, want)
	}
	if got, err := content.ReadAll(t.Context(), dst, desc, 1<<20); err != nil || !bytes.Equal(got, layer) {
		t.Errorf("the layer did not arrive: %v", err)
	}
}

func TestCopyTriesCorruptContentOnceMore(t *testing.T) {
	for spoil, want := range []error{nil, nil, content.ErrCorrupt} {
		src, dst := newSource(), memory.New()
		layer := src.add(oci.MediaTypeLayer, []byte("layer"))
		src.spoil = spoil
		_, err := content.Copy(t.Context(), pushes{dst}, src, layer, content.CopyOptions{})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("spoilt %d times: %v, want %v", spoil, err, want)
		}
		if _, ierr := dst.Info(t.Context(), layer.Digest); (ierr == nil) != (want == nil) {
			t.Errorf("spoilt %d times: held is %v", spoil, ierr == nil)
		}
		if src.doubts != min(spoil, 1) {
			t.Errorf("spoilt %d times: %d doubts", spoil, src.doubts)
		}
	}
}

func TestCopyLeavesTheSubjectBehindAndAsksForChildren(t *testing.T) {
	src, dst := newSource(), newTarget()
	subject := src.manifest(t, nil, "subject's")
	root := src.manifest(t, &subject, "kept", "dropped")
	_, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{
		Children: func(_ oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
			return slices.DeleteFunc(edges, func(e oci.Edge) bool { return e.Digest == oci.DigestBytes([]byte("dropped")) }), nil
		},
	})
	if err != nil || len(dst.pushed) != 3 || dst.held[subject.Digest] {
		t.Errorf("pushed %d, want config, layer and root; the subject too: %v; %v", len(dst.pushed), dst.held[subject.Digest], err)
	}
	refused := errors.New("refused")
	_, err = content.Copy(t.Context(), newTarget(), src, root, content.CopyOptions{
		Children: func(oci.Descriptor, []oci.Edge) ([]oci.Edge, error) { return nil, refused },
	})
	if !errors.Is(err, refused) {
		t.Errorf("error %v, want that of Children", err)
	}
}

func TestCopyRefusesAMalformedManifest(t *testing.T) {
	src, dst := newSource(), newTarget()
	root := src.add(oci.MediaTypeManifest, []byte(`{"schemaVersion":2,"config":{}}`))
	if _, err := content.Copy(t.Context(), dst, src, root, content.CopyOptions{}); !errors.Is(err, content.ErrCorrupt) || len(dst.pushed) != 0 {
		t.Errorf("error %v with %d pushed, want ErrCorrupt and none", err, len(dst.pushed))
	}
}

func TestCopyEndsWithItsContext(t *testing.T) {
	src, dst := newSource(), newTarget()
	root := src.manifest(t, nil, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := content.Copy(ctx, dst, src, root, content.CopyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// pushes gives the in-memory store what it needs to be a Target.
type pushes struct{ *memory.Store }

func (p pushes) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	_, err := p.Info(ctx, desc.Digest)
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (p pushes) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	w, err := p.Writer(ctx, content.IngestOptions{Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType})
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	_, err = w.Commit(ctx)
	return err
}

func (p pushes) Tag(ctx context.Context, desc oci.Descriptor, ref oci.Reference) error {
	return p.SetNames(ctx, content.NameChange{Reference: ref, Target: desc.Digest})
}
