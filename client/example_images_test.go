package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/registryserver"
	"dist.example/sign"
)

// An image is made of folders, tars and content put before. The same input makes the
// same image on every machine.
func ExampleClient_Pack() {
	dir := exampleTree("bin/hello", "#!/bin/sh\necho hello\n")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	o := client.PackOptions{Settings: layer.Settings{Entrypoint: &[]string{"/bin/hello"}}}
	first, err := c.Pack(ctx, "demo/hello:v1", []string{filepath.Join(dir, "tree")}, o)
	if err != nil {
		log.Fatal(err)
	}
	again, err := c.Pack(ctx, "demo/hello:v2", []string{filepath.Join(dir, "tree")}, o)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.Name, "and", again.Name)
	fmt.Println("the same layer:", first.Layers[0].Descriptor.Digest == again.Layers[0].Descriptor.Digest)
	fmt.Println("signed:", first.Signed != nil)
	// Output:
	// docker.io/demo/hello:v1 and docker.io/demo/hello:v2
	// the same layer: true
	// signed: false
}

// A key that is called default signs what is packed. Who verifies needs its public part
// alone, and no network.
func ExampleClient_Sign() {
	dir := exampleTree("hello", "hello\n")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{
		Store: filepath.Join(dir, "store"),
		Trust: client.TrustOptions{Keys: filepath.Join(dir, "keys")},
	})
	defer c.Close()
	secret := []byte("a passphrase")
	if _, err := c.GenerateKey(ctx, client.KeyOptions{Passphrase: secret}); err != nil {
		log.Fatal(err)
	}
	ask := func(context.Context) ([]byte, string, error) { return secret, "", nil }
	packed, err := c.Pack(ctx, "registry.example/team/app:v1", []string{filepath.Join(dir, "tree")},
		client.PackOptions{Sign: client.SignOptions{Passphrase: ask}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed for", packed.Signed.Identity)

	judged, err := c.Verify(ctx, "registry.example/team/app:v1", client.VerifyOptions{Keys: []string{client.DefaultKey}})
	fmt.Println("counting:", len(judged.Counting()), err)
	_, err = c.Verify(ctx, "registry.example/team/app:v1",
		client.VerifyOptions{Keys: []string{client.DefaultKey}, Name: "registry.example/team/app:v2"})
	fmt.Println("under another name:", errors.Is(err, content.ErrUntrusted))
	// Output:
	// signed for registry.example/team/app:v1
	// counting: 2 <nil>
	// under another name: true
}

// Where a policy says whose signature counts, nothing else is pulled, and no name moves.
func ExampleClient_AddTrust() {
	dir, reg := exampleFolder(), exampleRegistry()
	defer os.RemoveAll(dir)
	defer reg.Close()
	reg.PushImage("team/app:v1", []byte("a layer"))
	ctx := context.Background()

	c := client.New(client.Options{
		Store: filepath.Join(dir, "store"),
		Trust: client.TrustOptions{DefaultPolicy: filepath.Join(dir, "policy.json"), Keys: filepath.Join(dir, "keys")},
	})
	defer c.Close()
	if _, err := c.GenerateKey(ctx, client.KeyOptions{Label: "team"}); err != nil {
		log.Fatal(err)
	}
	if _, err := c.AddTrust(ctx, "team", client.TrustScope{Scope: reg.Host + "/team"}, sign.IdentityRule{}); err != nil {
		log.Fatal(err)
	}

	_, err := c.Pull(ctx, []string{reg.Ref("team/app:v1")}, client.PullOptions{})
	fmt.Println("not signed:", errors.Is(err, content.ErrUntrusted))
	if _, err := c.Sign(ctx, "docker://"+reg.Ref("team/app:v1"), client.SignOptions{Key: "team"}); err != nil {
		log.Fatal(err)
	}
	s, err := c.Pull(ctx, []string{reg.Ref("team/app:v1")}, client.PullOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("vouched for by", len(s.Names[0].Vouchers), "key")
	// Output:
	// not signed: true
	// vouched for by 1 key
}

// A bundle carries images with all about them to another store. All names appear or none.
func ExampleClient_Export() {
	dir := exampleTree("hello", "hello\n")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	here := client.New(client.Options{Store: filepath.Join(dir, "here")})
	defer here.Close()
	if _, err := here.Pack(ctx, "demo/hello:v1", []string{filepath.Join(dir, "tree")}, client.PackOptions{}); err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "bundle.tar")
	out, err := here.Export(ctx, []string{"demo/hello:v1"}, client.ExportOptions{Output: file})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(out.Images), "image went out")

	there := client.New(client.Options{Store: filepath.Join(dir, "there")})
	defer there.Close()
	in, err := there.Import(ctx, []string{file}, client.ImportOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range in.Names {
		fmt.Println(n.Name, "came in")
	}
	// Output:
	// 1 image went out
	// docker.io/demo/hello:v1 came in
}

// The folder appears when it is whole.
func ExampleClient_Unpack() {
	dir := exampleTree("etc/motd", "hello\n")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	if _, err := c.Pack(ctx, "demo/hello:v1", []string{filepath.Join(dir, "tree")}, client.PackOptions{}); err != nil {
		log.Fatal(err)
	}
	rootfs := filepath.Join(dir, "rootfs")
	if _, err := c.Unpack(ctx, "demo/hello:v1", rootfs, client.UnpackOptions{Rootless: true}); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(rootfs, "etc", "motd"))
	fmt.Printf("%s%v\n", text, err)
	// Output:
	// hello
	// <nil>
}

// The store is a content.Store, which other packages of the module work on: here it is
// served as a registry, in a server of the program's own.
func ExampleClient_Open() {
	dir := exampleTree("hello", "hello\n")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	c := client.New(client.Options{Store: filepath.Join(dir, "store")})
	defer c.Close()
	if _, err := c.Pack(ctx, "demo/hello:v1", []string{filepath.Join(dir, "tree")}, client.PackOptions{}); err != nil {
		log.Fatal(err)
	}
	store, err := c.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(registryserver.New(store, registryserver.Options{}))
	defer server.Close()

	response, err := server.Client().Get(server.URL + "/v2/demo/hello/tags/list")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(strings.TrimSpace(string(body)), err)
	// Output:
	// {"name":"demo/hello","tags":["v1"]} <nil>
}

// exampleTree is a new folder with a file in tree, for whoever removes it.
func exampleTree(name, text string) string {
	dir := exampleFolder()
	path := filepath.Join(dir, "tree", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		log.Fatal(err)
	}
	return dir
}
