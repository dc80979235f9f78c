package registryclient_test

import (
	"context"
	"fmt"
	"log"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

// A repository is a source and a target of content.Copy, which gives no names: the tag
// comes when all is there.
func ExampleClient_Repository() {
	from, to := exampleRegistry(), exampleRegistry()
	defer from.Close()
	defer to.Close()
	from.PushImage("team/app:v1", registrytest.Bytes(1, 1000), registrytest.Bytes(2, 1000))
	ctx := context.Background()

	c, err := registryclient.New(registryclient.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseIdle()
	source, err := oci.ParseReference(from.Ref("team/app:v1"))
	if err != nil {
		log.Fatal(err)
	}
	target, err := oci.ParseReference(to.Ref("mirror/app:v1"))
	if err != nil {
		log.Fatal(err)
	}

	src, dst := c.Repository(source), c.Repository(target).ForPush()
	image, err := src.Resolve(ctx, source)
	if err != nil {
		log.Fatal(err)
	}
	stats, err := content.Copy(ctx, dst, src, image, content.CopyOptions{Referrers: true})
	if err != nil {
		log.Fatal(err)
	}
	if err := dst.Tag(ctx, image, target); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.MovedBlobs, "blobs")
	// Output:
	// 4 blobs
}

func exampleRegistry() *registrytest.Registry {
	reg, err := registrytest.NewServer(registrytest.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return reg
}
