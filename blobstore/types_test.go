package blobstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// indexOf is an image's index, beside which the manifest itself is not here.
func indexOf(t *testing.T, im image) image {
	index := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{im.manifest()}}
	index.SchemaVersion = 2
	return image{[]string{oci.MediaTypeIndex}, [][]byte{document(t, index)}}
}

// putUntyped stores an image's manifest as bytes that nobody says more of.
func putUntyped(t *testing.T, s *blobstore.Store, im image) {
	ses := begin(t, s, blobstore.SessionOptions{Note: "put"})
	put(t, ses, "", im.blobs[len(im.blobs)-1])
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
}

// What an index says of bytes that are here does not make a manifest of them: its
// edges would be missing, and names would move onto what is not whole.
func TestBytesBecomeAManifestOnlyByBeingParsed(t *testing.T) {
	t.Parallel()
	for name, indexFirst := range map[string]bool{"index after the bytes": false, "index before the bytes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := empty(t)
			s := open(t, dir)
			im := newImage(t, noise(1, 900))
			if indexFirst {
				named(t, s, indexOf(t, im), "app:all")
			}
			putUntyped(t, s, im)
			if !indexFirst {
				named(t, s, indexOf(t, im), "app:all")
			}
			info, err := s.Info(t.Context(), im.manifest().Digest)
			must(t, err)
			if oci.HasSuccessors(info.MediaType) {
				t.Errorf("the bytes have become %s", info.MediaType)
			}
			clean(t, s)
			must(t, s.Close())
			if r := rebuild(t, dir); !r.Whole() {
				t.Errorf("%+v", r)
			}
			s = open(t, dir)
			clean(t, s)
			// With its type it is taken for what it is: nothing of it is here.
			ses := begin(t, s, blobstore.SessionOptions{Note: "pull"})
			put(t, ses, im.manifest().MediaType, im.blobs[len(im.blobs)-1])
			must(t, ses.Flush(t.Context()))
			err = s.SetNames(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest})
			if !errors.Is(err, content.ErrNotFound) {
				t.Errorf("a name for a manifest without its layers: %v", err)
			}
			must(t, ses.Close())
		})
	}
}

func TestOfTwoTypesAtOnceTheNotesTellTheOneThatCounts(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	im := newImage(t, noise(1, 900))
	paused, resume, done := make(chan bool), make(chan bool), make(chan error, 1)
	var first, second sync.Once
	other := openWith(t, dir, blobstore.Options{Hook: func(p string) {
		if p == "commit.begin" {
			first.Do(func() { close(paused); <-resume })
		}
	}})
	go func() {
		ses, err := other.Begin(t.Context(), blobstore.SessionOptions{Note: "put"})
		if err == nil {
			_, err = ses.Put(t.Context(), blobstore.Blob{Data: im.blobs[len(im.blobs)-1], MediaType: oci.MediaTypeJSON})
			err = errors.Join(err, ses.Commit(t.Context()), ses.Close())
		}
		done <- err
	}()
	<-paused // it has appended to a pack
	s := openWith(t, dir, blobstore.Options{Hook: func(p string) {
		if p == "commit.begin" { // this one, too, and takes it for new
			second.Do(func() { close(resume); must(t, <-done) })
		}
	}})
	named(t, s, im, "app:v1")
	clean(t, s)
	must(t, s.Close())
	must(t, other.Close())
	rebuild(t, dir)
	s = open(t, dir)
	clean(t, s)
	n, err := s.Name(t.Context(), reference(t, "app:v1"))
	must(t, err)
	children, err := s.Children(t.Context(), im.manifest().Digest)
	if n.Target.MediaType != im.manifest().MediaType || len(children) == 0 || err != nil {
		t.Errorf("rebuilt, it is %s with %d children, %v", n.Target.MediaType, len(children), err)
	}
}

// Other stores and registries may have let in a manifest whose annotations are no
// texts: it is listed with those that are, and hides no other referrer.
func TestAnnotationsThatAreNoTextsAreLeftOut(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	subject := describe(oci.MediaTypeManifest, []byte("subject"))
	ses := begin(t, s, blobstore.SessionOptions{Note: "pull"})
	for _, more := range []string{`"annotations": {"a": "text", "b": 1}`, `"annotations": ["a"], "artifactType": 7`, `"annotations": null`} {
		put(t, ses, oci.MediaTypeIndex, fmt.Appendf(nil, `{"schemaVersion": 2, "manifests": [], "subject": %s, %s}`, document(t, subject), more))
	}
	must(t, ses.Commit(t.Context()))
	texts, listed := 0, 0
	for d, err := range s.Referrers(t.Context(), subject.Digest, "") {
		must(t, err)
		listed++
		if d.Annotations["a"] == "text" && d.ArtifactType == "" {
			texts++
		}
	}
	if listed != 3 || texts != 1 {
		t.Errorf("%d referrers are listed, %d of them with their text", listed, texts)
	}
}
