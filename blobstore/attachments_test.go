package blobstore_test

import (
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

func TestADamagedAttachmentIsNone(t *testing.T) {
	dir := empty(t)
	s := open(t, dir)
	subject, sig := newImage(t, noise(1, 100)), newImage(t, noise(2, 100))
	ses := begin(t, s, blobstore.SessionOptions{})
	subject.put(t, ses)
	sig.put(t, ses)
	tag := oci.AttachmentTag(subject.manifest().Digest, oci.SuffixSignature)
	must(t, ses.Commit(t.Context(),
		content.NameChange{Reference: reference(t, "r.example/app:v1"), Target: subject.manifest().Digest},
		content.NameChange{Reference: reference(t, "r.example/app:"+tag), Target: sig.manifest().Digest}))
	count := func() (n int) {
		for a, err := range s.Attachments(t.Context(), subject.manifest().Digest) {
			must(t, err)
			if a.Digest != sig.manifest().Digest {
				t.Errorf("%s is listed", a.Digest)
			}
			n++
		}
		return n
	}
	if n := count(); n != 1 {
		t.Fatalf("%d attachments, want 1", n)
	}
	catalog(t, dir, func(tx *db.Tx) error {
		o, _, err := tx.Object(sig.manifest().Digest)
		must(t, err)
		_, err = tx.MarkDamaged(o)
		return err
	})
	if n := count(); n != 0 {
		t.Errorf("a damaged one is listed")
	}
}
