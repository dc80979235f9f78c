package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"dist.example/client"
	"dist.example/content"
	"dist.example/registryserver/registrytest"
)

// Content goes in and comes out by its digest. The store is made by the first verb
// that writes.
func Example() {
	dir := exampleFolder()
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	info, err := c.Put(ctx, client.PutOptions{Type: "text"}, strings.NewReader("hello\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Digest)

	_, r, err := c.Get(ctx, "5891b5")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r) // io.EOF comes only after the digest was right
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", text)
	// Output:
	// sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
	// hello
}

// All names of a call appear together, or none does. A second pull of the same moves
// nothing.
func ExampleClient_Pull() {
	dir, reg := exampleFolder(), exampleRegistry()
	defer os.RemoveAll(dir)
	defer reg.Close()
	reg.PushImage("team/app:v1", registrytest.Bytes(1, 1000), registrytest.Bytes(2, 500_000))
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	for range 2 {
		s, err := c.Pull(ctx, []string{reg.Ref("team/app:v1")}, client.PullOptions{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("moved", s.MovedBlobs, "blobs")
	}
	// Output:
	// moved 4 blobs
	// moved 0 blobs
}

// A plan is made by the same walk as the verb itself, and tells what it would move.
func ExampleClient_PlanPull() {
	dir, reg := exampleFolder(), exampleRegistry()
	defer os.RemoveAll(dir)
	defer reg.Close()
	reg.PushImage("team/app:v1", registrytest.Bytes(1, 1000))
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	plan, err := c.PlanPull(ctx, []string{reg.Ref("team/app:v1")}, client.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range plan.Names {
		fmt.Println(n.Action)
	}
	s, err := c.Pull(ctx, []string{reg.Ref("team/app:v1")}, client.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("as it was planned:", s.MovedBytes == plan.MoveBytes && s.Requests == plan.Requests)
	// Output:
	// new
	// as it was planned: true
}

// Copy goes past the store: between registries, layouts, archives and stores.
func ExampleClient_Copy() {
	dir, from, to := exampleFolder(), exampleRegistry(), exampleRegistry()
	defer os.RemoveAll(dir)
	defer from.Close()
	defer to.Close()
	from.PushImage("team/app:v1", registrytest.Bytes(1, 1000))
	ctx := context.Background()

	c := client.New(client.Options{}) // no store is needed
	defer c.Close()
	for _, target := range []string{to.Ref("mirror/app"), "oci-archive:" + filepath.Join(dir, "app.tar")} {
		s, err := c.Copy(ctx, from.Ref("team/app:v1"), target, client.CopyOptions{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("moved %d blobs\n", s.MovedBlobs)
	}
	// Output:
	// moved 3 blobs
	// moved 3 blobs
}

// Progress comes as events, from several goroutines at once.
func ExampleOptions_observe() {
	dir, reg := exampleFolder(), exampleRegistry()
	defer os.RemoveAll(dir)
	defer reg.Close()
	reg.PushImage("team/app:v1", registrytest.Bytes(1, 1000), registrytest.Bytes(2, 500_000))

	var finished, size atomic.Int64
	c := client.New(client.Options{
		Store: filepath.Join(dir, "store"),
		Observe: func(e content.Event) {
			if e.Kind == content.EventFinished {
				finished.Add(1)
				size.Add(e.Total)
			}
		},
	})
	defer c.Close()
	s, err := c.Pull(context.Background(), []string{reg.Ref("team/app:v1")}, client.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(finished.Load(), "blobs,", "all bytes seen:", size.Load() == s.MovedBytes)
	// Output:
	// 4 blobs, all bytes seen: true
}

// Every error is of a class, whatever was asked: errors.Is tells which. What to do next
// is in content.Hint.
func Example_errors() {
	dir, reg := exampleFolder(), exampleRegistry()
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	_, err := c.Lookup(ctx, "team/app:v1")
	fmt.Println("no store yet:", errors.Is(err, content.ErrNoStore))

	_, err = c.Put(ctx, client.PutOptions{Size: new(int64)}, strings.NewReader("not empty"))
	fmt.Println("not what was announced:", errors.Is(err, content.ErrCorrupt))

	_, err = c.Resolve(ctx, reg.Ref("team/app:v1"), client.ResolveOptions{})
	fmt.Println("not in the registry:", errors.Is(err, content.ErrNotFound))
	var remote *content.RemoteError
	if errors.As(err, &remote) {
		fmt.Println("it answered", remote.Status)
	}

	reg.Close()
	o := client.Options{}
	o.Registry.Retries = -1
	_, err = client.New(o).Resolve(ctx, reg.Ref("team/app:v1"), client.ResolveOptions{})
	fmt.Println("it may be tried again:", errors.Is(err, content.ErrUnavailable))
	// Output:
	// no store yet: true
	// not what was announced: true
	// not in the registry: true
	// it answered 404
	// it may be tried again: true
}

// Lists are iterators, and end with the loop.
func ExampleClient_List() {
	dir := exampleFolder()
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	for _, text := range []string{"one", "three"} {
		if _, err := c.Put(ctx, client.PutOptions{Type: "text"}, strings.NewReader(text)); err != nil {
			log.Fatal(err)
		}
	}
	var n, size int64
	for info, err := range c.List(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		n, size = n+1, size+info.Size
	}
	fmt.Println(n, "objects,", size, "bytes")
	// Output:
	// 2 objects, 8 bytes
}

// exampleFolder is a new folder, for whoever removes it.
func exampleFolder() string {
	dir, err := os.MkdirTemp("", "dist-example")
	if err != nil {
		log.Fatal(err)
	}
	return dir
}

// exampleRegistry is a registry in this process, on a port of its own.
func exampleRegistry() *registrytest.Registry {
	reg, err := registrytest.NewServer(registrytest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return reg
}
