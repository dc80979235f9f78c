package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/sign"
)

func TestStrangersSignaturesAreNotKept(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	c := newClient(t, func(o *client.Options) {
		o.Trust = client.TrustOptions{DefaultPolicy: filepath.Join(dir, "policy.json"), Keys: filepath.Join(dir, "keys")}
	})
	for _, label := range []string{"release", "stranger"} {
		_, err := c.GenerateKey(ctx, client.KeyOptions{Label: label, Kind: sign.Ed25519})
		must(t, err)
	}
	words := []string{filepath.Join(dir, "text")}
	must(t, os.WriteFile(words[0], []byte("hello"), 0o600))
	p, err := c.Pack(ctx, "r.example/app:v1", words, client.PackOptions{Kind: client.PackArtifact, Sign: client.SignOptions{Key: "stranger"}})
	must(t, err)
	_, err = c.AddTrust(ctx, "release", "r.example", sign.IdentityRule{})
	must(t, err)
	s, err := c.Open(ctx)
	must(t, err)
	_, err = c.Verify(ctx, "r.example/app:v1", client.VerifyOptions{})
	want(t, content.ErrUntrusted, err)
	if sigs, err := s.Signatures(ctx, p.Descriptor.Digest); err != nil || len(sigs) > 0 {
		t.Errorf("of a stranger's signatures the catalog has %v, %v", sigs, err)
	}
	_, err = c.AddTrust(ctx, "stranger", "r.example", sign.IdentityRule{})
	must(t, err)
	_, err = c.Verify(ctx, "r.example/app:v1", client.VerifyOptions{})
	must(t, err)
	if sigs, err := s.Signatures(ctx, p.Descriptor.Digest); err != nil || len(sigs) != 2 {
		t.Errorf("of signatures by a key of the policy the catalog has %v, %v, want both forms", sigs, err)
	}
}
