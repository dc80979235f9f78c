package registryclient_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver/registrytest"
)

func open(t *testing.T, reg *registrytest.Registry, path string) *registryclient.Repository {
	t.Helper()
	c, err := registryclient.New(registryclient.Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true,
		RetryBase: time.Millisecond, Window: registryclient.Window{SegmentBytes: 256 << 10, Enough: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	ref, err := oci.ParseRepository(reg.Ref(path))
	if err != nil {
		t.Fatal(err)
	}
	return c.Repository(ref)
}

// The whole of what a push and a pull do, against a registry that checks it.
func TestPushAndPull(t *testing.T) {
	ctx := context.Background()
	for name, auth := range map[string]*registrytest.Auth{
		"open": nil, "tokens for two uses": {Bearer: true, Uses: 2},
	} {
		t.Run(name, func(t *testing.T) {
			reg := registrytest.New(t, registrytest.Options{Auth: auth})
			app := open(t, reg, "team/app").ForPush()
			layer, config := registrytest.Bytes(1, 3<<20), []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
			descs := []oci.Descriptor{
				{MediaType: oci.MediaTypeLayer, Digest: oci.DigestBytes(layer), Size: int64(len(layer))},
				{MediaType: oci.MediaTypeImageConfig, Digest: oci.SHA512.FromBytes(config), Size: int64(len(config))},
			}
			for i, data := range [][]byte{layer, config} {
				if here, err := app.Exists(ctx, descs[i]); here || err != nil {
					t.Fatalf("exists: %v, %v", here, err)
				}
				if err := app.Push(ctx, descs[i], bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
			}
			m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: descs[1], Layers: descs[:1]}
			m.SchemaVersion = 2
			data, _ := json.Marshal(m)
			root := oci.Descriptor{MediaType: m.MediaType, Digest: oci.DigestBytes(data), Size: int64(len(data))}
			if err := app.PushManifest(ctx, root, data, "v1", "v2"); err != nil {
				t.Fatal(err)
			}

			from := open(t, reg, "team/app")
			got, err := from.Resolve(ctx, oci.Reference{Tag: "v2"})
			if err != nil || got.Digest != root.Digest || got.Size != root.Size {
				t.Fatalf("%+v, %v", got, err)
			}
			for i, want := range [][]byte{layer, config} {
				rc, err := from.Fetch(ctx, descs[i])
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s: %d bytes, %v", descs[i].Digest, len(got), err)
				}
				rc.Close()
			}
			if got, err := content.ReadAll(ctx, from, root, oci.MaxManifestSize); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("manifest: %v", err)
			}
			var tags []string
			for tag, err := range from.Tags(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				tags = append(tags, tag)
			}
			if !slices.Equal(tags, []string{"v1", "v2"}) {
				t.Fatalf("tags %q", tags)
			}
			other := open(t, reg, "team/other")
			if done, err := other.Mount(ctx, descs[0], from.Reference()); err != nil || !done {
				t.Fatalf("mount: %v, %v", done, err)
			}
		})
	}
}

func TestFetchThroughCuts(t *testing.T) {
	reg := registrytest.New(t, registrytest.Options{})
	data := registrytest.Bytes(2, 3<<20)
	image := reg.PushImage("app:v1", data)
	r := open(t, reg, "app")
	_, body, err := r.FetchManifest(context.Background(), oci.Reference{Digest: image.Digest})
	if err != nil {
		t.Fatal(err)
	}
	edges, err := oci.Successors(oci.MediaTypeManifest, body)
	if err != nil {
		t.Fatal(err)
	}
	layer := edges[len(edges)-1].Descriptor
	reg.Inject(registrytest.Match{Times: 3}, registrytest.CutAfter(100<<10))
	rc, err := r.Fetch(context.Background(), layer)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if n, err := io.Copy(io.Discard, rc); err != nil || n != layer.Size {
		t.Fatalf("%d bytes, %v", n, err)
	}
}
