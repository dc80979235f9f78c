package blobstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

func TestContract(t *testing.T) {
	t.Parallel()
	contenttest.Store(t, func(t *testing.T) content.Store { return open(t, empty(t)) })
}

// open opens a store in dir, made when it is not there, and closes it with the
// test.
func open(t testing.TB, dir string) *blobstore.Store {
	t.Helper()
	return openWith(t, dir, blobstore.Options{})
}

func openWith(t testing.TB, dir string, o blobstore.Options) *blobstore.Store {
	t.Helper()
	o.Create, o.Warn = true, func(m string) { t.Log("warning:", m) }
	s, err := blobstore.Open(context.Background(), dir, o)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, fsystest.ErrHalted) {
			t.Error(err)
		}
	})
	return s
}

// template is an empty store that was made once: copying it spares the syncs of
// making another.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "blobstore-template-")
	if err != nil {
		return "", err
	}
	s, err := blobstore.Open(context.Background(), filepath.Join(dir, "store"), blobstore.Options{Create: true})
	if err != nil {
		return dir, err
	}
	return dir, s.Close()
})

// empty is the folder of a new, empty store; it lies alone in a folder of the
// test.
func empty(t testing.TB) string {
	t.Helper()
	from, err := template()
	must(t, err)
	dir := filepath.Join(t.TempDir(), "store")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(from, "store"))))
	return dir
}

// instrumented opens a new store over a file system for tests, which is about the
// folder above the store's.
func instrumented(t testing.TB, hook func(string)) (*blobstore.Store, *fsystest.FS) {
	t.Helper()
	dir := empty(t)
	f, err := fsystest.New(fsys.OS(), filepath.Dir(dir))
	must(t, err)
	return openWith(t, dir, blobstore.Options{FS: f, Hook: hook}), f
}

// catalog looks at or changes the catalog behind the store's back.
func catalog(t testing.TB, dir string, fn func(tx *db.Tx) error) {
	t.Helper()
	d, err := db.Open(context.Background(), dir, db.Options{})
	must(t, err)
	err = d.Write(context.Background(), fn)
	must(t, errors.Join(err, d.Close()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want ends the test unless err is of class.
func want(t testing.TB, class, err error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("got error %v, want one of class %q", err, class)
	}
}

// noise is n bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(p) // never fails
	return p
}

func describe(mediaType string, p []byte) oci.Descriptor {
	return oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(p), Size: int64(len(p))}
}

func begin(t testing.TB, s *blobstore.Store, o blobstore.SessionOptions) *blobstore.Session {
	t.Helper()
	ses, err := s.Begin(context.Background(), o)
	must(t, err)
	t.Cleanup(func() { ses.Close() })
	return ses
}

// put adds p to a session.
func put(t testing.TB, ses *blobstore.Session, mediaType string, p []byte) oci.Descriptor {
	t.Helper()
	d, err := ses.Put(context.Background(), blobstore.Blob{Data: p, MediaType: mediaType})
	must(t, err)
	return d.Descriptor()
}

// store writes p through a Writer of the store: durable when it returns.
func store(s content.Ingester, o content.IngestOptions, p []byte) (content.Info, error) {
	w, err := s.Writer(context.Background(), o)
	if err != nil {
		return content.Info{}, err
	}
	defer w.Close()
	if _, err := w.Write(p[w.Status().Offset:]); err != nil {
		return content.Info{}, err
	}
	return w.Commit(context.Background())
}

// ingest is what a copy asks for.
func ingest(p []byte) content.IngestOptions {
	d := oci.DigestBytes(p)
	return content.IngestOptions{Key: d.String(), Expected: d, Total: int64(len(p)), MediaType: oci.MediaTypeLayer}
}

func mustStore(t testing.TB, s content.Ingester, p []byte) oci.Descriptor {
	t.Helper()
	info, err := store(s, ingest(p), p)
	if errors.Is(err, content.ErrExists) {
		return describe(oci.MediaTypeOctets, p)
	}
	must(t, err)
	return info.Descriptor()
}

