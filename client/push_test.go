package client_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

// pulled is a client that has what is at path of another registry, under the name
// as.
func pulled(t *testing.T, from *registrytest.Registry, path, as string) *client.Client {
	t.Helper()
	c := newClient(t)
	_, err := c.Pull(t.Context(), []string{from.Ref(path)}, client.PullOptions{Platforms: client.Platforms{All: true}})
	must(t, err)
	_, _, err = c.Tag(t.Context(), from.Ref(path), as)
	must(t, err)
	return c
}

func push(t *testing.T, c *client.Client, name string) client.Summary {
	t.Helper()
	s, err := c.Push(t.Context(), name, client.PushOptions{})
	must(t, err)
	return s
}

func TestPushSendsAllThenTheTag(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	im := from.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	c := pulled(t, from, "app:v1", to.Ref("copy:v2"))
	s := push(t, c, to.Ref("copy:v2"))
	if len(s.Names) != 1 || !s.Names[0].Changed || s.MovedBlobs == 0 {
		t.Errorf("the account is %+v", s)
	}
	ref, err := oci.ParseReference("copy:v2")
	must(t, err)
	if got, err := to.Store().Resolve(t.Context(), ref); err != nil || got.Digest != im.Digest {
		t.Errorf("the tag there is %s, %v", got.Digest, err)
	}
	var order []string
	for _, q := range to.Requests() {
		if q.Method != http.MethodPut {
			continue
		}
		what := "blob"
		if q.Kind == registryserver.KindManifest {
			what = "manifest"
			if q.Digest == "" {
				what = "tag"
			}
		}
		order = append(order, what)
	}
	if n := len(order); n == 0 || order[n-1] != "tag" || slices.Index(order, "tag") != n-1 {
		t.Errorf("the order was %v", order)
	}
	for i, q := range to.Matching(registrytest.Match{Method: http.MethodPut, Kind: registryserver.KindManifest}) {
		if q.Digest == im.Digest && i < 2 {
			t.Error("the index came before its images")
		}
	}

	to.Forget()
	s = push(t, c, to.Ref("copy:v2"))
	if got := to.Requests(); len(got) != 1 || got[0].Method != http.MethodHead || s.Requests == 0 {
		t.Errorf("pushing again took %+v", got)
	}
	if s.Names[0].Changed || s.MovedBytes != 0 {
		t.Errorf("the account of nothing is %+v", s)
	}
	for l, err := range store(t, c).AllLeases(t.Context()) {
		t.Errorf("a lease is left: %+v, %v", l, err)
	}
}

func TestPushSendsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	shared := registrytest.Bytes(1, 300_000)
	from.PushImage("app:v1", shared, registrytest.Bytes(2, 2000))
	to.PushImage("copy:old", shared)
	to.Forget()
	s := push(t, pulled(t, from, "app:v1", to.Ref("copy:v1")), to.Ref("copy:v1"))
	if s.MovedBytes > 10_000 || s.ReusedBlobs != 1 {
		t.Errorf("the account is %+v", s.Stats)
	}
}

func TestPushMountsWhatTheRegistryHas(t *testing.T) {
	t.Parallel()
	reg := registry(t)
	layer := registrytest.Bytes(1, 300_000)
	reg.PushImage("one:v1", layer)
	c := newClient(t)
	pull(t, c, reg.Ref("one:v1"))
	_, _, err := c.Tag(t.Context(), reg.Ref("one:v1"), reg.Ref("two:v1"))
	must(t, err)
	reg.Forget()
	s := push(t, c, reg.Ref("two:v1"))
	var sent int64
	for _, q := range reg.Requests() {
		if q.Kind != registryserver.KindManifest {
			sent += q.Received
		}
	}
	if sent != 0 || s.MovedBytes > 10_000 {
		t.Errorf("%d bytes of blobs were sent, the account is %+v", sent, s.Stats)
	}
}

