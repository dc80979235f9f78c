package blobstore_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

func TestWhatIsKnownOfTrustOutlivesTheCatalog(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := empty(t)
	s := open(t, dir)
	name, err := oci.ParseReference("r.example/app:v1")
	must(t, err)
	img := newImage(t, noise(1, 500))
	now := time.Now().UTC().Truncate(time.Millisecond)
	older := blobstore.TrustMark{Name: name.String(), Key: "sha256:k", Serial: 1, Digest: img.manifest().Digest, At: now}
	newer := older
	newer.Serial = 2
	must(t, s.SetTrustMarks(ctx, older))
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "test"})
	must(t, err)
	for _, b := range img.blobs {
		_, err := ses.Put(ctx, blobstore.Blob{Data: b, MediaType: oci.DetectManifest(b)})
		must(t, err)
	}
	ses.Trust(newer)
	must(t, ses.Commit(ctx, content.NameChange{Reference: name, Target: img.manifest().Digest, Why: "test"}))
	must(t, ses.Close())
	// A bundle may be called what an image is called.
	carried := blobstore.TrustMark{Kind: blobstore.MarkBundle, Name: name.String(), Key: "sha256:k", Serial: 9, Digest: img.manifest().Digest, At: now}
	must(t, s.SetTrustMarks(ctx, carried))
	key := blobstore.TrustKey{ID: "sha256:k", Algorithm: "ed25519", DER: []byte{1, 2}, Label: "ann", NotAfter: now, AddedAt: now}
	must(t, s.PutTrustKey(ctx, key))
	key.RevokedAt = now
	must(t, s.PutTrustKey(ctx, key))
	holdsTrust := func(what string) {
		t.Helper()
		marks, err := s.TrustMarks(ctx, name)
		must(t, err)
		keys, err := s.TrustKeys(ctx)
		must(t, err)
		bundles, at, err := s.BundleMarks(ctx, name.String())
		must(t, err)
		if !reflect.DeepEqual(bundles, []blobstore.TrustMark{carried}) || at.Before(now) {
			t.Errorf("%s: marks of bundles %+v, and it is %s", what, bundles, at)
		}
		if !reflect.DeepEqual(marks, []blobstore.TrustMark{newer}) || !reflect.DeepEqual(keys, []blobstore.TrustKey{key}) {
			t.Errorf("%s: marks %+v, keys %+v", what, marks, keys)
		}
	}
	holdsTrust("before")
	must(t, s.Close())
	if r := rebuild(t, dir); !r.Whole() || r.Names != 1 {
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	holdsTrust("after a rebuild")
	clean(t, s)
	// The next fact counts above the old ones, also after another rebuild.
	newer.Serial = 3
	must(t, s.SetTrustMarks(ctx, newer))
	must(t, s.Close())
	rebuild(t, dir)
	s = open(t, dir)
	holdsTrust("after another")
}

func TestSignaturesKeepWhenTheyWereSeenFirst(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	subject, blob := oci.DigestBytes([]byte("subject")), oci.DigestBytes([]byte("blob"))
	sig := blobstore.Signature{
		Subject: subject, Kind: "bundle", Blob: blob, Manifest: oci.DigestBytes([]byte("m")), Sig: []byte{1},
		Annotations: map[string]string{"a": "b"}, Identity: "r.example/app:v1",
	}
	first, err := s.NoteSignatures(ctx, subject, sig)
	must(t, err)
	time.Sleep(2 * time.Millisecond)
	again, err := s.NoteSignatures(ctx, subject, sig)
	must(t, err)
	if len(first) != 1 || !reflect.DeepEqual(first, again) || first[0].Annotations["a"] != "b" || first[0].FirstSeen.IsZero() {
		t.Errorf("%+v, then %+v", first, again)
	}
	one, other := oci.DigestBytes([]byte("one policy")), oci.DigestBytes([]byte("another"))
	known := blobstore.Verification{Signature: first[0].ID, Key: "sha256:k", Policy: one, Made: true}
	must(t, s.NoteVerifications(ctx, subject, one, known))
	got, err := s.Verifications(ctx, subject, one)
	must(t, err)
	if !reflect.DeepEqual(got, []blobstore.Verification{known}) {
		t.Errorf("%+v", got)
	}
	must(t, s.NoteVerifications(ctx, subject, other))
	if got, err := s.Verifications(ctx, subject, one); err != nil || len(got) != 0 {
		t.Errorf("under another policy: %+v, %v", got, err)
	}
}

