package client_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/sign"
)

// withKeys gives a client a keyring.
func withKeys(dir string) func(*client.Options) {
	return func(o *client.Options) { o.Trust.Keys, o.Trust.Creator = dir, "dist/test" }
}

func generateKey(t *testing.T, c *client.Client, label string, passphrase []byte) {
	t.Helper()
	_, err := c.GenerateKey(t.Context(), client.KeyOptions{Label: label, Kind: sign.Ed25519, Passphrase: passphrase})
	must(t, err)
}

func TestAHundredManifestsAreSignedWithOneLoadOfTheKey(t *testing.T) {
	t.Parallel()
	store := filepath.Join(t.TempDir(), "store")
	unsigned := clientOf(t, store)
	var words []string
	for i := range 100 {
		name := fmt.Sprintf("demo/%d", i)
		_, err := unsigned.Pack(t.Context(), name, []string{file(t, "f", []byte(name))}, client.PackOptions{Kind: client.PackArtifact})
		must(t, err)
		words = append(words, name)
	}
	_, err := unsigned.Pack(t.Context(), "demo/all", words, client.PackOptions{Kind: client.PackIndex})
	must(t, err)
	c := clientOf(t, store, withKeys(t.TempDir()))
	generateKey(t, c, client.DefaultKey, []byte("secret"))
	asked := 0
	signed, err := c.Sign(t.Context(), "demo/all", client.SignOptions{
		Recursive: true, Passphrase: func(context.Context) ([]byte, string, error) { asked++; return []byte("secret"), "", nil },
	})
	must(t, err)
	if len(signed) != 101 || asked != 1 {
		t.Errorf("%d manifests are signed, and the passphrase was asked for %d times", len(signed), asked)
	}
	for _, s := range []client.Signed{signed[0], signed[1], signed[100]} {
		if len(s.Manifests) != 2 {
			t.Errorf("%+v", s)
		}
		o := client.VerifyOptions{Keys: []string{client.DefaultKey}}
		if s.Identity == "docker.io/demo/all" { // what the index lists, by its digest
			o.Name = s.Identity + "@" + s.Descriptor.Digest.String()
		}
		v, err := c.Verify(t.Context(), s.Descriptor.Digest.String(), o)
		if err != nil || len(v.Counting()) == 0 {
			t.Errorf("%s: %v", s.Identity, err)
		}
	}
}

func TestManySignAtOnceAndNoSignatureIsLost(t *testing.T) {
	t.Parallel()
	const signers = 6
	store, keys := filepath.Join(t.TempDir(), "store"), t.TempDir()
	first := clientOf(t, store, withKeys(keys))
	p, err := first.Pack(t.Context(), "demo/app:v1", []string{file(t, "f", []byte("x"))}, client.PackOptions{Kind: client.PackArtifact})
	must(t, err)
	for i := range signers {
		generateKey(t, first, fmt.Sprint("key", i), nil)
	}
	var wg sync.WaitGroup
	for i := range signers {
		c := clientOf(t, store, withKeys(keys))
		wg.Go(func() {
			if _, err := c.Sign(t.Context(), "demo/app:v1", client.SignOptions{Key: fmt.Sprint("key", i)}); err != nil {
				t.Errorf("key %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range signers {
		v, err := first.Verify(t.Context(), "demo/app:v1", client.VerifyOptions{Keys: []string{fmt.Sprint("key", i)}})
		if err != nil || len(v.Counting()) != 2 {
			t.Errorf("key %d: %d of its signatures count: %v", i, len(v.Counting()), err)
		}
	}
	if in, err := first.Inspect(t.Context(), p.Descriptor.Digest.String(), nil); err != nil || len(in.Signatures) != 2*signers {
		t.Errorf("%d signatures are shown: %v", len(in.Signatures), err)
	}
}

func TestAManifestWithASHA512DigestIsSignedForBoth(t *testing.T) {
	t.Parallel()
	c := newClient(t, withKeys(t.TempDir()))
	generateKey(t, c, client.DefaultKey, nil)
	p, err := c.Pack(t.Context(), "demo/app:v1", []string{file(t, "f", []byte("x"))}, client.PackOptions{Kind: client.PackArtifact})
	must(t, err)
	long := oci.SHA512.FromBytes(p.Manifest)
	_, err = c.Put(t.Context(), client.PutOptions{Type: p.Descriptor.MediaType, Expected: long}, bytes.NewReader(p.Manifest))
	must(t, err)
	_, _, err = c.Tag(t.Context(), long.String(), "demo/long:v1")
	must(t, err)
	signed, err := c.Sign(t.Context(), "demo/long:v1", client.SignOptions{})
	must(t, err)
	if len(signed[0].Manifests) != 1 { // no tag is long enough
		t.Errorf("%+v", signed[0])
	}
	v, err := c.Verify(t.Context(), "demo/long:v1", client.VerifyOptions{Keys: []string{client.DefaultKey}})
	if err != nil || len(v.Counting()) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if digests := v.Counting()[0].Candidate.Claim.Digests; len(digests) != 2 {
		t.Errorf("it signs %v", digests)
	}
}
