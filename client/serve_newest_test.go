package client_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// Pushes of a tag that come at the same time leave the manifest there that was signed
// last, and so do those that come later: which one is a matter of what is signed, not
// of who is quicker.
func TestTheNewestOfManyPushesKeepsTheTag(t *testing.T) {
	t.Parallel()
	const name, images = "r.example/app:v1", 6
	dir := t.TempDir()
	policy := func(o *client.Options) { o.Trust.DefaultPolicy = filepath.Join(dir, "policy.json") }
	author := newClient(t, withKeys(dir), policy)
	generateKey(t, author, client.DefaultKey, nil)
	_, err := author.AddTrust(t.Context(), client.DefaultKey, client.TrustScope{Scope: "r.example"}, sign.IdentityRule{})
	must(t, err)
	server := newClient(t, withKeys(dir), policy)
	at := serve(t, server, client.ServeOptions{Writable: true, Prefix: "r.example"})

	var digests []oci.Digest // in the order in which they were signed
	for i := range images {
		p, err := author.Pack(t.Context(), name, []string{file(t, "f", fmt.Append(nil, i))}, client.PackOptions{Kind: client.PackArtifact})
		must(t, err)
		d := p.Descriptor.Digest
		_, err = author.Copy(t.Context(), "store:"+name, "docker://"+at+"/app@"+d.String(), client.CopyOptions{})
		must(t, err)
		digests = append(digests, d)
	}
	push := func(d oci.Digest) error {
		_, err := author.Copy(t.Context(), at+"/app@"+d.String(), "docker://"+at+"/app:v1", client.CopyOptions{NoReferrers: true})
		return err
	}
	var pushes sync.WaitGroup
	for i, d := range digests {
		pushes.Go(func() {
			if err := push(d); err != nil && (!isClass(err, content.ErrDenied) || i == images-1) {
				t.Errorf("push %d: %v", i, err)
			}
		})
	}
	pushes.Wait()
	want(t, content.ErrDenied, push(digests[0]))
	found, err := author.Resolve(t.Context(), at+"/app:v1", client.ResolveOptions{})
	must(t, err)
	if found.Target.Digest != digests[images-1] {
		t.Errorf("the tag is at %s of %v", found.Target.Digest, digests)
	}
}

// serve lets a client serve until the test ends, and returns host and port.
func serve(t *testing.T, c *client.Client, o client.ServeOptions) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Addr, o.Drain = "127.0.0.1:0", 100*time.Millisecond
	o.Ready = func(a net.Addr) { ready <- a.String() }
	go func() { ended <- c.Serve(ctx, o) }()
	select {
	case at := <-ready:
		t.Cleanup(func() {
			stop()
			must(t, <-ended)
		})
		return at
	case err := <-ended:
		stop()
		t.Fatal(err)
		return ""
	}
}
