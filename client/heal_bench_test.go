package client_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// BenchmarkHealing heals blobs one by one, as readers meet them, in stores of which more
// and more is damaged. What one of them costs does not depend on that.
func BenchmarkHealing(b *testing.B) {
	for _, n := range []int{100, 1000, 4000} {
		b.Run(fmt.Sprintf("of %d", n), func(b *testing.B) {
			reg := registrytest.New(b, registrytest.Options{})
			layers := make([][]byte, n)
			for i := range layers {
				layers[i] = registrytest.Bytes(uint64(i), 400)
			}
			reg.PushImage("app:v1", layers...)
			var c *client.Client
			next := n
			for b.Loop() {
				if next == n {
					b.StopTimer()
					c, next = damagedThroughout(b, reg), 0
					b.StartTimer()
				}
				if err := c.Check(b.Context(), oci.DigestBytes(layers[next]).String()); err == nil {
					b.Fatal("it is not damaged")
				}
				_, r, err := c.Get(b.Context(), oci.DigestBytes(layers[next]).String())
				if err != nil {
					b.Fatal(err)
				}
				r.Close()
				next++
			}
		})
	}
}

// damagedThroughout is a client of a store that has lost all that it had pulled.
func damagedThroughout(b *testing.B, reg *registrytest.Registry) *client.Client {
	dir := filepath.Join(b.TempDir(), "store")
	o := client.Options{Store: dir, Registry: registryclient.Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true, PlainHTTP: true,
	}}
	c := client.New(o)
	b.Cleanup(func() { c.Close() })
	_, err := c.Pull(b.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "packs", "1.pack")); err != nil {
		b.Fatal(err)
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	c = client.New(o)
	b.Cleanup(func() { c.Close() })
	if _, err := c.CheckStore(b.Context(), client.CheckOptions{Quick: true}); err != nil {
		b.Fatal(err)
	}
	return c
}