func TestPushOfAnIndexThatIsHereInPart(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	from.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	c := newClient(t)
	_, err := c.Pull(t.Context(), []string{from.Ref("app:v1")}, client.PullOptions{Platforms: client.Platforms{Only: platform(t, "linux/amd64")}})
	must(t, err)
	name := to.Ref("copy:v1")
	_, _, err = c.Tag(t.Context(), from.Ref("app:v1"), name)
	must(t, err)
	_, err = c.Push(t.Context(), name, client.PushOptions{})
	want(t, content.ErrNotFound, err)
	if !strings.Contains(err.Error(), "linux/arm64") || content.Hint(err) == "" {
		t.Errorf("what is missing is not told: %v", err)
	}
	if got := to.Matching(registrytest.Match{Method: http.MethodPut, Kind: registryserver.KindManifest}); len(got) != 0 {
		t.Errorf("manifests were pushed: %+v", got)
	}
	s, err := c.Push(t.Context(), name, client.PushOptions{Platform: platform(t, "linux/amd64")})
	must(t, err)
	if !oci.IsManifest(s.Names[0].Target.MediaType) {
		t.Errorf("pushed a %s", s.Names[0].Target.MediaType)
	}

	// Where the registry has the rest, the part is enough.
	other := registry(t)
	other.PushPlatforms("copy:all", "linux/amd64", "linux/arm64")
	must(t, other.Store().SetNames(t.Context(), content.NameChange{Reference: mustRef(t, "copy:all")}))
	other.Forget()
	s, err = c.Push(t.Context(), name, client.PushOptions{Registry: other.Host})
	must(t, err)
	if !oci.IsIndex(s.Names[0].Target.MediaType) || !strings.HasPrefix(s.Names[0].Name, other.Host+"/") {
		t.Errorf("pushed %+v", s.Names)
	}
}

func mustRef(t *testing.T, name string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(name)
	must(t, err)
	return ref
}

func TestAPushThatFailsTagsNothing(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	from.PushImage("app:v1", registrytest.Bytes(1, 300_000))
	c := pulled(t, from, "app:v1", to.Ref("copy:v1"))
	to.Inject(registrytest.Match{Kind: registryserver.KindUploads}, registrytest.Answer(http.StatusForbidden))
	_, err := c.Push(t.Context(), to.Ref("copy:v1"), client.PushOptions{})
	want(t, content.ErrDenied, err)
	if got := to.Matching(registrytest.Match{Method: http.MethodPut, Kind: registryserver.KindManifest}); len(got) != 0 {
		t.Errorf("manifests were pushed: %+v", got)
	}
	for l, err := range store(t, c).AllLeases(t.Context()) {
		t.Errorf("a lease is left: %+v, %v", l, err)
	}
	to.Heal()
	push(t, c, to.Ref("copy:v1"))
}

func TestPushOfDamageFails(t *testing.T) {
	t.Parallel()
	from, to := registry(t), registry(t)
	layer := registrytest.Bytes(1, 300_000)
	from.PushImage("app:v1", layer)
	c := pulled(t, from, "app:v1", to.Ref("copy:v1"))
	damage(t, c, oci.DigestBytes(layer))
	from.Inject(registrytest.Match{Kind: registryserver.KindBlob}, registrytest.Answer(http.StatusForbidden))
	_, err := c.Push(t.Context(), to.Ref("copy:v1"), client.PushOptions{})
	want(t, content.ErrCorrupt, err)
	if got := to.Matching(registrytest.Match{Method: http.MethodPut, Kind: registryserver.KindManifest}); len(got) != 0 {
		t.Errorf("manifests were pushed: %+v", got)
	}
	from.Heal()
	from.Forget()
	_, err = c.Push(t.Context(), to.Ref("copy:v1"), client.PushOptions{})
	want(t, content.ErrNotFound, err) // what failed once is not tried again
	if n := from.Count(registrytest.Match{Kind: registryserver.KindBlob}); n != 0 {
		t.Errorf("it was asked %d times again", n)
	}
	push(t, clientOf(t, store(t, c).Dir()), to.Ref("copy:v1"))
	if n := from.BlobBytes(oci.DigestBytes(layer)); n != 300_000 {
		t.Errorf("%d bytes came to heal it", n)
	}
}