// holds checks that s has p, sound.
func holds(t testing.TB, s *blobstore.Store, p []byte) {
	t.Helper()
	r, err := s.Fetch(context.Background(), oci.Descriptor{Digest: oci.DigestBytes(p), Size: int64(len(p))})
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(got, p) {
		t.Fatalf("%s has other bytes than were written", oci.DigestBytes(p))
	}
}

// lacks checks that p is not to be seen in s.
func lacks(t testing.TB, s *blobstore.Store, p []byte) {
	t.Helper()
	if _, err := s.Info(context.Background(), oci.DigestBytes(p)); !errors.Is(err, content.ErrNotFound) {
		t.Fatalf("%s: %v, want not found", oci.DigestBytes(p), err)
	}
}

// sound checks all that s says it has: every blob that is not told to be damaged
// has its bytes, and every name all that it reaches.
func sound(t testing.TB, s *blobstore.Store) {
	t.Helper()
	for info, err := range s.All(context.Background()) {
		must(t, err)
		if info.Place == "damaged" {
			continue
		}
		if err := s.Check(context.Background(), info.Digest); err != nil {
			t.Errorf("%s is listed, and: %v", info.Digest, err)
		}
	}
	for n, err := range s.Names(context.Background(), "") {
		must(t, err)
		missing, err := s.Missing(context.Background(), n.Target.Digest)
		if err != nil || len(missing) > 0 {
			t.Errorf("name %s lacks %v: %v", n.Reference, missing, err)
		}
	}
}

func reference(t testing.TB, name string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(name)
	must(t, err)
	return ref
}

// image is a small image: the blobs in the order in which they are to be written,
// the manifest last.
type image struct {
	types []string
	blobs [][]byte
}

func (im image) manifest() oci.Descriptor {
	return describe(im.types[len(im.types)-1], im.blobs[len(im.blobs)-1])
}

// newImage makes an image of layers.
func newImage(t testing.TB, layers ...[]byte) image {
	t.Helper()
	im := image{types: []string{oci.MediaTypeImageConfig}, blobs: [][]byte{[]byte(`{"architecture":"amd64","os":"linux"}`)}}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: describe(oci.MediaTypeImageConfig, im.blobs[0]), Layers: []oci.Descriptor{}}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, describe(oci.MediaTypeLayer, l))
		im.types, im.blobs = append(im.types, oci.MediaTypeLayer), append(im.blobs, l)
	}
	im.types, im.blobs = append(im.types, oci.MediaTypeManifest), append(im.blobs, document(t, m))
	return im
}

func document(t testing.TB, v any) []byte {
	t.Helper()
	p, err := json.Marshal(v)
	must(t, err)
	return p
}

// put adds the whole image to a session.
func (im image) put(t testing.TB, ses *blobstore.Session) {
	t.Helper()
	for i, p := range im.blobs {
		put(t, ses, im.types[i], p)
	}
}

// packBytes is the size of all packs together.
func packBytes(t testing.TB, s *blobstore.Store) (n int64) {
	t.Helper()
	for _, p := range packs(t, s) {
		fi, err := os.Stat(p)
		must(t, err)
		n += fi.Size()
	}
	return n
}

// packs are the names of the pack files, in order.
func packs(t testing.TB, s *blobstore.Store) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.Dir(), "packs", "*.pack"))
	must(t, err)
	return names
}

// files counts the files in a folder of the store.
func files(t testing.TB, s *blobstore.Store, folder ...string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(append([]string{s.Dir()}, folder...)...))
	if !errors.Is(err, os.ErrNotExist) {
		must(t, err)
	}
	return len(entries)
}

// gate is a hook that stops at one point, once, until it is opened.
type gate struct {
	point   string
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newGate(point string) *gate {
	return &gate{point: point, reached: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) hook(point string) {
	if point == g.point {
		g.once.Do(func() {
			close(g.reached)
			<-g.open
		})
	}
}
