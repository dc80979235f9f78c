// Package contenttest holds the suites that implementations of the contracts in
// package content pass: one subtest for each promise that is made there, and
// nothing that is not.
//
//	func TestStore(t *testing.T) {
//		contenttest.Store(t, func(t *testing.T) content.Store { return memory.New() })
//	}
//
// The suites measure no time and wait for nothing but what the implementation
// does; they are meant to run under the race detector as well.
package contenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// Store runs every promise of content.Store, each against a fresh, empty store
// from open. What open made is torn down by its own t.Cleanup.
func Store(t *testing.T, open func(t *testing.T) content.Store) {
	groups := []struct {
		name     string
		promises []promise
	}{
		{"Ingest", ingestPromises},
		{"Keys", keyPromises},
		{"Read", readPromises},
		{"Manifest", manifestPromises},
		{"Names", namePromises},
		{"Leases", leasePromises},
		{"Referrers", referrerPromises},
		{"Attachments", attachmentPromises},
		{"Delete", deletePromises},
		{"Repositories", repositoryPromises},
		{"Again", againPromises},
		{"Concurrent", concurrentPromises},
		{"Parts", partPromises},
		{"Sightings", sightingPromises},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, p := range g.promises {
				t.Run(p.name, func(t *testing.T) { p.check(&fixture{T: t, Store: open(t)}) })
			}
		})
	}
}

// promise is one sentence of a contract and the check of it.
type promise struct {
	name  string
	check func(f *fixture)
}

// fixture is a store under test with the steps that every check takes.
type fixture struct {
	*testing.T
	content.Store
}

const octets = oci.MediaTypeOctets

// noise is n bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(p) // never fails
	return p
}

func descriptor(mediaType string, data []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(data), Size: int64(len(data))}
}

// asJSON is v as a document.
func asJSON(v any) []byte {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of this package
	}
	return p
}

// must stops the check when err is not nil.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// want stops the check unless err is of class.
func (f *fixture) want(class, err error) {
	f.Helper()
	if !errors.Is(err, class) {
		f.Fatalf("got %v, want an error of class %q", err, class)
	}
}

func (f *fixture) writer(opts content.IngestOptions) content.Writer {
	f.Helper()
	w, err := f.Writer(f.Context(), opts)
	f.must(err)
	f.Cleanup(func() { _ = w.Close() })
	return w
}

func (f *fixture) write(w io.Writer, p []byte) {
	f.Helper()
	n, err := w.Write(p)
	f.must(err)
	if n != len(p) {
		f.Fatalf("Write took %d of %d bytes without an error", n, len(p))
	}
}

func (f *fixture) commit(w content.Writer) content.Info {
	f.Helper()
	info, err := w.Commit(f.Context())
	f.must(err)
	return info
}

// Put stores data as most callers do, its digest and size known, for tests that need
// something to be there. repo is the repository (registry/path) that it is pushed to,
// "" for none. What is held already stays as it is.
func Put(t testing.TB, to content.Ingester, repo, mediaType string, data []byte) oci.Descriptor {
	t.Helper()
	desc := oci.Describe(mediaType, data)
	w, err := to.Writer(t.Context(), content.IngestOptions{Expected: desc.Digest, Total: desc.Size, MediaType: mediaType, Repository: repo})
	if errors.Is(err, content.ErrExists) {
		return desc
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n, err := w.Write(data); err != nil || n != len(data) {
		t.Fatalf("Write took %d of %d bytes, %v", n, len(data), err)
	}
	if _, err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return desc
}

func (f *fixture) put(mediaType string, data []byte) oci.Descriptor {
	f.Helper()
	return Put(f.T, f.Store, "", mediaType, data)
}

func (f *fixture) putJSON(mediaType string, v any) oci.Descriptor {
	f.Helper()
	return f.put(mediaType, asJSON(v))
}

// image stores a config, two layers and their manifest.
func (f *fixture) image(seed uint64) (manifest oci.Descriptor, blobs []oci.Descriptor) {
	f.Helper()
	m, blobs := f.parts(seed)
	return f.putJSON(oci.MediaTypeManifest, m), blobs
}

// parts stores an image's blobs and returns the manifest that is still to be
// stored.
func (f *fixture) parts(seed uint64) (oci.Manifest, []oci.Descriptor) {
	f.Helper()
	config := f.put(oci.MediaTypeImageConfig, asJSON(map[string]any{"architecture": "amd64", "os": "linux", "seed": seed}))
	layers := []oci.Descriptor{
		f.put(oci.MediaTypeLayer, noise(seed, 2000)),
		f.put(oci.MediaTypeLayer, noise(seed+1000, 300<<10)),
	}
	return manifestOf(config, layers...), append([]oci.Descriptor{config}, layers...)
}

func manifestOf(config oci.Descriptor, layers ...oci.Descriptor) oci.Manifest {
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: config, Layers: layers}
	m.SchemaVersion = 2
	return m
}

func indexOf(manifests ...oci.Descriptor) oci.Index {
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: manifests}
	x.SchemaVersion = 2
	return x
}

// absent is a descriptor of content that nobody stores.
func absent(mediaType string, seed uint64) oci.Descriptor {
	return descriptor(mediaType, noise(seed+50000, 33))
}

// holds checks that data can be had in every way under d.
func (f *fixture) holds(d oci.Digest, data []byte) {
	f.Helper()
	desc := oci.Descriptor{Digest: d, Size: int64(len(data))}
	info, err := f.Info(f.Context(), d)
	f.must(err)
	if info.Digest != d || info.Size != desc.Size {
		f.Fatalf("Info tells of %s with %d bytes, want %s with %d", info.Digest, info.Size, d, desc.Size)
	}
	rc, err := f.Fetch(f.Context(), desc)
	f.must(err)
	got, err := io.ReadAll(rc)
	f.must(err)
	f.must(rc.Close())
	if !bytes.Equal(got, data) {
		f.Fatalf("Fetch of %s gives other bytes than were written", d)
	}
	ra, err := f.ReaderAt(f.Context(), desc)
	f.must(err)
	got, err = io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
	f.must(err)
	f.must(ra.Close())
	if !bytes.Equal(got, data) {
		f.Fatalf("ReaderAt of %s gives other bytes than were written", d)
	}
}

// lacks checks that nothing can be had under d.
func (f *fixture) lacks(d oci.Digest) {
	f.Helper()
	_, err := f.Info(f.Context(), d)
	f.want(content.ErrNotFound, err)
	_, err = f.Fetch(f.Context(), oci.Descriptor{Digest: d, Size: -1})
	f.want(content.ErrNotFound, err)
	_, err = f.ReaderAt(f.Context(), oci.Descriptor{Digest: d, Size: -1})
	f.want(content.ErrNotFound, err)
	for _, info := range f.all() {
		if info.Digest == d {
			f.Fatalf("All lists %s, which nothing else knows", d)
		}
	}
}

func (f *fixture) all() []content.Info {
	f.Helper()
	var all []content.Info
	for info, err := range f.All(f.Context()) {
		f.must(err)
		all = append(all, info)
	}
	return all
}
