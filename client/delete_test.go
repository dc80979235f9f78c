package client_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	a, b := put(t, c, []byte("a")), put(t, c, []byte("bb"))
	for _, name := range []string{"app:v1", "team/app:v2"} {
		_, _, err := c.Tag(t.Context(), a.Digest.String(), name)
		must(t, err)
	}
	gone, err := c.Delete(t.Context(), a.Digest.String(), b.Digest.Encoded()[:8], oci.DigestBytes([]byte("absent")).String())
	must(t, err)
	if gone.Objects != 2 || gone.Bytes != a.Stored+b.Stored || !slices.Equal(gone.Names, []string{"docker.io/library/app:v1", "docker.io/team/app:v2"}) {
		t.Errorf("%+v", gone)
	}
	_, err = c.Stat(t.Context(), a.Digest.String())
	want(t, content.ErrNotFound, err)
	gone, err = c.Delete(t.Context(), a.Digest.String())
	must(t, err)
	if gone.Objects != 0 {
		t.Errorf("%+v", gone)
	}
}

func TestDeleteOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	reg := registry(t)
	layer := manifestOf(t, reg, reg.PushImage("app:v1", []byte("layer"))).Layers[0].Digest
	pull(t, c, reg.Ref("app:v1"))
	free := put(t, c, []byte("free"))
	_, err := c.Delete(t.Context(), free.Digest.String(), layer.String())
	want(t, content.ErrConflict, err)
	var held *blobstore.HeldError
	if !errors.As(err, &held) || len(held.Holders) != 1 || held.Holders[0].Object.Digest != layer || held.Holders[0].Name != reg.Ref("app:v1") {
		t.Fatalf("%+v", held)
	}
	must(t, c.Check(t.Context(), free.Digest.String()))
}

// Words that are no digests end it before anything is deleted; no words need not
// even a store.
func TestDeleteReadsItsWordsFirst(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	gone, err := c.Delete(t.Context())
	must(t, err)
	if gone.Objects != 0 {
		t.Errorf("%+v", gone)
	}
	_, err = c.Delete(t.Context(), oci.DigestBytes(nil).String())
	want(t, content.ErrNoStore, err)

	d := put(t, c, []byte("a")).Digest
	_, _, err = c.Tag(t.Context(), d.String(), "app:v1")
	must(t, err)
	_, _, err = c.Tag(t.Context(), d.String(), "cafe42")
	must(t, err)
	for word, class := range map[string]error{
		"app:v1": content.ErrInvalid, "cafe42": content.ErrInvalid, "nobody": content.ErrInvalid,
		"": content.ErrInvalid, "abcde": content.ErrInvalid, "sha256:xyz": content.ErrInvalid, "sha256:abcdef": content.ErrNotFound, "abcdef": content.ErrNotFound,
	} {
		if _, err := c.Delete(t.Context(), d.String(), word); !errors.Is(err, class) {
			t.Errorf("%q: %v", word, err)
		}
	}
	must(t, c.Check(t.Context(), d.String()))
}

func TestDeleteOfThousands(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	words := make([]string, 0, 3000)
	for i := range 3000 {
		words = append(words, oci.DigestBytes(fmt.Append(nil, i)).String())
		if i%100 == 0 {
			put(t, c, fmt.Append(nil, i))
		}
	}
	gone, err := c.Delete(t.Context(), words...)
	must(t, err)
	if gone.Objects != 30 {
		t.Errorf("%+v", gone)
	}
}
