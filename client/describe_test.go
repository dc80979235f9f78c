package client

import (
	"bytes"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// What a name stood for when the list was read may have been collected since. That is no
// damage: the name is shown as it is now, and not when it is gone. Damage is where the name
// stands for it still.
func TestANameThatMovesWhileItIsListedIsNotDamaged(t *testing.T) {
	c, s, _ := sender(t)
	ref, err := oci.ParseReference("r.example/a:v1")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	index := func(word string) oci.Descriptor {
		data := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[],"annotations":{"word":"` + word + `"}}`)
		desc := oci.Describe(oci.MediaTypeIndex, data)
		ses, err := s.Begin(t.Context(), blobstore.SessionOptions{})
		must(err)
		defer ses.Close()
		must(ses.Push(t.Context(), desc, bytes.NewReader(data)))
		must(ses.Commit(t.Context(), content.NameChange{Reference: ref, Target: desc.Digest, Why: "tag"}))
		return desc
	}
	old := index("old")
	then, err := s.Name(t.Context(), ref)
	must(err)
	moved := index("new")
	must(s.Delete(t.Context(), old.Digest))
	img, found, err := c.describeNow(t.Context(), s, then)
	if err != nil || !found || img.Damage != nil || img.Target.Digest != moved.Digest {
		t.Errorf("moved: %+v, %v, %v", img, found, err)
	}
	if then.Target.Digest != old.Digest {
		t.Fatal("it was not the old one")
	}

	now, err := s.Name(t.Context(), ref)
	must(err)
	lost := now
	lost.Target.Digest = old.Digest // as if it stood for that
	if img, found, err = c.describeNow(t.Context(), s, lost); err != nil || !found || img.Damage == nil {
		t.Errorf("damaged: %+v, %v, %v", img, found, err)
	}
	must(s.SetNames(t.Context(), content.NameChange{Reference: ref, Why: "remove"}))
	if img, found, err = c.describeNow(t.Context(), s, then); err != nil || found {
		t.Errorf("gone: %+v, %v, %v", img, found, err)
	}
}