// A clock that is set back, such as that of a machine without a battery, does not let
// an expired key sign as if it were earlier.
func TestAClockThatIsSetBackMakesNoSignatureOlder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	subject, later := oci.DigestBytes([]byte("subject")), time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	must(t, s.SetTrustMarks(ctx, blobstore.TrustMark{
		Name: "r.example/app:v1", Key: oci.DigestBytes([]byte("key")), Serial: 1, Digest: subject, At: later,
	}))
	seen, err := s.NoteSignatures(ctx, subject, blobstore.Signature{
		Subject: subject, Kind: "bundle", Blob: subject, Manifest: subject, Sig: []byte{1},
	})
	must(t, err)
	if len(seen) != 1 || seen[0].FirstSeen.Before(later) {
		t.Errorf("%+v, want seen at %s", seen, later)
	}
}

func TestAMarkGoesDownOnRequestAlone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, empty(t))
	name, err := oci.ParseReference("r.example/app:v1")
	must(t, err)
	mark := func(of string, serial int64) blobstore.TrustMark {
		return blobstore.TrustMark{Name: name.String(), Key: "sha256:k", Serial: serial, Digest: oci.DigestBytes([]byte(of)), At: time.Now()}
	}
	holds := func(of string, serial int64) {
		t.Helper()
		marks, err := s.TrustMarks(ctx, name)
		must(t, err)
		if len(marks) != 1 || marks[0].Serial != serial || marks[0].Digest != oci.DigestBytes([]byte(of)) {
			t.Errorf("the marks are %v, want one of %s with %d", marks, of, serial)
		}
	}
	must(t, s.SetTrustMarks(ctx, mark("new", 5)))
	if err := s.SetTrustMarks(ctx, mark("old", 4)); !errors.Is(err, content.ErrConflict) {
		t.Errorf("an older manifest, judged before the newer one was accepted: %v, want ErrConflict", err)
	}
	must(t, s.SetTrustMarks(ctx, mark("new", 3)))
	holds("new", 5)
	lower := mark("old", 4)
	lower.Lower = true
	must(t, s.SetTrustMarks(ctx, lower))
	holds("old", 4)
}

// A rebuild takes what is known of keys in the order in which it became known: a label
// that went over to another key is not given back.
func TestALabelStaysWithItsLastKey(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	for _, id := range []oci.Digest{"sha256:b", "sha256:a"} {
		must(t, s.PutTrustKey(t.Context(), blobstore.TrustKey{ID: id, Algorithm: "ed25519", DER: []byte(id), Label: "ci", AddedAt: time.Now()}))
	}
	for range 2 {
		keys, err := s.TrustKeys(t.Context())
		must(t, err)
		if len(keys) != 2 || keys[0].Label != "ci" || keys[1].Label != "" {
			t.Errorf("%+v", keys)
		}
		must(t, s.Close())
		rebuild(t, dir)
		s = open(t, dir)
	}
}

func TestTheTimeOfAMarkDoesNotGoBack(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	name, err := oci.ParseReference("r.example/app:v1")
	must(t, err)
	now := time.Now().UTC().Truncate(time.Millisecond)
	mark := blobstore.TrustMark{Name: name.String(), Key: "sha256:k", Serial: 1, Digest: oci.DigestBytes([]byte("one")), At: now}
	must(t, s.SetTrustMarks(t.Context(), mark))
	mark.Serial, mark.At = 2, now.Add(-time.Hour)
	must(t, s.SetTrustMarks(t.Context(), mark))
	marks, err := s.TrustMarks(t.Context(), name)
	must(t, err)
	if len(marks) != 1 || marks[0].Serial != 2 || !marks[0].At.Equal(now) {
		t.Errorf("%+v, want one of %s", marks, now)
	}
}
