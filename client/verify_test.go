package client_test

import (
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
	_, err := c.GenerateKey(ctx, client.KeyOptions{Label: "release", Kind: sign.Ed25519})
	must(t, err)
	stranger, reg := newClient(t, withKeys(t.TempDir())), registry(t)
	key, err := stranger.GenerateKey(ctx, client.KeyOptions{Label: "stranger", Kind: sign.Ed25519})
	must(t, err)
	name := reg.Ref("app:v1")
	p, err := stranger.Pack(ctx, name, []string{file(t, "f", []byte("hello"))}, client.PackOptions{Kind: client.PackArtifact, Sign: client.SignOptions{Key: "stranger"}})
	must(t, err)
	_, err = stranger.Push(ctx, name, client.PushOptions{})
	must(t, err)
	pull(t, c, name)
	_, err = c.AddTrust(ctx, "release", client.TrustScope{Scope: reg.Host}, sign.IdentityRule{})
	must(t, err)
	s, err := c.Open(ctx)
	must(t, err)
	_, err = c.Verify(ctx, name, client.VerifyOptions{})
	want(t, content.ErrUntrusted, err)
	if sigs, err := s.Signatures(ctx, p.Descriptor.Digest); err != nil || len(sigs) > 0 {
		t.Errorf("of a stranger's signatures the catalog has %v, %v", sigs, err)
	}
	_, err = c.AddTrust(ctx, file(t, "stranger.pub", key.Public.PEM()), client.TrustScope{Scope: reg.Host}, sign.IdentityRule{})
	must(t, err)
	_, err = c.Verify(ctx, name, client.VerifyOptions{})
	must(t, err)
	if sigs, err := s.Signatures(ctx, p.Descriptor.Digest); err != nil || len(sigs) != 2 {
		t.Errorf("of signatures by a key of the policy the catalog has %v, %v, want both forms", sigs, err)
	}
}
